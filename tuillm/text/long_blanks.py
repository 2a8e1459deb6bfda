"""Encodes texts with very long runs of blanks, which the pattern of GPT-2 cannot look through.

tiktoken looks back for each blank of a run before a word, and panics at about a million of them.
Knows strings and tiktoken's encodings; knows neither vocabularies nor files.
"""

import tiktoken

# what the library's pattern takes for blank: Python has four separators more
BLANKS = (
    "\t\n\x0b\x0c\r \x85\xa0\u1680"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
# longer runs are taken apart; the library itself takes more than ten times as many
LONGEST_BLANKS = 1 << 16


def encode_ordinary(encoding: tiktoken.Encoding, text: str) -> list[int]:
    """Return the ids of a text with any runs of blanks; names of special tokens are plain text."""
    runs = long_blanks(text)
    if not runs:
        return encoding.encode_ordinary(text)
    ids: list[int] = []
    done = 0
    for begin, end in runs:
        # the last blank is a piece with the word behind it, or alone; all before it are one, as
        # they are at the end of a text, where the library does not look back
        last = end - (end < len(text))
        ids += encoding.encode_ordinary(text[done:begin])
        ids += encoding.encode_ordinary(text[begin:last])
        done = last
    return ids + encoding.encode_ordinary(text[done:])


def long_blanks(text: str) -> list[tuple[int, int]]:
    """Return where all runs of LONGEST_BLANKS blanks or more begin and end, in order."""
    found: list[tuple[int, int]] = []
    done = 0
    # such a run has one of these positions in it
    for at in range(0, len(text), LONGEST_BLANKS):
        if at < done or text[at] not in BLANKS:
            continue
        begin, done = _begin(text, at, done), _end(text, at)
        if done - begin >= LONGEST_BLANKS:
            found.append((begin, done))
    return found


def _begin(text: str, at: int, least: int) -> int:
    while at > least:
        start = max(at - LONGEST_BLANKS, least)
        at = start + len(text[start:at].rstrip(BLANKS))
        if at > start:
            break
    return at


def _end(text: str, at: int) -> int:
    while piece := text[at : at + LONGEST_BLANKS]:
        blanks = len(piece) - len(piece.lstrip(BLANKS))
        at += blanks
        if blanks < len(piece):
            break
    return at
