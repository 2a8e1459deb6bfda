"""Documents as plain text: EPUB, HTML, PDF and DOCX.

Knows which reader reads what, and that all have a bound; knows nothing of their formats.
"""

from tuillm.errors import TuillmError
from tuillm.text.encodings import decode
from tuillm.text.sources.docx_text import docx_text
from tuillm.text.sources.epub_text import epub_text
from tuillm.text.sources.html_text import html_text, told_charset
from tuillm.text.sources.items import Item
from tuillm.text.sources.open_item import MB, content_of
from tuillm.text.sources.pdf_text import pdf_text

_LARGEST_PAGE = 64 * MB


def read_document(item: Item, kind: str, *, notes: list[str] | None = None) -> str:
    """Return the text of a document of one of the kinds in `item_kinds.DOCUMENTS`.

    What was guessed or left out, as a page that is damaged, is told in `notes`. Raises TuillmError
    for one that is damaged, too large, encrypted, or without text, and where the library that
    reads it is missing; ValueError for another kind.
    """
    notes = [] if notes is None else notes
    if kind == "epub":
        return epub_text(item, notes)
    if kind == "docx":
        return docx_text(item)
    if kind == "pdf":
        return pdf_text(item, notes)
    if kind == "html":
        return _page(item, notes)
    raise ValueError(f"no kind of document: {kind!r}")


def _page(item: Item, notes: list[str]) -> str:
    content = content_of(item, _LARGEST_PAGE)
    markup, remarks = decode(content, item.name, "auto", item.charset or told_charset(content))
    notes += remarks
    if not (text := html_text(markup)).strip():
        raise TuillmError(
            f"{item.name} is a page without text",
            "is its text made by a script? save it from the browser as plain text",
        )
    return text + "\n"
