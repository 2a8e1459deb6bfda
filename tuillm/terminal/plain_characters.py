"""ASCII in place of the characters that some terminals cannot show: braille, blocks, lines, signs.

The Linux console's font has no braille, and few blocks. Each character becomes one of the same
width, so that nothing has to be laid out anew. Letters of a text stay what they are. Knows
characters and what the environment says of the terminal.
"""

import os
from functools import cache

_VARIABLE = "TUILLM_ASCII"
# terminals whose fonts have letters and little else
_TERMS = {"linux", "dumb", "vt52", "vt100", "vt102", "vt220", "ansi"}
# dots of a braille cell in its upper and its lower half
_UPPER, _LOWER = 0x01 | 0x02 | 0x08 | 0x10, 0x04 | 0x20 | 0x40 | 0x80
_BRAILLE, _BOXES, _BLOCKS = range(0x2800, 0x2900), range(0x2500, 0x2580), range(0x2580, 0x25A0)
_LEVELS = dict(zip("▁▂▃▄▅▆▇█", "_.-=+*##", strict=True))
_HALVES = dict(zip("▀▏▎▍▌▋▊▉▐░▒▓▔▕", "-||||###|.:#-|", strict=True))
_SIGNS = dict(zip("●◌■✓✗‖›▸▾▴•↓↑→←…▶◀◆○", '*o#vx">>v^*v^><~><#o', strict=True))
# what tells the done part of a bar from the rest
_HEAVY = {"━": "=", "╸": "=", "╺": "-"}


def ascii_wanted() -> bool:
    """Whether to draw in ASCII: TUILLM_ASCII=1 or 0, else as the terminal's name says."""
    given = os.environ.get(_VARIABLE, "")
    if given in ("0", "1"):
        return given == "1"
    return os.environ.get("TERM", "") in _TERMS


def in_ascii(text: str) -> str:
    """Return a text with its drawing characters in ASCII, each as wide as it was."""
    return text if text.isascii() else text.translate(_table())


@cache
def _table() -> dict[int, str]:
    table = {code: _line(code) for code in _BOXES} | {code: "#" for code in _BLOCKS}
    table |= {code: _dots(code - _BRAILLE[0]) for code in _BRAILLE}
    named = _LEVELS | _HALVES | _SIGNS | _HEAVY
    return table | {ord(character): plain for character, plain in named.items()}


def _dots(bits: int) -> str:
    upper, lower = bool(bits & _UPPER), bool(bits & _LOWER)
    return {(True, True): ":", (True, False): "'", (False, True): "."}.get((upper, lower), " ")


def _line(code: int) -> str:
    character = chr(code)
    if character in "─━┄┅┈┉╌╍═╴╶╸╺╼╾":
        return "-"
    if character in "│┃┆┇┊┋╎╏║╵╷╹╻╽╿":
        return "|"
    return {"╱": "/", "╲": "\\", "╳": "x"}.get(character, "+")
