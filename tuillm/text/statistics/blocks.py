"""A corpus in pieces of some MB: as it comes, at line ends, and as a sample of all of it.

Knows documents and lines; counts nothing.
"""

from collections.abc import Iterable, Iterator

from tuillm.text.chat_rendering import SPECIAL_TOKENS
from tuillm.text.corpus import Corpus

BLOCK = 1 << 22
# a line of more characters is cut in two
_LONGEST_LINE = 8 * BLOCK


def parts(corpus: Corpus) -> Iterator[tuple[int, str]]:
    """Yield the number of each document with its text, a part of about 4 MB at a time.

    In conversations a line end stands for each special token, which is no text.
    """
    for number, text in corpus.store.parts():
        text = SPECIAL_TOKENS.sub("\n", text) if corpus.template else text
        for start in range(0, len(text), BLOCK):
            yield number, text[start : start + BLOCK]


def batches(corpus: Corpus) -> Iterator[list[tuple[int, str]]]:
    """Yield parts together that are small, so that many short documents cost what a long one does.

    A batch has about 4 M characters.
    """
    batch, size = [], 0
    for number, part in parts(corpus):
        batch.append((number, part))
        size += len(part)
        if size >= BLOCK:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def line_blocks(corpus: Corpus) -> Iterator[str]:
    """Yield the text in blocks that end with a line; so does each document, whether or not it did.

    A line longer than 32 M characters is cut.
    """
    rest, last = "", -1
    for batch in batches(corpus):
        pieces = [rest]
        for number, part in batch:
            if number != last and pieces[-1] and not pieces[-1].endswith("\n"):
                pieces.append("\n")
            pieces.append(part)
            last = number
        text = "".join(pieces)
        end = text.rfind("\n") + 1 or (len(text) if len(text) >= _LONGEST_LINE else 0)
        if end:
            yield text[:end]
        rest = text[end:]
    if rest:
        yield rest if rest.endswith("\n") else rest + "\n"


def sample(texts: Iterable[str], total: int, most: int, piece: int) -> list[str]:
    """Return about `most` of `total` characters, in pieces of whole lines, evenly from all.

    Of a text that is no longer than `most` nothing is left out; no piece but one of a single line
    is much longer than `piece`.
    """
    if total <= most:
        return [each for text in texts for each in _pieces(text, piece)]
    step, found, position, wanted = max(total * piece // most, 1), [], 0, 0
    for text in texts:
        while wanted < position + len(text):
            begin = max(wanted - position, 0)
            begin = text.find("\n", begin) + 1 if begin else 0
            end = text.find("\n", begin + piece) + 1 or len(text)
            found.append(text[begin : min(end, begin + 2 * piece)])
            wanted += step
        position += len(text)
    return found


def _pieces(text: str, size: int) -> Iterator[str]:
    begin = 0
    while begin < len(text):
        end = text.find("\n", begin + size) + 1 or len(text)
        yield text[begin:end]
        begin = end
