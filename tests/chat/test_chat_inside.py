"""The chat in a real pseudo-terminal: surprise, rivals, scores, the book by heart, comparisons."""

import re
import shutil

import pytest

pytestmark = pytest.mark.slow

MARK = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹]+")


def colors(chat, words):
    """The colours in which the letters of the lowest row with these words are shown."""
    rows = chat.picture.split("\n")
    row = max(place for place, line in enumerate(rows) if words in line)
    start = rows[row].index(words)
    return [chat.screen.buffer[row][start + place].fg for place in range(len(words))]


def test_why_colours_the_reply_and_lists_the_rivals(talk, kept):
    """/why marks surprise, /why N has ten rivals that sum to 1 at most, /why N K takes one."""
    chat = talk("--seed", "1", "-n", "24", lines=50)
    assert "there is no reply to look into" in chat.say("/why")
    reply = chat.say("Marda said")
    page = chat.say("/why")
    shown, _, legend = page.partition("probability: ")
    assert MARK.sub("", shown).split() == reply.split("32 tokens")[0].split()
    assert legend.startswith("plain >50%  >10%  >1%³  >0.1%⁷  less¹⁰  raised: bits of surprise")
    assert len(set(colors(chat, "plain >50%  >10%  >1%³  >0.1%⁷  less¹⁰"))) >= 4
    rare = re.findall(r"^  (\d+) +(\d+\.\d\d)%  '(.*)'$", page, re.M)
    assert len(rare) == 8 and [int(row[0]) for row in rare] == sorted(int(row[0]) for row in rare)
    assert page.endswith("/why N shows what it had in mind at token N, 0 to 23")
    place, probability, label = rare[0]
    rivals = chat.say(f"/why {place}")
    assert rivals.splitlines()[0].endswith(f"‹{label}›")
    rows = re.findall(r"^  (\d+) +(\d+\.\d\d)%  '(.*)'(  ← chosen)?$", rivals, re.M)
    assert 10 <= len(rows) <= 11 and sum(float(row[1]) for row in rows) <= 100.1
    assert (f"{float(probability):.2f}", label) in [(row[1], row[2]) for row in rows if row[3]]
    chat.say(f"/why {place} 1")
    tree = kept()[-1]["tree"]
    old, new = tree["nodes"][1:]
    assert tree["head"] == 3 and new["ids"][: int(place)] == old["ids"][: int(place)]
    assert new["ids"][int(place)] != old["ids"][int(place)] and len(new["ids"]) == 24
    for wrong, told in (
        ("99", "the reply has no token 99 (0 to 23)"),
        ("3 99", "no rival 99"),
        ("3 0", "no rival 0"),
        ("x", "/why x is unknown"),
        ("1 2 3", "is unknown"),
    ):
        assert told in chat.say(f"/why {wrong}")


def test_without_colours_marks_tell_all(talk):
    """With NO_COLOR nothing is coloured, and the raised figures and the legend stand there."""
    chat = talk("--seed", "1", "-n", "24", lines=50, environment={"NO_COLOR": "1"})
    chat.say("Marda said")
    chat.say("/set temprature 1")
    page = chat.say("/why")
    assert len(MARK.findall(page)) > 8 and "less¹⁰" in page
    assert not re.search(rb"\x1b\[[0-9;]*(?<![0-9])[34]8;", chat.raw)
    assert not re.search(rb"\x1b\[(?:0;)?[34][0-7]m", chat.raw)


def test_score_takes_any_text(talk):
    """/score gives bits per byte and each token's surprise; a likelier text has fewer bits."""
    chat = talk("--seed", "1")
    likely = chat.say("/score The road to the sea")
    assert MARK.sub("", likely.splitlines()[0]) == "The road to the sea"
    figures = r"(\d+\.\d+) bits/byte, \d+\.\d+ nats/token, perplexity [\d,.]+, (\d+) tokens"
    few = re.search(figures, likely)
    many = re.search(figures, " ".join(chat.say("/score xq zvk 漢字 😀").split()))
    assert float(few[1]) < float(many[1]) and 1 < int(few[2]) < 20
    assert "漢" in chat.text and "😀" in chat.text
    assert "<|endoftext|>" in MARK.sub("", chat.say("/score <|endoftext|>").splitlines()[0])
    assert "/score wants a text" in chat.say("/score")


@pytest.fixture
def by_heart(home, line_folder):
    """A model in the registry that knows one sentence by heart, and the run it is from."""
    for part in ("models", "runs"):
        shutil.copytree(line_folder.parents[1] / part, home / part, dirs_exist_ok=True)
    return line_folder.name


def test_book_finds_what_is_known_by_heart(talk, by_heart, line_folder):
    """/book marks the passage and tells how much of the reply it is, and where it stands."""
    chat = talk("--temperature", "0", "-n", "40", name=by_heart)
    assert "there is no reply to look into" in chat.say("/book")
    chat.say("Marda said that the")
    page = " ".join(chat.say("/book").split())
    assert "‹" in page and "ferryboat was resolved and the lamplighter agreed." in page
    share = re.search(
        r"(\d+)% of it stands word for word in the training text; the longest piece "
        r"has (\d+) characters: line 1 of line.txt, \d+% into it",
        page,
    )
    assert int(share[1]) > 90 and int(share[2]) > 60
    chat.say("/set temperature 10")
    chat.say("Xyz")
    assert "nothing of it stands in the training text" in chat.say("/book")
    source = line_folder.parents[2] / "line.txt"
    text = source.read_text()
    try:
        source.write_text(text + "more")
        assert "has changed since 'line' learned it" in " ".join(chat.say("/book").split())
    finally:
        source.write_text(text)


def test_compare_shows_both_models_side_by_side(talk, letters):
    """/compare gives both the same text and seed; Ctrl-C stops both; the chat goes on as it was."""
    chat = talk("--seed", "1", "-n", "20")
    assert "there is nothing to compare on" in chat.say(f"/compare {letters}")
    reply = chat.say("Marda said").partition("32 tokens")[0]
    page = chat.say(f"/compare {letters}")
    assert re.search(r"^book +│ letters$", page, re.M) and "› Marda said" in page
    rows = [line.partition("│")[0].rstrip() for line in page.splitlines() if "│" in line]
    assert "".join(reply.split()) in "".join("".join(rows).split())
    assert re.search(r"^seed 1, temperature 0.8, top_k 200", page, re.M)
    assert "› The sea" in chat.say(f"/compare {letters} The sea")
    assert "did you mean 'letters'?" in chat.say("/compare leters")
    assert "wants the name of a model" in chat.say("/compare")
    chat.say("/set max_new_tokens 100000")
    before = chat.row
    chat.type(f"/compare {letters}")
    chat.wait("Esc or Ctrl-C stops")
    chat.wait(lambda text: re.search(r"\d\d\d tokens +\S+ tokens/s", chat.picture))
    chat.press("typed ahead\x03")
    chat.wait(lambda text: "seed 1" in chat.picture and chat.line == "› typed ahead")
    assert "stopped" in chat.since(before)
    before = chat.row
    chat.interrupt()
    chat.wait_prompt(before)
    assert len(chat.say("/branches").splitlines()) == 2
