"""Who speaks: plays in their three forms, and texts that are none; the shared texts as a whole."""

import json
import re
from collections import Counter

import pytest

from tuillm.text.corpus import Corpus, read_corpus
from tuillm.text.statistics.exploration import explore
from tuillm.text.statistics.speakers import find_speakers

SPEECHES = [
    ("HAMLET", "To be, or not to be."),
    ("OPHELIA", "My lord!"),
    ("HAMLET", "Get thee\nhence."),
]


def speakers_of(text):
    """Who speaks in a text, by name, with the characters spoken."""
    found = find_speakers([text], lambda: [text])
    return found and (found.form, {each.name: each.characters for each in found.by_share})


@pytest.mark.parametrize(
    "form, cue", [("NAME:", "{}:\n{}\n\n"), ("NAME.", "{}.\n{}\n\n"), ("Name: text", "{}: {}\n\n")]
)
def test_each_form_of_a_play(form, cue):
    """Names and what is said are counted; a heading is nobody's."""
    text = "ACT I\n\n" + "".join(cue.format(*each) for each in SPEECHES * 10)
    sizes = Counter()
    for name, words in SPEECHES * 10:
        sizes[name] += len(words)
    assert speakers_of(text) == (form, dict(sizes))


def test_dialogue_of_names_in_small_letters():
    """A chat without empty lines."""
    text = "Anna: How are you?\nÖmer: Fine, and you?\n" * 20
    assert speakers_of(text) == ("Name: text", {"Anna": 240, "Ömer": 280})


@pytest.mark.parametrize(
    "text",
    [
        "It was night. He said: come in!\nShe came.\n\n" * 50,
        "Note: this is one.\n\n" + "A chapter of prose without any cue.\n\n" * 50,
        "".join(f"Key {number}: value\n" for number in range(200)),
        "- item: one\n- item: two\n" * 50,
    ],
)
def test_what_is_no_play_has_no_speakers(text):
    """Nobody is made up."""
    assert speakers_of(text) is None


def test_tinyshakespeare(shared_data):
    """Its speakers, script, language and tokens, against the plain way to count them."""
    path = shared_data / "tinyshakespeare.txt"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    seen = explore(read_corpus((str(path),)))
    cues = Counter(re.findall(r"(?:\A|(?<=\n\n))([A-Z][^\n:.!?;,\"]{0,39}):\n", path.read_text()))
    assert {each.name: each.cues for each in seen.speakers.by_share} == cues
    names = [each.name for each in seen.speakers.by_share]
    assert {"GLOUCESTER", "DUKE VINCENTIO", "ROMEO"} <= set(names[:10])
    assert sum(each.share for each in seen.speakers.by_share) == pytest.approx(1)
    assert seen.speakers.by_share[0].share == pytest.approx(0.037, abs=0.002)
    assert [each.name for each in seen.languages] == ["English"]
    assert [each.name for each in seen.characters.scripts] == ["Latin"]
    assert seen.size.lines == 40_000 and seen.characters.distinct == 65
    text, longest = path.read_text(), seen.repetition.longest
    for place in (longest.first, longest.second):
        assert text[place : place + longest.length] == longest.text
    assert longest.length == 123
    assert -1.2 < seen.words.zipf < -1.0


def test_kazakh_is_told_from_russian(shared_data):
    """The contexts of KazQAD are Cyrillic and Kazakh."""
    path = shared_data / "kazqad-validation.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    with path.open(encoding="utf-8") as file:
        contexts = tuple(json.loads(line)["context"] for line in file)
    seen = explore(Corpus.of(contexts, "kazqad"))
    assert seen.characters.scripts[0].name == "Cyrillic" and seen.characters.scripts[0].share > 0.98
    assert [each.name for each in seen.languages] == ["Kazakh"]
    assert seen.languages[0].share > 0.9 and seen.speakers is None
    assert seen.documents.count == len(contexts)
    assert seen.repetition.documents.repeated == len(contexts) - len(set(contexts))
