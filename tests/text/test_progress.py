"""How far long work is: megabytes a second, the share done, the time left."""

import pytest

from tuillm.text import progress_tick
from tuillm.text.corpus import read_corpus
from tuillm.text.document_reader import _PARAGRAPH, _paragraphs
from tuillm.text.progress_tick import Pace, ProgressWords


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set: `clock.now`, in seconds."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress_tick, "time", clock)
    return clock


def test_speed_share_and_time_left(clock):
    """As a person reads them on the progress line, and in what a run is `doing`."""
    progress, told = ProgressWords(), []
    pace = Pace("encoding the text", 400_000_000, lambda *tick: told.append(progress.words(*tick)))
    for _ in range(4):
        pace.add(20_000_000)
        clock.now += 10
    assert told == [
        "encoding the text, 5%",
        "encoding the text, 4.0 MB/s, 10%, 3:00 left",
        "encoding the text, 3.0 MB/s, 15%, 2:50 left",
        "encoding the text, 2.7 MB/s, 20%, 2:40 left",
    ]


def test_what_an_earlier_process_did_is_no_speed(clock):
    """Taken up at three quarters, the last quarter takes as long as it does."""
    progress, told = ProgressWords(), []
    pace = Pace("encoding the text", 400_000_000, lambda *tick: told.append(progress.words(*tick)))
    pace.skip(296_000_000)
    pace.add(4_000_000)
    clock.now += 5
    pace.add(20_000_000)
    assert told[-1] == "encoding the text, 4.8 MB/s, 80%, 0:20 left"


def test_each_stage_has_a_time_of_its_own(clock):
    """A stage that begins says nothing of the time left, nor does one that stands still."""
    progress = ProgressWords()
    progress.words("reading the text", 0.0)
    clock.now += 50
    assert progress.words("reading the text", 0.5) == "reading the text, 50%, 0:50 left"
    assert progress.words("learning pieces", 0.0) == "learning pieces, 0%"
    clock.now += 50
    assert progress.words("learning pieces", 0.0) == "learning pieces, 0%"
    assert progress.words("learning pieces", 1.0) == "learning pieces, 100%"


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".txt", ".jsonl"])
def test_reading_tells_how_much_is_read(home, tmp_path, suffix):
    """By bytes, of several files of different sizes, whatever is read twice."""
    line = '{"text": "The sea opens."}\n'
    for name, count in (("a", 10), ("b", 400_000), ("c", 100_000)):
        (tmp_path / "folder").mkdir(exist_ok=True)
        (tmp_path / "folder" / f"{name}{suffix}").write_text(line * count)
    told = []
    read_corpus((str(tmp_path / "folder"),), tick=lambda *tick: told.append(tick))
    shares = [share for stage, share in told if stage.startswith("reading the text")]
    assert shares == sorted(shares) and shares[-1] == 1
    assert max(after - before for before, after in zip(shares, shares[1:], strict=False)) < 0.1


class Counting:
    """A pattern that counts the characters it has looked at."""

    def __init__(self):
        self.seen = 0

    def split(self, text):
        self.seen += len(text)
        return _PARAGRAPH.split(text)


@pytest.mark.parametrize("piece", ["many words ", "a line\n", " ", "\t\n\x0b"])
def test_a_long_text_without_blank_lines_is_looked_at_once(monkeypatch, piece):
    """Work grows with the text, not with its square; so it does where all is blank."""
    from tuillm.text import document_reader

    counting = Counting()
    monkeypatch.setattr(document_reader, "_PARAGRAPH", counting)
    found = list(_paragraphs(piece * 10 for _ in range(2000)))
    size = len(piece) * 20_000
    assert counting.seen <= 2 * size
    assert "".join(found).split() == (piece * 20_000).split()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_paragraphs_are_those_of_the_whole(size):
    """However the text comes in pieces."""
    text = "\n\none\n two\n\n  \n  three\n \t\nfour\x0b\n\x0c\nfive\n\n\nsix \n\u2003\n"
    pieces = (text[at : at + size] for at in range(0, len(text), size))
    assert [*filter(None, _paragraphs(pieces))] == [*filter(None, _PARAGRAPH.split(text))]
