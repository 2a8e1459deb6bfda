"""Downloads one file over HTTP: ranges, limits, retries, checksums. The only place that does.

What has come is on the disk at once, in pieces of at most 256 KB: a process that is killed loses
nothing, and the next attempt asks for the rest. Knows no HTTP client: a `Remote` asks the server,
with whatever library and secrets that takes, and redirects are that library's.
"""

import hashlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from tuillm.errors import TuillmError
from tuillm.store.files import disk_error
from tuillm.store.retry import ATTEMPTS, Note, Tick, TransientError, retry_with_backoff

PIECE = 1 << 18
_READ = 1 << 20
_POLL_EVERY = 0.05


@dataclass(frozen=True)
class Answer:
    """What a server answers, 200 or 206: `body` yields the bytes as they come."""

    status: int
    headers: Mapping[str, str]
    body: Iterator[bytes]


class Remote(Protocol):
    """A file that a server has.

    `shown` is how messages name it; `size` its length in bytes where that is known beforehand;
    more than `limit` bytes are refused. `immutable` is a file that never changes under its
    address: what is here of it is never given up. Of any other, what is here is kept only while
    the server says by 206 that it goes on with the same file.
    """

    @property
    def shown(self) -> str: ...
    @property
    def size(self) -> int | None: ...
    @property
    def limit(self) -> int: ...
    @property
    def immutable(self) -> bool: ...

    def get(self, start: int) -> AbstractContextManager[Answer]:
        """Ask for the bytes from `start` on.

        Raises TransientError for what may pass, TuillmError for a refusal; so do the `with` and
        the body for what comes to pass while it is read. An OSError is the disk's.
        """
        ...


def fetch_file(
    remote: Remote,
    target: Path,
    tick: Tick,
    note: Note,
    failure: str,
    *,
    attempts: int = ATTEMPTS,
    kept: Callable[[], bool] = lambda: True,
) -> None:
    """Fetch what `target` lacks of a file; return when it is whole.

    Broken connections and busy servers are tried again, as long as something new comes or
    `attempts` times in a row; `kept` is whether what has come is of use to a later call. Raises
    TuillmError, beginning with `failure`, when that is of no use; when the server refuses, when the
    file is over its limit, when the disk is full.
    """
    best = -1

    def attempt() -> None:
        reader = _Reader(remote, target)
        reader.start()
        try:
            while reader.is_alive():
                reader.join(_POLL_EVERY)
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

    def of_use() -> bool:
        return have(target) > 0 and kept()

    if remote.size is not None and have(target) > remote.size:
        tick(-have(target))
        target.unlink()
    got_on()
    if remote.size is None or have(target) < remote.size or not target.exists():
        retry_with_backoff(attempt, got_on, tick, note, failure, of_use, attempts)


def matches(path: Path, size: int, digest: str, tick: Tick) -> bool:
    """Whether a file has that length and checksum: a sha256, or the 40 digits of a git blob."""
    if have(path) != size:
        return False
    found = hashlib.sha1(b"blob %d\0" % size) if len(digest) == 40 else hashlib.sha256()
    with path.open("rb", buffering=0) as content:
        while piece := content.read(_READ):
            found.update(piece)
            tick(0)
    return found.hexdigest() == digest


def have(path: Path) -> int:
    """How many bytes of a file are there; 0 when it is not."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def content_length(headers: Mapping[str, str]) -> int | None:
    """The length in bytes that an answer tells of its body; None where it tells none."""
    told = headers.get("Content-Length", "")
    compressed = headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity")
    known = told.isascii() and told.isdigit() and len(told) < 20 and not compressed
    return int(told) if known else None


def write_through(out: BinaryIO, content: bytes) -> None:
    """Hand all of it to the system, which keeps it whatever becomes of this process."""
    rest = memoryview(content)
    while rest:
        rest = rest[out.write(rest[:PIECE]) :]


class _Reader(threading.Thread):
    """Asks once for what is missing of a file, and writes down what comes.

    A thread of its own: however long a server is silent, the one that waits can stop.
    """

    def __init__(self, remote: Remote, target: Path) -> None:
        super().__init__(daemon=True)
        self.error: BaseException | None = None
        self._remote, self._target = remote, target
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
            start = have(self._target)
            with self._remote.get(start) as answer:
                whole = self._expected(answer, start)
                with self._open(start) as out:
                    self._take(answer, out, start, whole)
        except OSError as error:
            self.error = disk_error(error, self._target)
        except BaseException as error:  # whoever waits raises it
            self.error = error

    def _expected(self, answer: Answer, start: int) -> int | None:
        """Return the length of the whole file, None where nobody knows it.

        Raises for an answer that is another part, another file, or over the limit.
        """
        whole = self._remote.size
        if answer.status == 200:
            length = content_length(answer.headers)
            if whole is not None and length not in (None, whole):
                raise TransientError(
                    f"the server has another file: {length:,} bytes, not {whole:,}"
                )
            whole = length if whole is None else whole
        else:
            told = re.match(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
            total = int(told[2]) if told and told[2] != "*" else whole
            if not told or int(told[1]) != start or whole not in (None, total):
                raise TuillmError(
                    f"the server sends another part of {self._remote.shown} than was asked for",
                    "try again",
                )
            whole = total
        self._check_limit(whole or 0)
        return whole

    def _check_limit(self, size: int) -> None:
        if size > self._remote.limit:
            raise TuillmError(
                f"{self._remote.shown} is larger than {self._remote.limit / 1e6:g} MB"
            )

    def _take(self, answer: Answer, out: BinaryIO, start: int, whole: int | None) -> None:
        """Write a body behind the `start` bytes that are here, or in their place.

        Of a file that never changes nothing is given up: a server without ranges sends it again,
        unread.
        """
        done = start if answer.status == 206 else 0
        if not done and start and not self._remote.immutable:
            self._truncate(out, 0)
            start = 0
        for chunk in answer.body:
            if whole is not None and done + len(chunk) > whole:
                raise TransientError("the server sends more than the file has")
            fresh = chunk[max(start - done, 0) :]
            self._check_limit(done + len(chunk))
            with self._gate:
                if self._stopped:
                    return
                write_through(out, fresh)
                self._came += len(fresh)
            done += len(chunk)
        if whole is not None and done < whole:
            if (
                answer.status == 200
                and "chunked" in answer.headers.get("Transfer-Encoding", "").lower()
            ):  # a whole body that told no length beforehand: it is another file
                self._truncate(out, start)
            raise TransientError(f"the server ended after {done:,} of {whole:,} bytes")

    def _truncate(self, out: BinaryIO, size: int) -> None:
        with self._gate:
            if not self._stopped:
                self._came -= out.seek(0, 2) - size
                out.truncate(size)
                out.seek(size)

    def _open(self, start: int) -> BinaryIO:
        """Open the file behind what is there of it."""
        self._target.touch()
        out = self._target.open("r+b", buffering=0)
        out.seek(start)
        return out
