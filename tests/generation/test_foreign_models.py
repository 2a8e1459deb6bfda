"""Models of others: their own end, rows that pad their tables, NaN and infinity, many replies."""

import json
import math
import subprocess
import sys

import pytest
import torch
from foreign import foreign, random_model

from tuillm import Sampler
from tuillm.config.sampling_config import MOST_SAMPLES
from tuillm.convert.import_model import import_model
from tuillm.errors import TuillmError, UsageError
from tuillm.generation.scoring import alternatives, label_of, score, summarise
from tuillm.model import GPT
from tuillm.text import load_tokenizer
from tuillm.text.new_tokenizer import tokenizer_of_characters


@pytest.mark.parametrize("number", [1, 2])
def test_a_reply_ends_at_the_models_own_end(tmp_path, number, monkeypatch):
    """Each of the ids that a model's files name ends a reply, and none of them is shown."""
    folder, last = foreign(tmp_path / "model", ends=(1, 2))
    monkeypatch.setenv("TUILLM_NATIVE", "0")
    sampler = Sampler(folder, dtype="float32")
    assert isinstance(sampler.model, GPT)
    sampler.model.lm_head = torch.nn.Linear(32, 310)
    with torch.no_grad():
        sampler.model.lm_head.bias[last + number] = 1000
    tokens = list(sampler.stream("the road", max_new_tokens=9, heal=False))
    assert [(one.id, one.text, one.finish) for one in tokens] == [(last + number, "", "end")]
    assert label_of(sampler.tokenizer, last + 1) == "</s>"


def test_the_end_outlives_import_and_export(tmp_path, home):
    """What ends a reply is known in the registry, in a copy of it, and to transformers."""
    from tuillm.store.export_folder import export_model

    folder, last = foreign(tmp_path / "model", ends=(2, 1))
    import_model(str(folder), "chatty")
    export_model("chatty", tmp_path / "out")
    for place in (home / "models" / "chatty", tmp_path / "out"):
        tokenizer = load_tokenizer(place)
        assert (tokenizer.eot, tokenizer.ends) == (last + 2, {last + 1, last + 2})
        told = json.loads((place / "generation_config.json").read_text())
        assert told["eos_token_id"] == [last + 2, last + 1]


@pytest.mark.parametrize("settings", [{"temperature": 0}, {"top_k": 0}, {"top_p": 0.9}], ids=str)
def test_padded_rows_are_never_drawn(tmp_path, settings):
    """Ids that stand for nothing are not written, however likely, nor past the context."""
    folder, last = foreign(tmp_path / "model")
    sampler = Sampler(folder, dtype="float32")
    tokens = list(sampler.stream("the road", max_new_tokens=120, seed=3, **settings))
    assert len(tokens) == 120 and max(token.id for token in tokens) <= last + 2
    assert any(token.dropped for token in tokens)
    sampler.tokenizer.decode(range(400))  # raises nothing


@pytest.fixture
def broken(tmp_path, model, home):
    """Make a copy of the model `book` with a number in one of its tensors; returns the folder."""
    import shutil

    from safetensors.torch import load_file, save_file

    def make(value, tensor="transformer.h.0.mlp.c_fc.weight"):
        place = tmp_path / "broken"
        shutil.copytree(home / "models" / model, place, dirs_exist_ok=True)
        tensors = load_file(place / "model.safetensors")
        tensors[tensor].view(-1)[-1] = value
        save_file(tensors, place / "model.safetensors")
        return place

    return make


@pytest.mark.slow
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_are_no_numbers_are_not_spoken(broken, book, value):
    """Whoever opens such a folder is told in a line, and gets no text and no figure."""
    folder = broken(value)
    sampler = Sampler(folder)
    for act in (
        lambda: sampler.generate("The "),
        lambda: score(sampler, [5, 6, 7]),
        lambda: list(sampler.stream("The ", num_samples=2)),
        lambda: sampler.generate("The ", temperature=0),
    ):
        with pytest.raises(TuillmError, match="no numbers"):
            act()
    for arguments in (
        ["generate", folder],
        ["generate", folder, "--json", "--num-samples", "2"],
        ["eval", folder, book],
        ["eval", folder, book, "--json"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "tuillm", *map(str, arguments)], capture_output=True, text=True
        )
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
        assert "no numbers" in done.stderr and "{" not in done.stdout


def test_the_rivals_of_such_weights_are_not_told(broken):
    """Nor is what else could have stood there."""
    with pytest.raises(TuillmError, match="no numbers"):
        alternatives(Sampler(broken(math.nan)), [5, 6, 7], 1)


def test_weights_that_are_no_numbers_do_not_come_in(broken, home):
    """No import replaces a model with such, or adds one; the line names the tensor."""
    before = (home / "models" / "book" / "model.safetensors").read_bytes()
    for value in (math.nan, math.inf):
        folder = broken(value, "transformer.ln_f.weight")
        with pytest.raises(TuillmError, match="'book' was not .* tensor transformer.ln_f.weight"):
            import_model(str(folder), "book", replace=True)
        with pytest.raises(TuillmError, match="not put into the registry"):
            import_model(str(folder), "other")
    assert [
        entry.name for entry in (home / "models").iterdir() if not entry.name.startswith(".")
    ] == ["book"]
    assert (home / "models" / "book" / "model.safetensors").read_bytes() == before


def test_a_run_whose_weights_ran_away_is_not_published(model, home, book, monkeypatch):
    """A run that would put NaN in a good model's place fails instead, in words."""
    from tuillm import Trainer

    trainer = Trainer(corpus=str(book), name="book", preset="nano", max_steps=3)
    before = (home / "models" / "book" / "model.safetensors").read_bytes()
    for metrics in trainer.steps():
        with torch.no_grad():
            trainer.model.ln_f.weight[0] = math.nan if metrics.step == 3 else 1
    trainer.evaluations.best = None
    with pytest.raises(TuillmError, match="not put into the registry"):
        trainer.run(replace=True)
    assert (home / "models" / "book" / "model.safetensors").read_bytes() == before


def test_nobody_trains_on_from_such_weights(broken, book):
    """A fine-tuning names the tensor before it begins."""
    from tuillm import Trainer

    folder = broken(math.nan)
    with pytest.raises(TuillmError, match="cannot be trained on: its tensor transformer.h.0.mlp"):
        Trainer(corpus=str(book), init_from=str(folder), max_steps=2).prepare()


def test_several_samples_are_a_list(talker):
    """generate gives a text for one sample and a list for several: those that each seed gives."""
    settings = dict(max_new_tokens=12, temperature=1.0, seed=40)
    found = talker().generate("hello", num_samples=3, **settings)
    assert found == [
        talker().generate("hello", **settings | {"seed": 40 + row}) for row in range(3)
    ]
    assert len(set(found)) == 3
    assert talker().generate("hello", num_samples=1, **settings) == found[0]


@pytest.mark.parametrize("at_once", [1, 2, 4])
def test_samples_come_in_batches_that_fit(talker, monkeypatch, at_once):
    """However many replies fit side by side, they are the same, rows in their order."""
    settings = dict(max_new_tokens=12, temperature=1.0, seed=40, num_samples=5)
    whole = talker().generate("hello", **settings)
    monkeypatch.setattr("tuillm.generation.context._MOST_ROWS", at_once)
    sampler = talker()
    rows = [token.row for token in sampler.stream("hello", **settings)]
    assert sorted(set(rows)) == [0, 1, 2, 3, 4]
    assert sampler.generate("hello", **settings) == whole
    batches = [rows[start : start + 12 * at_once] for start in range(0, len(rows), 12 * at_once)]
    assert [{*batch} for batch in batches] == [
        {*range(first, min(first + at_once, 5))} for first in range(0, 5, at_once)
    ]


def test_a_hundred_thousand_replies(talker):
    """They are drawn as they are asked for: the first comes at once, in no memory to speak of."""
    stream = talker().stream("hello", num_samples=MOST_SAMPLES, max_new_tokens=5)
    assert [next(stream).row for _ in range(3)] == [0, 1, 2]


@pytest.mark.parametrize(
    "bad",
    [
        {"num_samples": MOST_SAMPLES + 1},
        {"num_samples": 10**5000},
        {"num_samples": True},
        {"max_new_tokens": 10**12},
        {"top_k": 10**400},
        {"top_k": 10**5000},
        {"n_keep": 10**400},
        {"seed": 10**400},
        {"stop": "x" * 2_000_000},
        {"stop": ["x"] * 1000},
        {"temperature": 10**400},
    ],
    ids=lambda bad: next(iter(bad)),
)
def test_numbers_are_bounded_at_the_door(talker, bad):
    """What no machine could do, or no line could show, is refused in one line of fair length."""
    with pytest.raises(UsageError, match=next(iter(bad))) as caught:
        talker().generate("hello", **bad)
    assert caught.value.hint and len(str(caught.value)) < 250 and "\n" not in str(caught.value)


def test_characters_that_are_left_out_are_paid_for():
    """A text half of which a vocabulary cannot write is no easier than its other half."""
    tokenizer = tokenizer_of_characters(list("abc \n"))
    sampler = Sampler.of(random_model(5), tokenizer)
    text = "abc abc " * 20
    ids = tokenizer.encode(text)
    alone = summarise(score(sampler, ids))
    mixed = "".join(f"{letter}қ" for letter in text)
    assert tokenizer.encode(mixed) == ids and tokenizer.left_out(mixed) == (160, 320)
    paid = summarise(score(sampler, ids), 320)
    bits = alone.bits_per_byte * alone.bytes + 8 * 320
    assert paid.bits_per_byte == pytest.approx(bits / (alone.bytes + 320))
    assert paid.nats_per_token == alone.nats_per_token and paid.left_out == 320
