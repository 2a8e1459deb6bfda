"""Cuts off what Project Gutenberg puts before and behind a book: its header, licence and credits.

Two thousand words of licence would be learned by heart from every book. Knows the lines that mark
them, today's and those of the 1990s; touches nothing between.
"""

import re

# the longest header and licence: the small print of 1994 has 13 KB, the licence of today 19
_ZONE = 1 << 16
_EDITION = r"PROJECT[ \t]{1,3}GUTENBERG(?:[-'’][^\s*]{1,20})?"
_BEGINNINGS = re.compile(
    # the title between the marks may go on over some lines
    rf"^[ \t]{{0,20}}\*{{3}}[ \t]{{0,3}}START OF (?:THE|THIS) (?:COPYRIGHTED )?{_EDITION}"
    r"[^*]{0,400}(?:\*{1,3}[^\n]{0,200})?$"
    r"|^[^\n]{0,20}\*END[ \t]?\*?[ \t]?THE SMALL PRINT![^\n]{0,200}$"
    r"|^[ \t]{0,20}\*{3}[ \t]{0,3}END OF THE SMALL PRINT[^\n]{0,200}$",
    re.MULTILINE | re.IGNORECASE,
)
_ENDS = re.compile(
    rf"^[ \t]{{0,20}}\*{{3}}[ \t]{{0,3}}END OF (?:THE|THIS) (?:COPYRIGHTED )?{_EDITION}"
    rf"|^[ \t]{{0,20}}\**[ \t]{{0,3}}(?:This is the )?End of (?:The |This )?{_EDITION}"
    r"(?:[ \t]{1,3}(?:e-?text|e-?book|edition))?\b"
    r"|^[ \t]{0,20}(?:Ende diese[rs]?|Fin (?:de|du)) Proje[ck]t Gutenberg\b",
    re.MULTILINE | re.IGNORECASE,
)
_OURS = re.compile(r"Project\s{1,3}Gutenberg", re.IGNORECASE)
_LICENCE = re.compile(
    r"FULL LICENSE|FULL PROJECT GUTENBERG|SMALL PRINT|Gutenberg[-\w]{0,20}(?:tm|™)|"
    r"gutenberg\.(?:org|net)|END OF (?:THE|THIS) PROJECT GUTENBERG|donations",
    re.IGNORECASE,
)


def cut_boilerplate(text: str) -> tuple[str, str]:
    """Return the text between Project Gutenberg's header and footer, and a note of what was cut.

    The note is '' where nothing was: where a text has no such lines near its beginning or end, or
    where what stands there is no header and no licence. Takes time in proportion to the length.
    """
    stop = _end_of_book(text)
    start = _start_of_book(text, stop)
    if start is None and stop == len(text):
        return text, ""
    begin = start or 0
    book = text[begin:stop].strip("\n")
    if not book.strip():
        return text, ""
    parts = " and ".join(
        name for name, cut in (("header", begin > 0), ("footer", stop < len(text))) if cut
    )
    note = f"Project Gutenberg's {parts} ({len(text) - len(book):,} characters) left out"
    if more := len(_BEGINNINGS.findall(book)):
        note += f"; {more:,} more like it stand within the text and are kept"
    return f"{book}\n", note


def _end_of_book(text: str) -> int:
    """Return where the footer begins; the text's length where there is none."""
    zone = max(len(text) - _ZONE, 0)
    for found in _ENDS.finditer(text, zone):
        behind = text[_line_end(text, found.end()) :]
        if not behind.strip() or _LICENCE.search(behind[:_ZONE]):
            return found.start()
    return len(text)


def _start_of_book(text: str, stop: int) -> int | None:
    """Return where the header ends, None where there is none."""
    start = None
    for found in _BEGINNINGS.finditer(text, 0, min(stop, _ZONE)):
        before = text[: found.start()]
        if start is None and before.strip() and not _OURS.search(before):
            return None
        start = _line_end(text, found.end())
    return start


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1
