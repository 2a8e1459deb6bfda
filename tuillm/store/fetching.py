"""Fetches one file of the hub, going on where an earlier attempt stopped, and checks it.

Knows ranges, patience and checksums. What has come is on the disk at once, in pieces of at most
256 KB: a process that is killed loses nothing. Knows nothing of models.
"""

import hashlib
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tuillm.errors import TuillmError
from tuillm.store.files import disk_error
from tuillm.store.hub import (
    Hiccup,
    HubFile,
    Plan,
    host,
    hub_errors,
    request_errors,
    retry_after,
)
from tuillm.store.hubnames import Source

PIECE = 1 << 18
# attempts in a row that bring nothing new, with 0.5, 1, 2, 4 and 8 seconds in between
_ATTEMPTS = 6
_LONGEST_WAIT = 300.0
_READ = 1 << 20

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
        _go_on(plan.url(file), file, target, source, tick)

    def got_on() -> bool:
        nonlocal best
        before, best = best, max(best, have(target))
        return best > before

    if have(target) > file.size:
        tick(-have(target))
        target.unlink()
    got_on()
    if have(target) < file.size or not target.exists():
        patiently(attempt, got_on, tick, note, f"{file.name} cannot be fetched to its end")


def patiently(
    action: Callable[[], Any], got_on: Callable[[], bool], tick: Tick, note: Note, failure: str = ""
) -> Any:
    """Return what `action` returns; where it raises Hiccup, wait and do it again.

    `got_on` tells whether the last attempt achieved something, which makes up for those before.
    Raises TuillmError with `failure` and the reason when too many did not.
    """
    vain = 0
    while True:
        try:
            return action()
        except Hiccup as hiccup:
            vain = 0 if got_on() else vain + 1
            if vain >= _ATTEMPTS or hiccup.wait > _LONGEST_WAIT:
                words = f"{failure}: {hiccup.reason}" if failure else hiccup.reason
                when = f" in {hiccup.wait:.0f} seconds" if hiccup.wait else " later"
                raise TuillmError(words, f"try again{when}; what has come is kept") from None
            _wait(max(hiccup.wait, 0.25 * 2**vain), hiccup.reason, tick, note)


def copy(origin: Path, target: Path, tick: Tick) -> None:
    """Bring `target` to the length of a file that lies on this machine."""
    try:
        with origin.open("rb") as old, target.open("ab", buffering=0) as new:
            tick(-new.tell())  # from the beginning: what was there came from elsewhere
            new.truncate(0)
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


def _go_on(url: str, file: HubFile, target: Path, source: Source, tick: Tick) -> None:
    """Ask once for what is missing, and write down what comes."""
    from huggingface_hub import constants
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    start = have(target)
    # the client leaves the token out when it is sent on to another host
    headers = build_hf_headers(library_name="tuillm") | {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    silence = float(constants.HF_HUB_DOWNLOAD_TIMEOUT)
    try:
        with get_session().stream("GET", url, headers=headers, timeout=silence) as response:
            if response.status_code == 416:
                raise Hiccup(f"the server's file ends before byte {start:,} of {file.size:,}")
            if response.status_code not in (200, 206):
                if response.url.netloc.decode() != host():  # the next answer sends us elsewhere
                    raise Hiccup(f"{response.url.host} answered {response.status_code}",
                                 retry_after(response.headers))
                response.read()
                with hub_errors(source):
                    hf_raise_for_status(response)
                raise TuillmError(f"{host()} answered {response.status_code} for {file.name}")
            _take(response, file, target, start, tick)
    except request_errors() as error:
        raise Hiccup(_reason(error), 0.0) from None


def _take(response: Any, file: HubFile, target: Path, start: int, tick: Tick) -> None:
    """Write down the body of an answer, behind what is there or in its place."""
    if response.status_code == 206:
        range = re.match(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not range or int(range[1]) != start or range[2] not in ("*", str(file.size)):
            raise TuillmError(f"the server sends another part of {file.name} than was asked for",
                              "try again")
    elif start:  # it does not know ranges: all comes again
        tick(-start)
        start = 0
    try:
        with target.open("r+b" if start else "wb", buffering=0) as out:
            done = out.seek(start)
            for chunk in response.iter_raw():
                if done + len(chunk) > file.size:
                    raise Hiccup("the server sends more than the file has")
                _write(out, chunk)
                done += len(chunk)
                tick(len(chunk))
    except OSError as error:
        raise disk_error(error, target) from None
    if done < file.size:
        raise Hiccup(f"the server ended after {done:,} of {file.size:,} bytes",
                     retry_after(response.headers))


def _write(out: Any, content: bytes) -> None:
    """Hand all of it to the system, which keeps it whatever becomes of this process."""
    rest = memoryview(content)
    while rest:
        rest = rest[out.write(rest[:PIECE]):]


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
