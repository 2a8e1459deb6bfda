"""Fetches one file of the hub, going on where an earlier attempt stopped, and checks it.

Knows ranges, patience and checksums. What has come is on the disk at once, in pieces of at most
256 KB: a process that is killed loses nothing. Knows nothing of models.
"""

import hashlib
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tuillm.errors import TuillmError
from tuillm.store.files import disk_error
from tuillm.store.hub.api import HubFile, Plan, bounded_body
from tuillm.store.hub.hub_errors import (
    TransientError,
    host,
    hub_errors,
    request_errors,
    retry_after,
)
from tuillm.store.hub.hub_names import Source

PIECE = 1 << 18
# attempts in a row that bring nothing new, with 0.5, 1, 2, 4 and 8 seconds in between
_ATTEMPTS = 6
_LONGEST_WAIT = 300.0
_READ = 1 << 20
_LOOK_EVERY = 0.05

# called all the time with the bytes that have just come; what it raises ends the work
Tick = Callable[[int], None]
# called with words for a person while there is nothing to do but wait, then with ''
Note = Callable[[str], None]


def fetch(plan: Plan, file: HubFile, target: Path, source: Source, tick: Tick, note: Note) -> None:
    """Fetch what `target` lacks of a file; return when it has its whole length.

    Broken connections and busy servers are tried again, as long as something new comes or a few
    times. Raises TuillmError when that is of no use, when the hub refuses, when the disk is full.
    """
    best = -1

    def attempt() -> None:
        reader = _Reader(plan.url(file), file, target, source)
        reader.start()
        try:
            while reader.is_alive():
                reader.join(_LOOK_EVERY)
                tick(reader.came())
        finally:
            reader.stop()
        tick(reader.came())
        if reader.error:
            raise reader.error

    def got_on() -> bool:
        nonlocal best
        before, best = best, max(best, have(target))
        return best > before

    if have(target) > file.size:
        tick(-have(target))
        target.unlink()
    got_on()
    if have(target) < file.size or not target.exists():
        retry_with_backoff(
            attempt,
            got_on,
            tick,
            note,
            f"{file.name} cannot be fetched to its end",
            lambda: have(target) > 0,
        )


def retry_with_backoff(
    action: Callable[[], Any],
    got_on: Callable[[], bool],
    tick: Tick,
    note: Note,
    failure: str = "",
    kept: Callable[[], bool] = lambda: False,
) -> Any:
    """Return what `action` returns; where it raises TransientError, wait and do it again.

    `got_on` tells whether the last attempt achieved something, which makes up for those before.
    Raises TuillmError with `failure` and the reason when too many did not; `kept` tells whether
    something has come by then.
    """
    vain = 0
    while True:
        try:
            return action()
        except TransientError as error:
            vain = 0 if got_on() else vain + 1
            if vain >= _ATTEMPTS or error.wait > _LONGEST_WAIT:
                words = f"{failure}: {error.reason}" if failure else error.reason
                when = f" in {error.wait:.0f} seconds" if error.wait else " later"
                rest = "; what has come is kept" if kept() else ""
                raise TuillmError(words, f"try again{when}{rest}") from None
            _wait(max(error.wait, 0.25 * 2**vain), error.reason, tick, note)


def copy(origin: Path, target: Path, tick: Tick) -> None:
    """Copy what `target` lacks of a file that lies on this machine."""
    try:
        with origin.open("rb") as old, target.open("ab", buffering=0) as new:
            old.seek(new.tell())
            while piece := old.read(PIECE):
                _write(new, piece)
                tick(len(piece))
    except OSError as error:
        raise disk_error(error, target) from None


def is_whole(path: Path, file: HubFile, tick: Tick) -> bool:
    """Whether a file on the disk has the length and the checksum that the hub tells."""
    if have(path) != file.size:
        return False
    found = hashlib.sha1(b"blob %d\0" % file.size) if file.in_git else hashlib.sha256()
    with path.open("rb", buffering=0) as content:
        while piece := content.read(_READ):
            found.update(piece)
            tick(0)
    return found.hexdigest() == file.digest


def have(path: Path) -> int:
    """How many bytes of a file are there; 0 when it is not."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


class _Reader(threading.Thread):
    """Asks once for what is missing of a file, and writes down what comes.

    A thread of its own: however long a server is silent, the one that waits can stop.
    """

    def __init__(self, url: str, file: HubFile, target: Path, source: Source) -> None:
        super().__init__(daemon=True)
        self.error: BaseException | None = None
        self._url, self._file, self._target, self._source = url, file, target, source
        self._gate, self._stopped, self._came = threading.Lock(), False, 0

    def came(self) -> int:
        """Return by how many bytes the file has changed since the last call."""
        with self._gate:
            came, self._came = self._came, 0
        return came

    def stop(self) -> None:
        """Write nothing from now on."""
        with self._gate:
            self._stopped = True

    def run(self) -> None:
        try:
            self._ask()
        except BaseException as error:  # whoever waits raises it
            self.error = error

    def _ask(self) -> None:
        from huggingface_hub import constants
        from huggingface_hub.utils import build_hf_headers, get_session

        start = have(self._target)
        # the client leaves the token out when it is sent on to another host
        headers = build_hf_headers(library_name="tuillm") | {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        silence = float(constants.HF_HUB_DOWNLOAD_TIMEOUT)
        try:
            with get_session().stream(
                "GET", self._url, headers=headers, timeout=silence
            ) as response:
                self._refuse(response, start)
                self._take(response, start, self._offset(response, start))
        except request_errors() as error:
            raise TransientError(_reason(error)) from None

    def _refuse(self, response: Any, start: int) -> None:
        """Raise for an answer that is no content."""
        from huggingface_hub.utils import hf_raise_for_status

        if response.status_code in (200, 206):
            return
        if response.status_code == 416:
            raise TransientError(
                f"the server's file ends before byte {start:,} of {self._file.size:,}"
            )
        if response.url.netloc.decode() != host():  # the next answer sends us elsewhere
            raise TransientError(
                f"{response.url.host} answered {response.status_code}",
                retry_after(response.headers),
            )
        bounded_body(response, _READ)
        with hub_errors(self._source):
            hf_raise_for_status(response)
        raise TuillmError(f"{host()} answered {response.status_code} for {self._file.name}")

    def _offset(self, response: Any, start: int) -> int:
        """Return from which byte on an answer goes; raises for one that is not of this file."""
        if "text/html" in response.headers.get("Content-Type", "").lower():
            raise TransientError(
                "a web page came in place of the file; does the network want a login?"
            )
        if response.status_code == 200:
            length = response.headers.get("Content-Length", "")
            if length.isdecimal() and int(length) != self._file.size:
                raise TransientError(
                    f"the server has another file: {int(length):,} bytes, not {self._file.size:,}"
                )
            return 0
        told = re.match(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not told or int(told[1]) != start or told[2] not in ("*", str(self._file.size)):
            raise TuillmError(
                f"the server sends another part of {self._file.name} than was asked for",
                "try again",
            )
        return start

    def _take(self, response: Any, start: int, at: int) -> None:
        """Write a body that begins at byte `at` behind the `start` bytes that are here.

        What is here is never given up: a server without ranges sends it again, unread.
        """
        done = at
        try:
            with self._open(start) as out:
                for chunk in response.iter_raw():
                    if done + len(chunk) > self._file.size:
                        raise TransientError("the server sends more than the file has")
                    fresh = chunk[max(start - done, 0) :]
                    with self._gate:
                        if self._stopped:
                            return
                        _write(out, fresh)
                        self._came += len(fresh)
                    done += len(chunk)
                if done < self._file.size:
                    self._drop_other(response, out, start)
                    raise TransientError(
                        f"the server ended after {done:,} of {self._file.size:,} bytes"
                    )
        except OSError as error:
            raise disk_error(error, self._target) from None

    def _drop_other(self, response: Any, out: Any, start: int) -> None:
        """Forget a whole body that told no length beforehand and was too short for the file."""
        if (
            response.status_code == 200
            and "chunked" in response.headers.get("Transfer-Encoding", "").lower()
        ):
            with self._gate:
                if not self._stopped:
                    self._came -= out.tell() - start
                    out.truncate(start)

    def _open(self, start: int) -> Any:
        """Open the file behind what is there of it."""
        self._target.touch()
        out = self._target.open("r+b", buffering=0)
        out.seek(start)
        return out


def _write(out: Any, content: bytes) -> None:
    """Hand all of it to the system, which keeps it whatever becomes of this process."""
    rest = memoryview(content)
    while rest:
        rest = rest[out.write(rest[:PIECE]) :]


def _wait(seconds: float, reason: str, tick: Tick, note: Note) -> None:
    note(f"{reason}; trying again")
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.1))
        tick(0)
    note("")


def _reason(error: Exception) -> str:
    """Say how a connection ended."""
    kind = type(error).__name__
    if "Timeout" in kind:
        return "the server fell silent"
    if kind == "ConnectError":
        return "the server cannot be reached"
    return "the connection broke off"
