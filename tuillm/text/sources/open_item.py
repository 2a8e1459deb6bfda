"""Items opened for their readers: bytes with a bound, files that can be sought in, text in pieces.

Whatever a disk, an archive or a damaged file answers becomes one line. Knows bytes and encodings;
knows no format.
"""

import codecs
import io
import lzma
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, cast

from tuillm.errors import TuillmError
from tuillm.store.files import disk_error
from tuillm.store.http_download import write_through
from tuillm.text.encodings import HALF, marking_decoder, named_decoder
from tuillm.text.sources.items import Item
from tuillm.text.sources.seekable import Spool

MB = 1 << 20
# the longest line, the longest record, in characters
LONGEST = 64 * MB
# what reading a file may raise that is no text of ours, the members of archives included
READ_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
_PIECE = MB


def unreadable(item: Item, error: BaseException) -> TuillmError:
    """Put into one line why the bytes of an item cannot be had."""
    reason = error.strerror if isinstance(error, OSError) else ""
    return TuillmError(f"cannot read {item.name}: {reason or error or 'it ends too early'}")


def needs_extra(name: str, what: str, library: str, extra: str) -> None:
    """Raise TuillmError where the library that reads `what` is not installed."""
    if find_spec(library) is None:
        raise TuillmError(
            f"{name} is {what}, and the library {library} that reads it is not installed",
            f"pip install 'tuillm[{extra}]'",
        )


def head_of(item: Item, most: int) -> bytes:
    """Return the first `most` bytes of an item, or all; raises TuillmError."""
    try:
        with item.open() as file:
            return _read(file, most)
    except READ_ERRORS as error:
        raise unreadable(item, error) from None


def content_of(item: Item, most: int) -> bytes:
    """Return all bytes of an item; raises TuillmError, also where there are more than `most`."""
    content = head_of(item, most + 1)
    if len(content) > most:
        raise _too_large(item, most)
    return content


@contextmanager
def seekable(item: Item, most: int) -> Iterator[BinaryIO]:
    """Open an item so that it can be sought in: a file itself, of what is in an archive a copy.

    Raises TuillmError where the item cannot be read or the copy has more than `most` bytes,
    DiskError where there is no room for it.
    """
    try:
        file = item.open()
        if not file.seekable():
            file.close()
            file = Spool(item.open, item.name, most).open()
    except READ_ERRORS as error:
        raise unreadable(item, error) from None
    with file:
        yield file


def temporary_file(buffering: int = -1) -> BinaryIO:
    """Return a new file without a name; raises DiskError where there can be none."""
    try:
        return cast(BinaryIO, tempfile.TemporaryFile(buffering=buffering))
    except OSError as error:
        raise disk_error(error, Path(tempfile.tempdir or "/tmp")) from None


@contextmanager
def on_disk(item: Item, most: int) -> Iterator[BinaryIO]:
    """Open a copy of an item in a file without a name, for a process of ours to read.

    Raises TuillmError where the item cannot be read or has more than `most` bytes, DiskError where
    there is no room for it.
    """
    with temporary_file(buffering=0) as copy:  # what is not written yet would be at its close
        try:
            with item.open() as file:
                _copy(item, file, copy, most)
        except READ_ERRORS as error:
            raise unreadable(item, error) from None
        copy.seek(0)
        yield copy


def text_pieces(item: Item, notes: list[str], encoding: str = "auto") -> Iterator[str]:
    """Yield the text of an item in pieces of a megabyte or so, line ends as \\n.

    Unless it is named, the encoding is found as by `encodings.decode`, by the first piece that has
    more than ASCII; what could not be decoded becomes U+FFFD and is told in `notes` at the end.
    Raises TuillmError for what cannot be read and for binary data.
    """
    ends = io.IncrementalNewlineDecoder(None, translate=True)
    decoder = None if encoding == "auto" else named_decoder(encoding)
    bad, first = 0, True
    for piece in _byte_pieces(item):
        if decoder is None and (first or not piece.isascii() or b"\x1b" in piece):
            found, decoder = _decoder(piece, item, first)
            if found != "utf-8":
                notes.append(f"{item.name}: read as {found.replace('_', '-')}")
            elif piece.isascii():
                decoder = None  # what comes may tell
        text, count = _decoded(decoder, piece, item) if decoder else (piece.decode("ascii"), 0)
        bad += count
        yield ends.decode(text.removeprefix("\ufeff") if first else text)
        first = False
    rest, count = _decoded(decoder, b"", item) if decoder else ("", 0)
    bad += count
    yield ends.decode(rest, True)
    if bad:
        notes.append(f"{item.name}: {bad:,} places could not be decoded and became U+FFFD")


def without_stray_nuls(content: bytes) -> bytes:
    """Return the bytes without NULs where these are few; b'' where there are none, or many."""
    few = 0 < content.count(b"\0") <= content.count(b"\n")
    return content.replace(b"\0", b"") if few else b""


def bounded_lines(pieces: Iterable[str]) -> Iterator[str | None]:
    """Yield the lines of a text without their ends, None for one longer than LONGEST."""
    parts: list[str] = []
    length = 0
    for piece in pieces:
        for number, more in enumerate(piece.split("\n")):
            if number:
                yield "".join(parts) if length <= LONGEST else None
                parts, length = [], 0
            length += len(more)
            if length <= LONGEST:
                parts.append(more)
            else:
                parts = []
    if length:
        yield "".join(parts) if length <= LONGEST else None


def _decoder(piece: bytes, item: Item, first: bool) -> tuple[str, codecs.IncrementalDecoder]:
    """Find the encoding by a piece, cut where no character can be cut."""
    sample = piece
    if len(piece) == _PIECE and b"\0" not in piece:
        whole = piece[: piece.rfind(b"\n") + 1]
        sample = piece if whole.isascii() else whole
    try:
        return marking_decoder(sample, item.name, item.charset)
    except TuillmError:
        if stray := without_stray_nuls(sample):
            return marking_decoder(stray, item.name, item.charset)
        if first:
            raise
        return marking_decoder(b"", item.name)


def _decoded(decoder: codecs.IncrementalDecoder, piece: bytes, item: Item) -> tuple[str, int]:
    """Return the text of a piece, an empty one for the last, and how many places became U+FFFD.

    Some encodings that can be named have half surrogate pairs, which are no characters either.
    """
    try:
        return HALF.subn("\ufffd", decoder.decode(piece, not piece))
    except UnicodeError as error:  # UTF-16 without the mark that tells which of its two it is
        raise TuillmError(
            f"{item.name} is not in the encoding that was named: {error}",
            "leave --encoding out to have it guessed",
        ) from None


def _byte_pieces(item: Item) -> Iterator[bytes]:
    try:
        with item.open() as file:
            while piece := _read(file, _PIECE):
                yield piece
    except READ_ERRORS as error:
        raise unreadable(item, error) from None


def _copy(item: Item, file: BinaryIO, copy: BinaryIO, most: int) -> None:
    """Copy an item, what it answers told apart from what the disk of the copy does."""
    size = 0
    while True:
        try:
            piece = file.read(_PIECE)
        except READ_ERRORS as error:
            raise unreadable(item, error) from None
        if not piece:
            return
        size += len(piece)
        if size > most:
            raise _too_large(item, most)
        try:
            write_through(copy, piece)
        except OSError as error:
            raise disk_error(error, Path(tempfile.gettempdir())) from None


def _too_large(item: Item, most: int) -> TuillmError:
    return TuillmError(
        f"{item.name} is too large: {most // MB:,} MB are the most there can be",
        "save its text as plain text (.txt), which may be larger",
    )


def _read(file: BinaryIO, most: int) -> bytes:
    """Read up to `most` bytes, also from what gives a few at a time."""
    pieces, size = [], 0
    while size < most and (piece := file.read(min(most - size, _PIECE))):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)
