"""Files that are not the text they seem to be: what they are, and what to do with them.

Judges by how a file begins and is built, so a book *about* HTML or JSON is a book. Knows formats;
does not know where the bytes came from.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass

from tuillm.errors import TuillmError

_HEAD = 1 << 16
AS_TEXT = "to learn it as it is: --as-text"


@dataclass(frozen=True)
class Found:
    """What a file is, with its article, and what makes a plain text of it.

    `readable` is what has a reader of its own, and is kept where other files are passed over.
    """

    what: str
    advice: str
    readable: bool = False

    def refusal(self, source: str) -> TuillmError:
        """The error for a source that is not learned without being told to."""
        return TuillmError(f"{source} is {self.what}, not plain text", self.advice)


_OFFICE = "save it as plain text (.txt) in the program that wrote it"
_PAGE = f"save the text of the page, without its tags; {AS_TEXT}"
_BOOK = "turn it into plain text, for example: ebook-convert BOOK BOOK.txt"
_UNPACK = "unpack it and name the text inside"
# the first bytes of a file: nothing of these can be learned as it is
_MAGIC: tuple[tuple[bytes, Found], ...] = (
    (b"\xd0\xcf\x11\xe0", Found("an old Word or Office document", _OFFICE)),
    (b"\x1f\x8b", Found("gzip-compressed", "unpack it: gunzip FILE")),
    (b"BZh", Found("bzip2-compressed", "unpack it: bunzip2 FILE")),
    (b"\xfd7zXZ\0", Found("xz-compressed", "unpack it: unxz FILE")),
    (b"\x28\xb5\x2f\xfd", Found("zstd-compressed", "unpack it: unzstd FILE")),
    (b"7z\xbc\xaf\x27\x1c", Found("a 7z archive", _UNPACK)),
    (b"Rar!\x1a\x07", Found("a RAR archive", _UNPACK)),
    (b"AT&TFORM", Found("a DjVu book", "turn it into plain text: djvutxt BOOK BOOK.txt")),
    (b"PAR1", Found("a Parquet table", "write its text to a plain text file first", True)),
    (b"SQLite format 3\0", Found("an SQLite database", "write its text to a file first")),
    (b"\x89PNG", Found("a PNG picture", "a model learns from text")),
    (b"\xff\xd8\xff", Found("a JPEG picture", "a model learns from text")),
    (b"GIF8", Found("a GIF picture", "a model learns from text")),
)
_EPUB = Found("an EPUB book", _BOOK, True)
_DOCX = Found("a Word document (DOCX)", _OFFICE, True)
_ODT = Found("an OpenDocument text", _OFFICE)
_ZIPPED = ((b"application/epub+zip", _EPUB), (b"word/", _DOCX), (b"vnd.oasis.opendocument", _ODT))
_OFFICE_FOLDERS = (
    ("word/", _DOCX),
    ("xl/", Found("an Excel table (XLSX)", "save it as CSV in the program that wrote it")),
    ("ppt/", Found("a PowerPoint presentation (PPTX)", _OFFICE)),
)
# possessive: nothing in a hostile file makes the search go back and forth
_COMMENTS = r"(?:<!--(?:(?!-->)[^\0])*+-->\s*+)*+"
# how the text of a file begins: learned only when the person says so
_OPENINGS: tuple[tuple[str, Found], ...] = (
    (r"%PDF-\d", Found("a PDF", "turn it into plain text: pdftotext BOOK.pdf BOOK.txt", True)),
    (r"%!PS", Found("a PostScript document", "turn it into plain text: ps2ascii FILE BOOK.txt")),
    (r"\{\\rtf", Found("an RTF document", f"{_OFFICE}; {AS_TEXT}")),
    (
        r"version https://git-lfs\.github\.com/spec/",
        Found("a git-LFS pointer, not the file itself", "fetch the file: git lfs pull"),
    ),
    (r"HTTP/\d(?:\.\d)? \d{3}\b", Found("a web server's answer with its headers", _PAGE)),
    (
        r"(?:From: <Saved by |MIME-Version: 1\.0\s[^\0]{0,400}multipart/related)",
        Found("a saved web page (MHTML)", _PAGE),
    ),
    (rf"{_COMMENTS}<(?:!doctype\s+html|html|head|body)\b", Found("a web page (HTML)", _PAGE, True)),
    (
        rf"(?:<\?xml[^>]*>\s*)?{_COMMENTS}(?:<!doctype[^>]*>\s*)?<svg\b",
        Found("a picture (SVG)", f"a model learns from text; {AS_TEXT}"),
    ),
    (r"(?:<\?xml[^>]*>\s*)?<FictionBook\b", Found("an FB2 book", f"{_BOOK}; {AS_TEXT}")),
    (
        rf"<\?xml\b[^>]*>\s*{_COMMENTS}(?:<!doctype[^>]*>\s*)?<html\b",
        Found("a web page (XHTML)", _PAGE, True),
    ),
    (r"<\?xml\b", Found("an XML document", f"take its text out, without the tags; {AS_TEXT}")),
)
_TAG = re.compile(
    r"</?(?:a|abbr|article|b|blockquote|br|div|em|font|h[1-6]|hr|i|img|li|link|meta|"
    r"nav|ol|p|pre|script|section|span|strong|style|table|tbody|td|th|title|tr|ul)"
    r"\b[^<>]{0,500}>",
    re.IGNORECASE,
)
_KEYED = re.compile(r'\s*[\[{]\s*[\[{]?\s*"[^"\n]{1,80}"\s*:')
_ESCAPE = re.compile(
    r"(?:\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|&#x?[0-9a-fA-F]{1,6};|"
    r"=[0-9A-F]{2}|%[0-9A-F]{2})"
)
# with letters of both cases and digits, as genes and rows of letters have not
_BASE64_LINE = re.compile(
    r"^(?=[A-Z0-9+/]*[a-z])(?=[a-z0-9+/]*[A-Z])(?=[A-Za-z+/]*[0-9])"
    r"[A-Za-z0-9+/]{60,}={0,2}$",
    re.MULTILINE,
)


def recognize(content: bytes) -> Found | None:
    """Return what a file is by its first 64 KB, or None for a text in an encoding or another."""
    if found := recognize_binary(content):
        return found
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    return recognize_text(content[:_HEAD].decode("utf-16" if wide else "utf-8", "replace"))


def recognize_binary(content: bytes) -> Found | None:
    """Return what a file is whose first bytes are no text."""
    for magic, found in _MAGIC:
        if content.startswith(magic):
            return found
    if content.startswith(b"PK\x03\x04"):
        head = content[:4096]
        return next(
            (found for mark, found in _ZIPPED if mark in head), Found("a ZIP archive", _UNPACK)
        )
    if content[60:68] == b"BOOKMOBI":
        return Found("a Kindle book", _BOOK)
    if content[257:262] == b"ustar":
        return Found("a tar archive", "unpack it: tar -xf FILE")
    return None


def recognize_zipped(names: Collection[str], mimetype: bytes) -> Found | None:
    """Return what a ZIP file is that is no archive, by what is in it and its file `mimetype`."""
    if b"application/epub+zip" in mimetype or "META-INF/container.xml" in names:
        return _EPUB
    if b"vnd.oasis.opendocument" in mimetype:
        return _ODT
    if "[Content_Types].xml" in names:
        for folder, found in _OFFICE_FOLDERS:
            if any(name.startswith(folder) for name in names):
                return found
    return None


def recognize_text(text: str) -> Found | None:
    """Return what a text is, when it is no book but something that is made of text."""
    head = text[:_HEAD].lstrip("\ufeff \t\r\n\f")
    for opening, found in _OPENINGS:
        if re.match(opening, head, re.IGNORECASE):
            return found
    if head.startswith("<") and _TAG.match(head) and _covered(_TAG, head) > 0.25:
        return Found("a piece of a web page (HTML)", _PAGE, True)
    if head.startswith(("{", "[")) and (found_json := _json(head, whole=len(text) <= _HEAD)):
        return found_json
    if _covered(_ESCAPE, head) > 0.3:
        return Found(
            f"written in escapes, such as {_ESCAPE.search(head)[0]}",  # type: ignore[index]
            f"decode it to plain text first; {AS_TEXT}",
        )
    if _is_base64(head):
        return Found("data in base64", f"decode it first: base64 -d FILE; {AS_TEXT}")
    return None


def remarks_on(text: str, source: str) -> list[str]:
    """Return a remark for what is learned all the same, and that a person may not expect there."""
    head = text[:_HEAD]
    remarks = []
    share = _covered(_BASE64_LINE, text) if _BASE64_LINE.search(text) else 0.0
    if share > 0.02:
        remarks.append(f"{source}: {share:.0%} of it are lines of base64, which teach nothing")
    if columns := _columns(head):
        remarks.append(
            f"{source}: looks like a table of {columns} columns; it is learned line by "
            "line as it is"
        )
    return remarks


def _json(head: str, whole: bool) -> Found | None:
    lines = [line for line in head.split("\n") if line.strip()]
    lines = lines[: len(lines) - (not whole)][:20]  # the last one may be cut
    rows = [row for line in lines if isinstance(row := _parsed(line), dict) and row]
    if len(rows) > whole and len(rows) == len(lines):
        texts = {name: value for name, value in rows[0].items() if isinstance(value, str)}
        longest = max(texts, key=lambda name: len(texts[name]), default="")
        plain = re.fullmatch(r"[A-Za-z_]\w*", longest)
        how = f"jq -r .{longest} FILE > BOOK.txt" if plain else "with jq, for example"
        return Found("JSON lines", f"take the text out of them: {how}; {AS_TEXT}", True)
    if _KEYED.match(head) or (whole and isinstance(_parsed(head), list) and '"' in head):
        return Found("a JSON document", f"take its text out, with jq for example; {AS_TEXT}", True)
    return None


def _parsed(text: str) -> "dict[str, object] | list[object] | None":
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None


def _covered(pattern: re.Pattern[str], text: str) -> float:
    """The share of the characters that matches of a pattern cover, 0 to 1."""
    return sum(len(found[0]) for found in pattern.finditer(text)) / max(len(text), 1)


def _is_base64(head: str) -> bool:
    lines = head.split()
    if len(lines) * 20 > len(head):  # of words
        return False
    plain = "".join(lines)
    if len(plain) < 1000 or not re.fullmatch(r"[A-Za-z0-9+/=]+", plain):
        return False
    kinds = (str.isupper, str.islower, str.isdigit)
    return all(sum(map(kind, plain)) > 0.05 * len(plain) for kind in kinds)


def _columns(head: str) -> int:
    """How many columns the first lines have, all alike, or 0."""
    lines = [stripped for line in head.split("\n")[:-1] if (stripped := line.strip())][:50]
    for mark, least in (("\t", 1), (";", 2), (",", 3)):
        counts = {line.count(mark) for line in lines}
        if len(lines) >= 10 and len(counts) == 1 and (number := counts.pop()) >= least:
            return number + 1
    return 0
