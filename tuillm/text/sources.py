"""Reads what a person calls a book: files and addresses become one clean text with its facts.

Knows encodings and line ends; does not know what a token is. Whatever was changed or guessed
on the way is said in `Corpus.notes`.
"""

import codecs
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from tuillm.errors import TuillmError, did_you_mean
from tuillm.text.download import download, is_url


@dataclass(frozen=True)
class Corpus:
    """The text of one or more documents, in order, and what is known about it."""

    documents: tuple[str, ...]
    label: str
    notes: tuple[str, ...]

    @property
    def text(self) -> str:
        """All documents in one string."""
        return "".join(self.documents)

    @property
    def characters(self) -> int:
        """How many Unicode characters the documents have together."""
        return sum(map(len, self.documents))

    @property
    def bytes(self) -> int:
        """How many UTF-8 bytes the documents have together."""
        return sum(len(document.encode()) for document in self.documents)

    @property
    def sha256(self) -> str:
        """Hash of the documents and of where one ends and the next begins."""
        digest = hashlib.sha256()
        for document in self.documents:
            content = document.encode()
            digest.update(len(content).to_bytes(8, "little") + content)
        return digest.hexdigest()


def read_corpus(sources: tuple[str, ...], encoding: str = "auto") -> Corpus:
    """Read text files and http(s) addresses, each as one document.

    Raises TuillmError for a source that is missing, a directory, empty, binary, or not in
    `encoding`; `auto` tries UTF-8, UTF-16 with its mark, then cp1252.
    """
    if not sources:
        raise TuillmError("no text was named", "tuillm train BOOK.txt")
    documents, notes = [], []
    for source in sources:
        text, remarks = _decode(_read(source), source, encoding)
        if not text.strip():
            raise TuillmError(f"{source} is empty", "a book of 10 KB or more is a good start")
        if len(text) < 2:
            raise TuillmError(f"{source} has only 1 character; there is nothing to learn from it")
        documents.append(text)
        notes += remarks
    label = Path(sources[0]).name if len(sources) == 1 else f"{len(sources)} texts"
    return Corpus(tuple(documents), label, tuple(notes))


def _read(source: str) -> bytes:
    path = download(source) if is_url(source) else Path(os.path.expanduser(source))
    if os.path.isdir(path):  # Path.is_dir raises for a name that is too long
        raise TuillmError(f"{source} is a directory", f"name its files: {source}/*.txt")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        beside = path.parent.glob("*") if path.parent.is_dir() else ()
        hint = did_you_mean(path.name, [entry.name for entry in beside if entry.is_file()])
        raise TuillmError(f"{source} does not exist", hint or "check the path") from None
    except OSError as error:
        raise TuillmError(f"cannot read {source}: {error.strerror}") from None


def _decode(content: bytes, source: str, encoding: str) -> tuple[str, list[str]]:
    """Return the text with its line ends as \\n, and remarks on what was found."""
    remarks: list[str] = []
    if encoding != "auto":
        text = _decode_as(content, source, encoding)
        if text.startswith("\ufeff"):
            text, remarks = text[1:], [f"{source}: a byte order mark was left out"]
    else:
        text, remarks = _detect(content, source)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        remarks.append(f"{source}: line ends CRLF or CR were read as LF")
    return text, remarks


def _decode_as(content: bytes, source: str, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise TuillmError(
            f"{source} is not {encoding} text: byte {error.start} is 0x{content[error.start]:02x}"
        ) from None
    except (LookupError, ValueError):
        raise TuillmError(
            f"unknown encoding {encoding!r}", "for example utf-8, cp1252 or cp1251"
        ) from None


def _detect(content: bytes, source: str) -> tuple[str, list[str]]:
    for mark, encoding in ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"),
                           (codecs.BOM_UTF16_BE, "utf-16-be")):
        if content.startswith(mark):
            text = _decode_as(content[len(mark):], source, encoding)
            return text, [f"{source}: a byte order mark ({encoding.upper()}) was left out"]
    if _looks_binary(content):
        raise TuillmError(f"{source} is not text but binary data", "save it as plain UTF-8 text")
    try:
        return content.decode("utf-8"), []
    except UnicodeDecodeError:
        pass
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        raise TuillmError(
            f"{source} is neither UTF-8 nor cp1252 text", "name its encoding with --encoding"
        ) from None
    return text, [f"{source}: not UTF-8, read as cp1252; name another with --encoding"]


def _looks_binary(content: bytes) -> bool:
    """Whether the bytes hold NUL or many control characters, which no text does."""
    head = content[:65_536]
    controls = sum(head.count(byte) for byte in range(32) if byte not in b"\t\n\r\f\x1b")
    return b"\0" in content or controls > len(head) // 20
