"""Who speaks in a play or a dialogue, and how much of it.

Three forms of a cue are known, and only a text that is clearly made of one of them has speakers:

    NAME:        on a line of its own, speech below (tinyshakespeare)
    NAME.        the same, in capitals (Project Gutenberg)
    Name: text   speech behind it and below
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from tuillm.store.workers.exploration_record import Speaker, Speakers

# what a text must have at least to be a play: cues in the sample, and cues for each name
_LEAST_CUES, _CUES_A_NAME = 12, 2.5
# the share of the sample that is cues and speech
_SPOKEN = 0.5
_CAPITALS = r"[^\W\d_a-zß-öø-ÿа-яё][^\n:.a-zа-яё]{0,38}?[^\W_a-zа-яё]"
_NAME = r"[^\W\d_a-zß-öø-ÿа-яё][^\n:.!?;,\"]{0,38}?[^\W_]"
_BEHIND_GAP = r"(?:\A|(?<=\n\n))"
_FORMS = {
    "NAME:": re.compile(rf"{_BEHIND_GAP}({_NAME}|[^\W\d_]):[ \t]*\n", re.MULTILINE),
    "NAME.": re.compile(rf"{_BEHIND_GAP}({_CAPITALS})\.[ \t]*\n", re.MULTILINE),
    "Name: text": re.compile(rf"^({_NAME}|[^\W\d_]):[ \t]+(?=\S)", re.MULTILINE),
}
_KEPT = 1000


def find_speakers(sample: list[str], blocks: Callable[[], Iterable[str]]) -> Speakers | None:
    """Return who speaks, if the sample is clearly a play or a dialogue; else None."""
    spoken = {name: _spoken(form, sample) for name, form in _FORMS.items()}
    name = max(spoken, key=lambda each: spoken[each])
    if spoken[name] < _SPOKEN:
        return None
    cues: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    for block in blocks():
        for speaker, size, _ in _speeches(_FORMS[name], block):
            cues[speaker] += 1
            characters[speaker] += size
    total = sum(characters.values()) or 1
    ordered = sorted(characters.items(), key=lambda item: (-item[1], item[0]))
    return Speakers(
        name,
        sum(cues.values()),
        len(cues),
        tuple(Speaker(each, cues[each], size, size / total) for each, size in ordered[:_KEPT]),
    )


def _spoken(form: re.Pattern[str], sample: list[str]) -> float:
    """The share of a sample that is cues and speech; 0 where the cues are too few for a play."""
    cues: Counter[str] = Counter()
    size = 0
    for block in sample:
        for speaker, length, cue in _speeches(form, block):
            cues[speaker] += 1
            size += length + cue
    many = cues.total() >= max(_LEAST_CUES, _CUES_A_NAME * len(cues)) and len(cues) > 1
    return size / max(sum(map(len, sample)), 1) if many else 0.0


def _speeches(form: re.Pattern[str], block: str) -> Iterator[tuple[str, int, int]]:
    """Yield each speaker, how long the speech is, and the cue.

    A speech goes to an empty line or the next cue.
    """
    before = None
    for cue in form.finditer(block):
        if before is not None:
            yield before[1], _length(block, before.end(), cue.start()), len(before[0])
        before = cue
    if before is not None:
        yield before[1], _length(block, before.end(), len(block)), len(before[0])


def _length(block: str, begin: int, end: int) -> int:
    gap = block.find("\n\n", begin, end)
    return len(block[begin : gap if gap >= 0 else end].rstrip("\n"))
