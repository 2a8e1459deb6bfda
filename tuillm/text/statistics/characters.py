"""Which characters a text has, how often, of which scripts, and where the rarest of them stand.

Knows code points; words are the matter of `words`.
"""

import unicodedata
from collections.abc import Iterator

import numpy as np
import regex

from tuillm.store.workers.exploration_record import CharacterCount, Characters, Occurrence, Script
from tuillm.text.corpus import Corpus
from tuillm.text.statistics.blocks import batches, parts
from tuillm.text.statistics.longest_repeat import PADDING

_ALL = 0x110000
_AROUND = 24
_RAREST = 10
# those that people write books in; whatever else there is counts as 'Other'
_SCRIPTS = (
    "Latin Cyrillic Greek Han Hiragana Katakana Hangul Arabic Hebrew Devanagari Bengali Tamil "
    "Telugu Kannada Malayalam Gujarati Gurmukhi Oriya Sinhala Thai Lao Khmer Myanmar Tibetan "
    "Georgian Armenian Ethiopic Mongolian Cherokee Syriac Thaana Coptic Gothic Runic"
).split()


def count_characters(corpus: Corpus) -> np.ndarray:
    """Return how often each code point occurs [0x110000]; halves of surrogate pairs included."""
    counts = np.zeros(_ALL, np.int64)
    for batch in batches(corpus):
        points = code_points("".join(text for _, text in batch))
        highest = int(points.max(initial=0)) + 1
        counts[:highest] += np.bincount(points, minlength=highest)
    return counts


def describe_characters(corpus: Corpus, counts: np.ndarray) -> Characters:
    """Return what the counts say; the text is looked through once more for the rarest."""
    found = np.flatnonzero(counts)
    order = found[np.argsort(-counts[found], kind="stable")]
    ordered = tuple(
        CharacterCount(chr(point), name_of(chr(point)), int(counts[point]))
        for point in order.tolist()
    )
    rarest = tuple(_occurrences(corpus, ordered[::-1][:_RAREST])) if len(ordered) > 1 else ()
    return Characters(len(ordered), int(counts.sum()), ordered, rarest, _scripts(ordered))


def dense_ids(corpus: Corpus, counts: np.ndarray) -> tuple[np.ndarray, int]:
    """Return all documents as one array of small numbers, and the number that stands between two.

    That is 0 where there is but one document. `longest_repeat.PADDING` zeros come last.
    """
    found = np.flatnonzero(counts)
    kind = np.uint8 if len(found) < 0xFF else np.uint16 if len(found) < 0xFFFF else np.uint32
    table = np.zeros(_ALL, kind)
    table[found] = np.arange(1, len(found) + 1)
    pieces: list[np.ndarray] = []
    separator, last = len(found) + 1, 0
    for batch in batches(corpus):
        texts, occurrences, size = [], [], 0
        for number, text in batch:
            if number != last:
                texts.append("\0")
                occurrences.append(size)
                size, last = size + 1, number
            texts.append(text)
            size += len(text)
        ids = table[code_points("".join(texts))]
        ids[occurrences] = separator
        pieces.append(ids)
    return np.concatenate([*pieces, np.zeros(PADDING, kind)]), separator if last else 0


def code_points(text: str) -> np.ndarray:
    """Return the characters of a text as numbers."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), np.uint8)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def name_of(character: str) -> str:
    """Return a character's name, or what kind of thing it is where Unicode gives it none."""
    controls = {"\n": "line end", "\t": "tab", "\r": "carriage return", "\0": "NUL"}
    if character in controls:
        return controls[character]
    kinds = {"Cc": "control character", "Cs": "half a surrogate pair", "Co": "private use"}
    kind = unicodedata.category(character)
    return unicodedata.name(character, kinds.get(kind, "unassigned")).lower()


def _scripts(ordered: tuple[CharacterCount, ...]) -> tuple[Script, ...]:
    letters = {each.character: each.count for each in ordered if each.character.isalpha()}
    total = sum(letters.values())
    all_letters, shares = "".join(letters), {}
    for name in _SCRIPTS:
        own = regex.findall(rf"\p{{Script={name}}}", all_letters)
        if own:
            shares[name] = sum(map(letters.pop, own)) / total
    if rest := sum(letters.values()):
        shares["Other"] = rest / total
    ordered_shares = sorted(shares.items(), key=lambda item: -item[1])
    return tuple(Script(name, share) for name, share in ordered_shares)


def _occurrences(corpus: Corpus, wanted: tuple[CharacterCount, ...]) -> Iterator[Occurrence]:
    """Yield where each of some characters first stands, in their order."""
    missing = {each.character: each for each in wanted}
    found: dict[str, Occurrence] = {}
    line, column, last, before = 1, 1, -1, ""
    for number, part in parts(corpus):
        if number != last:
            line, column, last, before = 1, 1, number, ""
        here = {one: at for one in missing if (at := part.find(one)) >= 0}
        for one, at in here.items():
            found[one] = _place(missing.pop(one), number, part, at, (line, column), before)
        if not missing:
            break
        ends = part.count("\n")
        line += ends
        column = len(part) - part.rfind("\n") if ends else column + len(part)
        before = part[-_AROUND:]
    yield from (found[each.character] for each in wanted if each.character in found)


def _place(
    what: CharacterCount, number: int, part: str, at: int, begin: tuple[int, int], before: str
) -> Occurrence:
    ends = part.count("\n", 0, at)
    column = at - part.rfind("\n", 0, at) if ends else begin[1] + at
    left = (before + part[max(at - _AROUND, 0) : at])[-_AROUND:].rpartition("\n")[2]
    right = part[at + 1 : at + 1 + _AROUND].partition("\n")[0]
    return Occurrence(
        what.character, what.name, what.count, number + 1, begin[0] + ends, column, left, right
    )
