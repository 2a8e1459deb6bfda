"""The text of a Word document: its paragraphs, and tables as rows with tabs between the cells.

What was deleted or moved away while changes were tracked, comments, hidden text, headers, footers
and footnotes are left out. Knows WordprocessingML; knows no styles but lists.
"""

from tuillm.errors import TuillmError
from tuillm.text.sources.items import Item
from tuillm.text.sources.zipped_xml import ZippedParts, resolved, zipped_parts

_DOCUMENT = "word/document.xml"
# what no reader sees, or sees in another shape already
_LEFT_OUT = frozenset(
    "del moveFrom Fallback instrText delText rt comment annotation pPrChange rPrChange".split()
)
# of tables in tables of tables the cells are cells no more: each text would be copied for each
_DEEPEST = 8
_CHARACTERS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}


def docx_text(item: Item) -> str:
    """Return the text of a DOCX, an empty line between paragraphs, none within lists and tables.

    Raises TuillmError for one that is damaged, too large, encrypted, or has no text.
    """
    with zipped_parts(item, "Word document (DOCX)") as parts:
        reader = _Reader()
        parts.parse(_main_part(parts), reader.start, reader.end, reader.text)
    text = reader.result()
    if not text.strip():
        raise TuillmError(f"{item.name} has no text", "does it hold pictures only?")
    return text


def _main_part(parts: ZippedParts) -> str:
    """The part that the package says is its document."""
    found: list[str] = []

    def start(tag: str, values: dict[str, str]) -> None:
        if tag == "Relationship" and values.get("Type", "").endswith("/officeDocument"):
            found.append(resolved("", values.get("Target", "")))

    if "_rels/.rels" in parts:
        parts.parse("_rels/.rels", start)
    return next((part for part in found if part in parts), _DOCUMENT)


class _Reader:
    """Paragraphs and rows as they come; those in a box stand before the paragraph it hangs on."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._paragraphs: list[list[str]] = []  # those that are open, the innermost last
        self._lists: list[bool] = []
        self._rows: list[list[str]] = []  # the finished cells of open rows
        self._cells: list[list[str]] = []  # the finished paragraphs of open cells
        self._flat = {"tr": 0, "tc": 0}  # open ones that are nested too deeply to be taken as such
        self._left_out = 0
        self._taking = self._hidden = self._in_run = False
        self._close = False  # whether the next paragraph follows without an empty line

    def start(self, tag: str, values: dict[str, str]) -> None:
        """Take a start tag."""
        if self._left_out or tag in _LEFT_OUT:
            self._left_out += 1
        elif tag == "p":
            self._paragraphs.append([])
            self._lists.append(False)
        elif tag in self._flat and len(self._cells if tag == "tc" else self._rows) >= _DEEPEST:
            self._flat[tag] += 1
        elif tag == "tr":
            self._rows.append([])
        elif tag == "tc":
            self._cells.append([])
        elif tag == "r":
            self._in_run, self._hidden = True, False
        elif tag == "vanish" and self._in_run:
            self._hidden = values.get("val", "1") not in ("0", "false", "off")
        elif tag == "numPr" and self._lists:
            self._lists[-1] = True
        elif tag == "t":
            self._taking = True
        elif self._in_run and not self._hidden and self._paragraphs:
            self._paragraphs[-1].append(_CHARACTERS.get(tag, ""))

    def end(self, tag: str) -> None:
        """Take an end tag."""
        if self._left_out:
            self._left_out -= 1
        elif tag == "t":
            self._taking = False
        elif tag == "r":
            self._in_run = self._hidden = False
        elif tag == "p" and self._paragraphs:
            self._paragraph("".join(self._paragraphs.pop()).strip(), self._lists.pop())
        elif self._flat.get(tag):
            self._flat[tag] -= 1
        elif tag == "tc" and self._cells:
            cell = " ".join(" ".join(self._cells.pop()).split())
            if self._rows:
                self._rows[-1].append(cell)
        elif tag == "tr" and self._rows:
            self._paragraph("\t".join(self._rows.pop()).rstrip("\t"), True)
        elif tag == "tbl":
            self._close = False

    def text(self, text: str) -> None:
        """Take characters."""
        if self._taking and not self._hidden and not self._left_out and self._paragraphs:
            self._paragraphs[-1].append(text)

    def result(self) -> str:
        """The text of all that was taken."""
        return "".join(self._lines) + ("\n" if self._lines else "")

    def _paragraph(self, text: str, close: bool) -> None:
        """Take a paragraph; `close` ones, in lists and tables, follow each other closely."""
        if self._cells:
            self._cells[-1].append(text)
        elif not text.strip():
            self._close = self._close and close
        else:
            if self._lines:
                self._lines.append("\n" if self._close and close else "\n\n")
            self._lines.append(text)
            self._close = close
