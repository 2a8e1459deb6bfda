"""Long unbroken runs (DNA, digits, one line of letters) cost no more than prose, ids unchanged."""

import random
import time

import pytest
from tokenizers import Tokenizer as Foreign

from tuillm.config import TrainConfig
from tuillm.errors import Interrupted
from tuillm.store.files import write_json
from tuillm.store.paths import cache_dir
from tuillm.text import bpe_training as pieces
from tuillm.text.bpe_training import LONGEST_RUN, learn_pieces
from tuillm.text.corpus import Corpus, read_corpus
from tuillm.text.new_tokenizer import make_tokenizer
from tuillm.text.tokenizer import slices
from tuillm.text.tokens import tokenize


def run_of(letters, size, seed=5):
    return "".join(random.Random(seed).choices(letters, k=size))


RUNS = {
    "DNA": run_of("ACGT", 60_000),
    "digits": run_of("0123456789", 60_000),
    "letters": run_of("abcdefghijklmnop", 60_000),
    "one letter": "a" * 60_000,
    "blanks": " " * 60_000 + "end",
    "rule": "-=" * 30_000,
    "by turns": "½1" * 30_000,  # one run for the library, and many short ones for Python
    "hanzi": run_of("白鲸记叫我", 60_000),
}


@pytest.mark.parametrize("kind", RUNS)
def test_the_ids_of_long_runs_are_those_of_other_libraries(kind, tmp_path):
    """Learned in bounded parts, encoded whole: `tokenizer.json` gives the same ids elsewhere."""
    text = f"Before.\n{RUNS[kind]} behind {RUNS[kind][:700]}"
    tokenizer = make_tokenizer("bpe", [text], 400)
    write_json(tmp_path / "tokenizer.json", tokenizer.spec)
    theirs = Foreign.from_file(str(tmp_path / "tokenizer.json"))
    ids = tokenizer.encode(text)
    assert theirs.encode(text).ids == ids
    assert tokenizer.decode(ids) == text
    longest = max(
        len(tokenizer.token_bytes(id).decode(errors="replace")) for id in range(tokenizer.n_vocab)
    )
    most = pieces._UNBROKEN if kind == "by turns" else LONGEST_RUN
    assert longest <= most + 1  # a blank may stand before it


@pytest.mark.parametrize("turns", ["", "½1", "\x1c!", "a\U00031350"])
def test_learning_does_not_take_time_with_the_square_of_a_run(turns):
    """A run four times as long takes about four times as long, not sixteen times."""
    seconds = []
    for size in (40_000, 160_000):
        text = turns * (size // 2) or run_of("ACGT", size)
        begin = time.process_time()
        make_tokenizer("bpe", [text], 400)
        seconds.append(time.process_time() - begin)
    assert seconds[1] < 9 * seconds[0] + 0.2


def test_books_are_learned_as_ever(book_text, monkeypatch):
    """Without such runs the pieces are the library's own of the whole text, in parts or not."""
    monkeypatch.setattr(pieces, "_bounded", lambda parts: parts)
    whole = make_tokenizer("bpe", [book_text], 500).spec
    monkeypatch.undo()
    assert make_tokenizer("bpe", [book_text], 500).spec == whole


def test_a_process_of_its_own_learns_the_same(book_text, monkeypatch):
    """Long texts are learned from elsewhere, with the very same result."""
    documents = [book_text, RUNS["DNA"][:5000], "қазақ тілі\0 白鲸"]
    here = learn_pieces(documents, 400, slices)
    monkeypatch.setattr(pieces, "_INLINE", 10)
    said = []
    assert learn_pieces(documents, 400, slices, lambda *told: said.append(told)) == here
    assert {stage for stage, _ in said} == {"learning pieces"}
    assert all(0 <= share <= 1 for _, share in said)


def test_a_broken_process_is_told(monkeypatch):
    """When it dies, the words say so."""
    monkeypatch.setattr(pieces, "_INLINE", 10)
    with pytest.raises(Exception, match="learning the pieces broke off"):
        learn_pieces(["x" * 100], -5, slices)


@pytest.mark.parametrize(
    "text",
    [
        "word " * 5000,
        "a\tb  c\n\n\nd " * 2000,
        "白鲸记叫我，以实玛利。" * 2000,
        "x" * 9000,
        "don't 'sit''s\u00a0 x\x1c y\u2028 " * 2000,
        "½Ⅷ，é。1、" * 2000,
    ],
)
def test_slices_change_no_id(text, book_text, shared_data):
    """Cut before blanks, and before marks where no blanks are written, a text has the same ids."""
    from tuillm.text.tokenizer_files import load_tokenizer

    parts = list(slices(text, 100))
    assert "".join(parts) == text
    assert len(parts) > 10 or text[:2] == "xx"
    for tokenizer in (
        make_tokenizer("bpe", [book_text + text[:500]], 500),
        load_tokenizer(shared_data / "gpt2-bpe"),
    ):
        assert [id for part in parts for id in tokenizer.encode(part)] == tokenizer.encode(text)


class Ends:
    """A tick that ends the work when a stage is reached."""

    def __init__(self, stage):
        self.stage, self.seen = stage, []

    def __call__(self, stage, share):
        self.seen.append((stage, share))
        if stage == self.stage:
            raise Interrupted("enough")


@pytest.mark.parametrize(
    "stage", ["looking for its tokens", "learning pieces", "encoding the text"]
)
def test_every_stage_of_making_tokens_can_be_ended(stage, book_text):
    """What the tick raises ends the work at once, and nothing half-made stays in the cache."""
    ends = Ends(stage)
    with pytest.raises(Interrupted):
        tokenize(Corpus.of((book_text * 3,), "book.txt"), TrainConfig(max_steps=1), None, ends)
    assert ends.seen[-1][0] == stage
    assert not list((cache_dir() / "tokens").glob("*"))


def test_reading_and_collecting_characters_can_be_ended(book):
    """So do the stages before, and those of another tokenizer."""
    with pytest.raises(Interrupted):
        read_corpus((str(book),), tick=Ends("reading the text"))
    with pytest.raises(Interrupted):
        make_tokenizer("char", ["text"], tick=Ends("collecting characters"))


def test_learning_in_a_process_of_its_own_can_be_ended(book_text):
    """The process is gone when the work was not wanted any more."""
    import psutil

    calls = []

    def tick(stage, share):
        calls.append(psutil.Process().children())
        if len(calls) > 3 and calls[-1]:
            raise Interrupted("enough")

    with pytest.raises(Interrupted):
        learn_pieces([book_text * 60], 1024, slices, tick)
    assert calls[-1] and not [child for child in calls[-1] if child.is_running()]
