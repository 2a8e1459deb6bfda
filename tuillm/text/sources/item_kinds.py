"""What an item is, by its suffix and its first bytes: a table, a document, or a text.

Knows how formats begin; reads none of them.
"""

import json
import re
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from tuillm.errors import TuillmError
from tuillm.text.encodings import decode
from tuillm.text.sources.compressed import SUFFIXES
from tuillm.text.sources.items import Item
from tuillm.text.sources.json_records import holds_records
from tuillm.text.sources.open_item import head_of, without_stray_nuls
from tuillm.urls import is_dataset

TABLES = ("jsonl", "json", "csv", "tsv", "parquet", "dataset")
DOCUMENTS = ("epub", "html", "pdf", "docx")

_HEAD = 1 << 18
_SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".epub": "epub",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".pdf": "pdf",
    ".docx": "docx",
    ".txt": "",
    ".text": "",
    "": "",
}
_MAGIC = ((b"PAR1", "parquet"), (b"%PDF-", "pdf"))
_PAGE = re.compile(
    r"\s*+(?:<\?xml[^>]*+>\s*+)?(?:<!--(?:(?!-->)[^\0])*+-->\s*+)*+<(?:!doctype\s++html|html)\b",
    re.IGNORECASE,
)
_LINES = 200


def kind_of(item: Item) -> str:
    """Return one of TABLES or DOCUMENTS, or 'text'.

    Where suffix and first bytes differ, bytes that only one format begins with count; JSON among
    plain texts has to be JSON nearly everywhere. Raises TuillmError for what cannot be read.
    """
    if is_dataset(item.name):
        return "dataset"
    address = "://" in item.name
    named = _SUFFIXES.get(_suffix(item.name, address), "" if address else "text")
    head = head_of(item, _HEAD)
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head.startswith(b"PK\x03\x04"):
        return _zipped(head, named)
    if named in ("epub", "docx", "pdf", "parquet"):
        return named  # its reader says what is wrong with it
    if named == "text":
        return "text"
    if text := _decoded(head, item):
        return _by_text(text, named, whole=len(head) < _HEAD, any_json=address)
    return named if named in ("jsonl", "csv", "tsv") else "text"


def _suffix(name: str, address: bool) -> str:
    path = PurePosixPath(urlsplit(name).path if address else name)
    if path.suffix.lower() in SUFFIXES:
        path = path.with_suffix("")
    return path.suffix.lower()


def _zipped(head: bytes, named: str) -> str:
    """Return what a ZIP file is by the names of the members it begins with, else by its own."""
    if b"application/epub+zip" in head[:200] or b"META-INF/container.xml" in head:
        return "epub"
    if b"word/" in head:
        return "docx"
    return named if named in ("epub", "docx") else "text"


def _decoded(head: bytes, item: Item) -> str:
    """The text of a head without the line that its end has cut, '' where it is none."""
    if len(head) == _HEAD and b"\0" not in head:
        head = head[: head.rfind(b"\n") + 1] or head
    try:
        return decode(head, item.name, "auto", item.charset)[0]
    except TuillmError:
        stray = without_stray_nuls(head)
        return stray.decode("utf-8", "replace")


def _by_text(text: str, named: str, whole: bool, any_json: bool) -> str:
    """Return the kind of a text: `named` by its suffix, '' where that says nothing."""
    start = text.lstrip()[:1]
    if named in ("csv", "tsv"):
        return named
    if named == "html":
        return "html" if "<" in text else "text"
    if named == "jsonl":
        return "json" if start == "[" and holds_records(text) else "jsonl"
    if start == "{" and _are_objects(text, whole):
        return "jsonl"
    if named == "json" or any_json:
        if start in ("{", "[") and start and holds_records(text):
            return "json"
    return "html" if not named and _PAGE.match(text) else "text"


def _are_objects(text: str, whole: bool) -> bool:
    """Whether nearly all of the first lines are JSON objects, and there are two at least."""
    lines = text.split("\n")
    lines = [line for line in (lines if whole else lines[:-1]) if line.strip()][:_LINES]
    found = sum(_is_object(line) for line in lines)
    return found >= 2 and found >= 0.95 * len(lines) - 1


def _is_object(line: str) -> bool:
    try:
        return line.lstrip().startswith("{") and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
