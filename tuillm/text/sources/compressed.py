"""Streams of gzip, bzip2, xz and zstd, decompressed piece by piece and within bounds.

What is compressed is told by its first bytes. Several streams one behind the other are one, as for
the programs that write them. Knows nothing of what is inside.
"""

import bz2
import io
import lzma
import re
import sys
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol

from tuillm.text.sources.seekable import UnreadableError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# a text is hardly ever compressed to a hundredth of its length
RATIO = 1000
# below this nobody asks for the ratio
SMALL = 100_000_000
# the most that one archive may hold unpacked
TOTAL = 200_000_000_000
_XZ_MEMORY = 1 << 30
# small pieces: a bomb of a few KB is known before it has grown, and many tiny streams cost little
_PIECE = 1 << 14
_BUFFER = 1 << 17
_MAGIC = (
    ("gzip", re.compile(rb"\x1f\x8b\x08")),
    ("bzip2", re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")),
    ("xz", re.compile(rb"\xfd7zXZ\0")),
    ("zstd", re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", re.DOTALL)),
)
# the ends of names, and what is left of them inside
SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
_FAULTS = (zlib.error, lzma.LZMAError, zstd.ZstdError, OSError, EOFError, ValueError, MemoryError)


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def codec_of(head: bytes) -> str:
    """Return `gzip`, `bzip2`, `xz` or `zstd` for a file that begins so, else ''."""
    return next((codec for codec, magic in _MAGIC if magic.match(head)), "")


def first_bytes(head: bytes, codec: str, most: int) -> bytes:
    """Return what a file that begins with `head` holds at first, as far as that can be told."""
    try:
        return _MAKERS[codec]().decompress(head, most)
    except _FAULTS:
        return b""


def total_limit(size: int) -> int:
    """Return how many bytes an archive of `size` bytes may hold unpacked, all in all."""
    return min(TOTAL, max(SMALL, RATIO * size))


def decompressed(source: BinaryIO, codec: str, shown: str, limit: int = TOTAL) -> BinaryIO:
    """Return what `source`, which is closed with it, holds decompressed; it cannot seek.

    Reading raises UnreadableError where it is damaged or cut off, where it grows to more than
    `limit` bytes, or to a thousand times what was read beyond 100 MB.
    """
    return io.BufferedReader(_Decompressed(source, codec, shown, limit), _BUFFER)


def too_much(shown: str, size: int) -> UnreadableError:
    """The error for what unpacks to more than anybody's text."""
    return UnreadableError(
        f"{shown} unpacks to more than {size / 1e6:,.0f} MB, which its size does not bear out",
        "if it is what you want, unpack it yourself and name what came out",
    )


class _Decompressed(io.RawIOBase):
    def __init__(self, source: BinaryIO, codec: str, shown: str, limit: int) -> None:
        self._source, self._codec, self._shown, self._limit = source, codec, shown, limit
        self._magic = dict(_MAGIC)[codec]
        self._one: _Decompressor | None = _MAKERS[codec]()
        self._pending, self._read, self._done = b"", 0, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = b""
        while not content and self._one and len(buffer):
            content = self._step(self._one, len(buffer))
        buffer[: len(content)] = content
        self._done += len(content)
        if self._done > self._limit or self._done > max(SMALL, RATIO * self._read):
            raise too_much(self._shown, self._done)
        return len(content)

    def _step(self, one: _Decompressor, most: int) -> bytes:
        """Return some bytes; none where a stream of several has ended."""
        piece, self._pending = self._pending, b""
        if not piece and one.needs_input:
            piece = self._next_piece()
        try:
            content = one.decompress(piece, most)
        except _FAULTS as error:
            raise self._damaged(error) from None
        if one.eof:
            self._one = self._following(one.unused_data)
        elif not content and not piece and one.needs_input:
            raise UnreadableError(f"{self._shown} is cut off", "fetch or copy it again")
        return content

    def _following(self, rest: bytes) -> _Decompressor | None:
        """Return what decompresses the next stream of the file, if there is one."""
        while not (rest := rest.lstrip(b"\0") if self._codec in ("gzip", "xz") else rest):
            if not (rest := self._next_piece()):
                return None
        while len(rest) < 10 and (more := self._next_piece()):
            rest += more
        if not self._magic.match(rest):
            raise UnreadableError(
                f"{self._shown} is damaged: behind a whole {self._codec} stream something else "
                "follows",
                "fetch or copy it again",
            )
        self._pending = rest
        return _MAKERS[self._codec]()

    def _next_piece(self) -> bytes:
        piece = self._source.read(_PIECE)
        self._read += len(piece)
        return piece

    def _damaged(self, error: Exception) -> UnreadableError:
        if "emory" in str(error) or isinstance(error, MemoryError):  # of zstd and of xz
            return UnreadableError(
                f"{self._shown} takes more than {_XZ_MEMORY >> 30} GB of memory to unpack",
                "unpack it yourself and name what came out",
            )
        return UnreadableError(
            f"{self._shown} is damaged: it is no whole {self._codec} file", "fetch or copy it again"
        )

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._source.close()


class _Gunzip:
    """zlib's decompressor for one gzip stream, as the others are."""

    def __init__(self) -> None:
        self._zlib, self._rest = zlib.decompressobj(31), b""

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._rest and not self.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        content = self._zlib.decompress(self._rest + data, max_length)
        self._rest = self._zlib.unconsumed_tail
        return content


def _zstd() -> _Decompressor:
    most = zstd.DecompressionParameter.window_log_max.bounds()[1]
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: most})


_MAKERS: dict[str, Callable[[], _Decompressor]] = {
    "gzip": _Gunzip,
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY),
    "zstd": _zstd,
}
