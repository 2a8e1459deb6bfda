"""The text of a web page as a person reads it: no scripts, nothing hidden, no navigation.

Reads HTML as browsers do where that matters for the text, in time that grows with its length
whatever it holds: a tag, a quote or a comment without its end is looked for once. Knows tags;
knows no file and no CSS but what hides an element.
"""

import re
from collections.abc import Container
from html import unescape

_MARKUP = re.compile(r"<[a-zA-Z!?/]")
_NAME = r"[a-zA-Z][^\s/>]*+"
# quotes count only behind "=", and only where they are closed
_TAG = re.compile(rf"<(/?)({_NAME})((?:[^>=]++|=\s*+(?:\"[^\"]*+\"|'[^']*+')?+)*+)(>?)", re.DOTALL)
_ATTRIBUTE = re.compile(r"([^\s\"'<>/=]++)(?:\s*+=\s*+(\"[^\"]*+\"|'[^']*+'|[^\s>]++))?+")
_MAY_HIDE = re.compile(r"hidden|role|style|type", re.IGNORECASE)
_NOT_SHOWN = re.compile(r"(?:display\s*+:\s*+none|visibility\s*+:\s*+hidden)\b", re.IGNORECASE)
_META_CHARSET = re.compile(rb"<meta\b[^>]{0,200}?\bcharset\s*=\s*[\"']?([\w.:-]{1,40})", re.I)
_XML_CHARSET = re.compile(rb"\s*<\?xml[^>]{0,200}?\bencoding\s*=\s*[\"']([\w.:-]{1,40})")
_BLANKS = re.compile(r"[ \t\n\r\f]+")

_RAW = ("script", "style", "textarea", "title", "iframe", "noembed", "noframes")
_RAW_END = {tag: re.compile(rf"</{tag}(?=[\s/>])", re.IGNORECASE) for tag in _RAW}
_VOID = frozenset(
    "area base basefont bgsound br col embed frame hr img input link meta param source track wbr "
    "keygen".split()
)
_LEFT_OUT = frozenset(
    "nav noscript template svg object audio video canvas select button datalist dialog rt rp "
    "annotation annotation-xml applet map".split()
)
_PARAGRAPHS = frozenset(
    "p h1 h2 h3 h4 h5 h6 blockquote pre ul ol dl table hr figure listing".split()
)
_BLOCKS = _PARAGRAPHS | frozenset(
    "address article aside body caption center dd details dir div dt fieldset figcaption footer "
    "form header hgroup html legend li main menu option search section summary tbody td tfoot th "
    "thead title tr".split()
)
# an element that ends where another of these begins
_ENDED_BY = {
    "li": ("li",),
    "dt": ("dt", "dd"),
    "dd": ("dt", "dd"),
    "td": ("td", "th"),
    "th": ("td", "th"),
    "tr": ("td", "th", "tr"),
    "option": ("option",),
}
_ROLES = ("navigation", "menu", "menubar", "doc-toc", "doc-pagelist", "doc-pagebreak")
_EPUB_TYPES = ("pagebreak", "page-list", "landmarks")
_CELLS = ("td", "th", "caption", "table")
_TABLES = (*_CELLS, "tr", "tbody", "thead", "tfoot")
# how far up an element is looked for that is to be ended
_REACH = 64


def html_text(markup: str, *, xml: bool = False) -> str:
    """Return the text of a page: blocks end lines, paragraphs have an empty line around them.

    Blanks are one, but in <pre>; cells of a row have a tab between them. With `xml` every tag may
    end itself, as in the chapters of an EPUB.
    """
    page = _Page()
    at = 0
    while found := _MARKUP.search(markup, at):
        page.text(markup[at : found.start()])
        at = _markup(markup, found.start(), page, xml)
    page.text(markup[at:])
    return page.result()


def told_charset(content: bytes) -> str:
    """Return the charset that a page says of itself at its beginning, '' where it does not."""
    head = content[:4096]
    found = _XML_CHARSET.match(head) or _META_CHARSET.search(head)
    return found[1].decode("ascii") if found else ""


def _markup(markup: str, start: int, page: "_Page", xml: bool) -> int:
    """Take what begins with a "<", and return where it ends."""
    if markup.startswith("<!--", start):
        return _behind(markup, "-->", start + 2)
    if xml and markup.startswith("<![CDATA[", start):
        end = _behind(markup, "]]>", start)
        page.text(markup[start + 9 : end].removesuffix("]]>").replace("&", "&amp;"))
        return end
    tag = _TAG.match(markup, start)
    if not tag:
        end = _behind(markup, ">", start)
        # a document type with declarations of its own
        return _behind(markup, "]>", start) if "[" in markup[start:end][:400] else end
    end, name, attributes = tag.end(), tag[2].lower().rpartition(":")[2], tag[3]
    if not tag[4]:  # the document ends within a tag
        return len(markup)
    if tag[1]:
        page.end(name)
        return end
    itself = xml and attributes.endswith("/")
    if name in _RAW and not itself:  # no text of the page, whatever stands within
        found = _RAW_END[name].search(markup, end)
        return _behind(markup, ">", found.end()) if found else len(markup)
    page.start(name, attributes)
    if itself and name not in _VOID:
        page.end(name)
    return end


def _behind(markup: str, mark: str, start: int) -> int:
    found = markup.find(mark, start)
    return found + len(mark) if found >= 0 else len(markup)


class _Page:
    """The elements that are open, and the lines written so far."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._counts: dict[str, int] = {}
        self._left_out_at = -1  # the element that is left out with all in it, by its index
        self._out: list[str] = []
        self._breaks = 0  # line ends to come before the next word
        self._ends = 0  # line ends that have come since the last one
        self._blank = False  # a blank to come before it
        self._cells = [0]  # of the present row, by table
        self._new_cell = False

    def text(self, text: str) -> None:
        """Take text between tags, its entities not yet decoded."""
        if not text or self._left_out_at >= 0:
            return
        if "&" in text:
            try:
                text = unescape(text)
            except ValueError:  # the number of a character, of thousands of digits
                pass
        text = text.replace("\xad", "")
        if self._counts.get("pre"):
            self._write(text, kept=True)
            return
        text = _BLANKS.sub(" ", text)
        self._blank |= text.startswith(" ")
        if words := text.strip(" "):
            self._write(words)
            self._blank = text.endswith(" ")

    def start(self, name: str, attributes: str) -> None:
        """Take a start tag."""
        self._end_implied(name)
        if name == "br":
            self._line_end()
        if name in _VOID and name != "hr":
            return
        if name in ("tr", "table"):
            self._new_cell = False
        if self._left_out_at < 0:
            if name in _LEFT_OUT or (name not in ("html", "body") and _hides(attributes)):
                self._left_out_at = len(self._open)
            elif name in ("td", "th"):
                self._cell()
            elif name in _BLOCKS:
                self._break(2 if self._is_paragraph(name) else 1)
            elif name == "q":
                self._write('"')
        if name == "table":
            self._cells.append(0)
        elif name == "tr":
            self._cells[-1] = 0
        if name != "hr":
            self._open.append(name)
            self._counts[name] = self._counts.get(name, 0) + 1

    def end(self, name: str) -> None:
        """Take an end tag; one without its start is none, but breaks as browsers do."""
        if name == "br":
            self._line_end()
        if not self._counts.get(name):
            if name == "p":
                self._break(2)
            return
        if name in _BLOCKS or name in _LEFT_OUT:
            stops = () if name in _TABLES else _CELLS
            if not self._end_up_to((name,), stops):
                while self._pop() != name:  # far up; nothing can be known of what lies between
                    pass
        else:  # what is within a line does not reach out of its block
            self._end_up_to((name,), _BLOCKS)

    def result(self) -> str:
        """The text of all that was taken."""
        lines = "".join(self._out).split("\n")
        return "\n".join(line.rstrip(" \t") for line in lines).strip("\n")

    def _end_implied(self, name: str) -> None:
        """End what a start tag ends: a paragraph by a block, an item by the next one."""
        if name in _ENDED_BY:
            self._end_up_to(_ENDED_BY[name], _BLOCKS - {"p", "div", "address"}, again=name == "tr")
        elif name in _BLOCKS:
            self._end_up_to(("p",), _BLOCKS)

    def _end_up_to(
        self, wanted: tuple[str, ...], stops: Container[str], again: bool = False
    ) -> bool:
        """End the innermost of some elements and all in it, unless a stop lies between.

        `again` goes on to the next of them that encloses it at once, as a row its cell. Returns
        False where neither an element nor a stop is within reach.
        """
        if not any(self._counts.get(each) for each in wanted):
            return True
        for index in range(len(self._open) - 1, max(len(self._open) - _REACH, 0) - 1, -1):
            if self._open[index] in wanted:
                while len(self._open) > index:
                    self._pop()
                if not again:
                    return True
            elif self._open[index] in stops:
                return True
        return len(self._open) <= _REACH

    def _pop(self) -> str:
        name = self._open.pop()
        self._counts[name] -= 1
        if name in ("tr", "table"):
            self._new_cell = False
        if name in _BLOCKS and name not in ("td", "th"):
            self._break(2 if self._is_paragraph(name) else 1)
        elif name == "q" and self._left_out_at < 0:
            self._blank = False
            self._write('"')
        if name == "table" and len(self._cells) > 1:
            self._cells.pop()
        if len(self._open) == self._left_out_at:
            self._left_out_at = -1
        return name

    def _is_paragraph(self, name: str) -> bool:
        nested = name in ("ul", "ol", "dl") and (self._counts.get("li") or self._counts.get("dd"))
        return name in _PARAGRAPHS and not nested

    def _cell(self) -> None:
        if self._cells[-1]:
            # breaks before an empty first cell are those of the row; else those of a cell's blocks
            breaks = self._breaks - self._ends if self._new_cell and self._out else 0
            self._out.append("\n" * breaks + "\t")
            self._breaks = self._ends = 0
        self._cells[-1] += 1
        self._blank, self._new_cell = False, True

    def _break(self, lines: int) -> None:
        if self._left_out_at < 0 and not (self._new_cell and self._cells[-1] > 1):
            self._breaks = max(self._breaks, lines)

    def _line_end(self) -> None:
        """Begin a new line; more than two leave no more than an empty line, as paragraphs do."""
        if self._left_out_at < 0 and self._out:
            ends = max(self._breaks, min(self._ends + 1, 2))
            self._out.append("\n" * (ends - self._ends))
            self._breaks, self._ends, self._blank = 0, ends, False

    def _write(self, words: str, kept: bool = False) -> None:
        if self._breaks:
            if self._out:
                self._out.append("\n" * (self._breaks - self._ends))
            if kept:
                words = words.removeprefix("\n")
        elif self._blank and not kept and self._out and not (self._ends or self._new_cell):
            self._out.append(" ")
        self._breaks, self._blank, self._new_cell = 0, False, False
        self._ends = len(words) - len(words.rstrip("\n"))
        self._out.append(words)


def _hides(attributes: str) -> bool:
    """Whether attributes hide an element, or say that it is navigation."""
    if not attributes or not _MAY_HIDE.search(attributes):
        return False
    for found in _ATTRIBUTE.finditer(attributes):
        name, value = found[1].lower(), (found[2] or "").strip("\"'").lower()
        if (
            name == "hidden"
            or (name == "aria-hidden" and value == "true")
            or (name == "style" and _NOT_SHOWN.search(value))
            or (name == "role" and value.split()[:1] and value.split()[0] in _ROLES)
            or (name == "epub:type" and set(value.split()) & {*_EPUB_TYPES})
        ):
            return True
    return False
