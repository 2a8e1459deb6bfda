"""Cuts off what Project Gutenberg puts before and behind a book: its header, licence and credits.

Two thousand words of licence would be learned by heart from every book. Knows the lines that mark
them, today's and those of the 1990s; touches nothing between.
"""

import re
from itertools import islice

# the longest header and licence: the small print of 1994 has 13 KB, the licence of today 19
_ZONE = 1 << 16
# how soon behind the last line of a book its licence tells that it is one
_LICENCE_SOON = 4_000
_MOST_ENDS = 30
_EDITION = r"PROJECT[ \t]{1,3}GUTENBERG(?:[-'’][^\s*]{1,20})?"
_STARTS = re.compile(
    # the title between the marks may go on over some lines
    rf"^[ \t]{{0,20}}\*{{3}}[ \t]{{0,3}}START OF (?:THE|THIS) (?:COPYRIGHTED )?{_EDITION}"
    r"(?:(?:[^*\n]|\n(?![ \t]*\n)){0,400}\*{3}[^\n]{0,200}|[^\n]{0,300})$",
    re.MULTILINE | re.IGNORECASE,
)
_PRINT_ENDS = re.compile(
    r"^[^\n]{0,20}\*END[ \t]?\*?[ \t]?THE SMALL PRINT![^\n]{0,200}$", re.MULTILINE | re.IGNORECASE
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
    if stop == len(text) and begin > 0.8 * stop:  # small print that stands at the end
        return text, ""
    book = text[begin:stop].strip("\n")
    if not book.strip():
        return text, ""
    parts = " and ".join(
        name for name, cut in (("header", begin > 0), ("footer", stop < len(text))) if cut
    )
    note = f"Project Gutenberg's {parts} ({len(text) - len(book):,} characters) left out"
    if more := len(_STARTS.findall(book)):
        note += f"; {more:,} more like it stand within the text and are kept"
    return f"{book}\n", note


def _end_of_book(text: str) -> int:
    """Return where the footer begins; the text's length where there is none."""
    zone = max(len(text) - _ZONE, 0)
    for started in _STARTS.finditer(text, zone):  # the footer of a book before is none of the last
        zone = started.end()
    for found in islice(_ENDS.finditer(text, zone), _MOST_ENDS):
        behind = text[_line_end(text, found.end()) :]
        if not behind.strip() or _LICENCE.search(behind[:_LICENCE_SOON]):
            return found.start()
    return len(text)


def _start_of_book(text: str, stop: int) -> int | None:
    """Return where the header ends, None where there is none."""
    zone = min(stop, _ZONE)
    end = _ENDS.search(text, 0, zone)
    zone = end.start() if end else zone
    started, printed = _STARTS.search(text, 0, zone), _PRINT_ENDS.search(text, 0, zone)
    found = [one for one in (started, printed) if one]
    if not found:
        return None
    before = text[: min(one.start() for one in found)]
    if before.strip() and not _OURS.search(before):
        return None
    return _line_end(text, max(one.end() for one in found))


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1
