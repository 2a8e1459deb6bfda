"""What a model says, made safe for a terminal.

GPT-2's vocabulary holds ESC and 29 other control tokens, and any model can spell them byte by
byte: shown raw they could move the cursor, ring the bell or turn the text around.
"""

import re

# C0 and C1 controls but for tab and newline, and the marks that override text direction
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Return `text` without characters that act on a terminal; safe on pieces of a stream."""
    return _UNSAFE.sub("", text)
