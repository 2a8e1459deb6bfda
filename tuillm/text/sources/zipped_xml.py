"""Documents that are XML in a ZIP file (EPUB, DOCX): their parts, with a bound on their size.

Entities are never declared by a document of somebody else's, so those that do it are refused:
neither can they grow without end, nor fetch anything. Knows ZIP and XML; knows no format.
"""

import posixpath
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO
from urllib.parse import unquote
from xml.parsers import expat

from tuillm.errors import TuillmError
from tuillm.text.sources.items import Item
from tuillm.text.sources.open_item import MB, READ_ERRORS, seekable

_LARGEST_FILE = 1024 * MB
# all parts that are read of one document together, unpacked
_LARGEST = 256 * MB
_MOST_PARTS = 100_000
_PIECE = 1 << 16
# also what zipfile says of passwords and of compression that it does not know
_ERRORS = (*READ_ERRORS, RuntimeError, ValueError, UnicodeError)


class ZippedParts:
    """The parts of a document by their names, read until they are too much together."""

    def __init__(self, archive: zipfile.ZipFile, name: str, what: str) -> None:
        self._archive, self._name, self._what = archive, name, what
        self._left = _LARGEST
        self._entries = {info.filename: info for info in archive.infolist()}
        self._folded = {filename.lower(): filename for filename in self._entries}

    def __contains__(self, part: str) -> bool:
        return part in self._entries or part.lower() in self._folded

    def names(self) -> list[str]:
        """The names of all parts."""
        return list(self._entries)

    def content(self, part: str) -> bytes:
        """Return a part; raises TuillmError where it is damaged, or the document too large."""
        return b"".join(self._pieces(part))

    def parse(
        self,
        part: str,
        start: Callable[[str, dict[str, str]], None],
        end: Callable[[str], None] = lambda name: None,
        text: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Call `start`, `end` and `text` for what a part of XML holds; names without prefixes.

        Raises TuillmError where it is damaged, too large, or declares entities.
        """
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.EntityDeclHandler = self._refuse_entities
        parser.StartElementHandler = lambda name, attributes: start(
            _local(name), {_local(key): value for key, value in attributes.items()}
        )
        parser.EndElementHandler = lambda name: end(_local(name))
        parser.CharacterDataHandler = text
        try:
            for piece in self._pieces(part):
                parser.Parse(piece, False)
            parser.Parse(b"", True)
        except (expat.ExpatError, LookupError, ValueError) as error:  # encodings, too
            raise self.damaged(f"its part {part}, {error}") from None

    def damaged(self, why: str) -> TuillmError:
        """The error for a document that is not as its format says."""
        return TuillmError(f"{self._name} is no {self._what}, or damaged: {why}", "is it whole?")

    def _pieces(self, part: str) -> Iterator[bytes]:
        entry = self._entries.get(part) or self._entries.get(self._folded.get(part.lower(), ""))
        if entry is None:
            raise self.damaged(f"it has no part {part}")
        if entry.flag_bits & 1:
            raise TuillmError(f"{self._name} is encrypted", "save it without a password")
        try:
            with self._archive.open(entry) as file:
                while piece := file.read(_PIECE):
                    self._left -= len(piece)
                    if self._left < 0:
                        raise TuillmError(
                            f"{self._name} is too large: unpacked it has more than "
                            f"{_LARGEST // MB} MB",
                            "save its text as plain text (.txt)",
                        )
                    yield piece
        except _ERRORS as error:
            raise self.damaged(f"its part {part}, {error}") from None

    def _refuse_entities(self, *declared: object) -> None:
        raise self.damaged("it declares entities, which no such document needs")


@contextmanager
def zipped_parts(item: Item, what: str) -> Iterator[ZippedParts]:
    """Open a document that is a ZIP file; `what` is the name of its format.

    Raises TuillmError for what is none, is damaged, or has more parts than any document.
    """
    with seekable(item, _LARGEST_FILE) as file:
        with _archive(file, item, what) as archive:
            parts = ZippedParts(archive, item.name, what)
            if len(parts.names()) > _MOST_PARTS:
                raise parts.damaged(f"it has {len(parts.names()):,} parts")
            yield parts


def resolved(base: str, target: str) -> str:
    """Return the name of the part that a part `base` means by `target`."""
    plain = unquote(target.partition("#")[0])
    path = posixpath.normpath(posixpath.join("/", posixpath.dirname(base), plain))
    return path.lstrip("/")


def _archive(file: BinaryIO, item: Item, what: str) -> zipfile.ZipFile:
    start = file.read(4)
    if start == b"\xd0\xcf\x11\xe0":
        raise TuillmError(
            f"{item.name} is an encrypted document, or one of an old version of Word",
            "save it as .docx without a password, or as plain text (.txt)",
        )
    try:
        return zipfile.ZipFile(file)
    except _ERRORS:
        raise TuillmError(f"{item.name} is no {what}, or damaged", "is it whole?") from None


def _local(name: str) -> str:
    return name.rpartition(" ")[2]
