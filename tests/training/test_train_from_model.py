"""Training that starts from a model: what is taken over, what is refused, what is published."""

import json
import shutil
from typing import Any

import pytest
import torch
from training.test_worker_process import no_worker_left, wait_for_end  # noqa: F401

from tuillm import Sampler, Trainer
from tuillm.config import build_train
from tuillm.errors import TuillmError, UsageError
from tuillm.model import GPT, GPTConfig, read_model, write_model
from tuillm.store.paths import demo_book
from tuillm.store.process_id import this_process
from tuillm.store.registry import find_model, get_model, list_models, remove_model, shape_of
from tuillm.store.run_folder import create_run, get_run, metric_rows
from tuillm.store.usage import using
from tuillm.store.workers.launch import resume_run
from tuillm.text import load_tokenizer, make_tokenizer
from tuillm.training.evaluate import evaluate, never
from tuillm.training.runner import Runner

pytestmark = pytest.mark.slow

QUICK: dict[str, Any] = dict(
    max_steps=12, sample_tokens=4, dtype="float32", eval_interval=4, patience=0
)


@pytest.fixture
def story(tmp_path):
    """Another text than the one the models here have learned: `story.txt`, 20 KB."""
    path = tmp_path / "story.txt"
    path.write_text(demo_book().read_text(encoding="utf-8")[40_000:60_000], encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path, book_text):
    """A model folder of no registry, with biases, padding in its vocabulary, and no card."""
    tokenizer = make_tokenizer("char", [book_text])
    model = GPT(
        GPTConfig(
            vocab_size=tokenizer.n_vocab + 5,
            block_size=24,
            n_layer=1,
            n_head=2,
            n_embd=16,
            norm_eps=1e-6,
        )
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.2, generator=generator)
    path = tmp_path / "foreign" / "gpt"
    path.mkdir(parents=True)
    write_model(model, path, tokenizer.eot)
    tokenizer.save(path, 24)
    return path


def history(rows):
    return [(row["step"], row["train_loss"], row.get("val_loss"), row["lr"]) for row in rows]


def files_of(name):
    return {path.name: path.read_bytes() for path in find_model(name).path.iterdir()}


def test_a_model_goes_on_with_another_text(model, story):
    """Shape and tokenizer are the parent's, the card names it, and it may be talked to meanwhile.

    The loss before the first step is that of the parent itself, and training lowers it.
    """
    parent, before = read_model(find_model("book").path), files_of("book")
    trainer = Trainer(story, init_from="book", **QUICK | {"max_steps": 60})
    with using("book", "chat"):
        grown = trainer.run()
    assert grown.name == "story" and files_of("book") == before
    card = grown.card
    assert (card.origin, card.parent, card.corpus) == ("fine-tuned", "book", "story.txt")
    assert load_tokenizer(grown.path).spec == load_tokenizer(find_model("book").path).spec
    same = ("n_layer", "n_head", "n_embd", "n_positions", "vocab_size", "tie_word_embeddings")
    theirs = find_model("book").config
    assert {key: grown.config[key] for key in same} == {key: theirs[key] for key in same}
    config = get_run("story-1").config
    assert (config.preset, config.init_from, config.n_embd, config.block_size) == (
        "finetune",
        "book",
        48,
        32,
    )
    tokens = trainer.tokens
    first = evaluate(parent, tokens.val, tokens.val_bytes, tokens.tokenizer)
    assert trainer.before == first and card.bits_per_byte < first.bits_per_byte
    assert (
        f"before training: {first.val_loss:.3f} nats/token, {first.bits_per_byte:.3f} bits/byte"
    ) in get_run("story-1").status().notes
    assert Sampler("story").generate("The ", max_new_tokens=5, seed=1)


def test_it_begins_with_the_weights_of_the_model(folder, story):
    """Weights, biases and the norm's epsilon are taken over, and a card is not needed."""
    trainer = Trainer(story, init_from=folder, **QUICK)
    assert trainer.config.init_from == str(folder) and json.dumps(trainer.config.model_dump())
    trainer.prepare()
    source = read_model(folder)
    ours = dict(trainer.model.named_parameters())
    assert all(torch.equal(value, ours[name]) for name, value in source.named_parameters())
    assert trainer.model.config.bias and trainer.model.config.norm_eps == 1e-6
    assert trainer.tokenizer.spec == load_tokenizer(folder).spec
    trained = trainer.run()
    assert trained.card.parent == "gpt" and trained.config["layer_norm_epsilon"] == 1e-6
    assert read_model(trained.path).config.vocab_size == source.config.vocab_size


def test_it_learns_from_shorter_windows(model, story):
    """A smaller block_size makes windows shorter; the published model keeps its context."""
    trainer = Trainer(story, init_from="book", block_size=8, **QUICK)
    trained = trainer.run()
    assert trainer.setup.batches.next(trainer.setup.device)[0].shape == (8, 8)
    assert trained.config["n_positions"] == 32
    tokens = 12 * 8 * 8 / len(trainer.tokens.train)
    assert get_run("story-1").status().epoch == pytest.approx(tokens)


def test_a_text_shorter_than_the_windows(model, tmp_path):
    """A text too short for the windows shrinks these, says so, and leaves the context."""
    path = tmp_path / "short.txt"
    path.write_text("to be or not to be, that is the question. ")
    trained = Trainer(path, init_from="book", **QUICK).run()
    assert trained.config["n_positions"] == 32
    assert any(
        "windows it learns from shrink from 32 to" in note
        for note in get_run("short-1").status().notes
    )


def test_a_bigram_model_stays_one(book, story):
    """A model without layers and positions has none afterwards, and its head stays untied."""
    Trainer(book, preset="bigram", max_steps=20, sample_tokens=0).run()
    trained = Trainer(story, init_from="book", learning_rate=1e-2, **QUICK).run()
    weights = read_model(trained.path)
    assert weights.config.n_layer == 0 and not weights.config.tie_weights
    assert not weights.wpe.weight.any()
    assert not torch.equal(weights.wte.weight, read_model(find_model("book").path).wte.weight)


class Stopping(Trainer):
    """A trainer whose run is asked to stop as soon as it has measured what it starts from."""

    def measure_before(self, interrupted=never):
        super().measure_before(interrupted)
        get_run("story-1").request("stop")


def test_resumed_is_undisturbed(model, story):
    """Stopped and resumed, the run takes the very steps, also when the parent is gone by then."""
    settings = dict(corpus=str(story), init_from="book") | QUICK
    settings |= dict(max_steps=120, eval_interval=100)
    config = build_train(settings, shape_of=shape_of)
    expected = history(m.row() for m in Trainer(config=config).steps())
    run = create_run(config, this_process())
    Runner(Stopping(config=config), run).run()
    assert (run.status().state, run.status().step) == ("stopped", 1)
    remove_model("book")
    resume_run(run)
    finished = wait_for_end(run)
    assert finished.state == "finished" and history(metric_rows(run)) == expected
    assert [note[:15] for note in finished.notes] == ["before training"]
    assert [model.card.parent for model in list_models()] == ["book"]


def test_a_model_may_take_its_own_place(model, story):
    """With `replace` the result stands where its parent stood."""
    trained = Trainer(story, name="book", init_from="book", **QUICK).run(replace=True)
    assert [found.name for found in list_models()] == ["book"]
    assert (trained.card.origin, trained.card.parent) == ("fine-tuned", "book")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n_layer": 3}, "n_layer cannot be 3: the model 'book' has 2"),
        ({"n_head": 3}, "n_head cannot be 3: the model 'book' has 2"),
        ({"block_size": 64}, "block_size cannot be 64: the model 'book' has 32"),
        ({"vocab_size": 300}, "vocab_size cannot be 300: the model 'book' has 320"),
        ({"tokenizer": "char"}, "tokenizer cannot be 'char': the model 'book' has 'bpe'"),
        ({"tie_weights": False}, "tie_weights cannot be False: the model 'book' has True"),
        ({"bias": True}, "bias cannot be set: the model 'book' brings its own"),
        ({"positions": "random"}, "positions cannot be set: the model 'book' brings its own"),
        ({"n_embd": "x"}, "n_embd cannot be 'x'"),
        ({"block_size": "x"}, "block_size cannot be 'x'"),
        ({"block_size": 1}, "block_size cannot be 1"),
        ({"init_from": 3}, "init_from cannot be 3"),
    ],
    ids=str,
)
def test_settings_that_are_not_the_models(model, story, settings, words):
    """A setting of shape that contradicts the model is refused by its name."""
    with pytest.raises(UsageError) as caught:
        Trainer(story, **{"init_from": "book"} | settings)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_settings_that_are_the_models(model, story):
    """What says the same as the model is no contradiction."""
    agreeing: dict[str, Any] = dict(
        n_layer=2, n_embd=48, tokenizer="bpe", vocab_size=320, tie_weights=True
    )
    config = Trainer(story, init_from="book", block_size=32, **agreeing).config
    assert (config.n_layer, config.n_head, config.tie_weights, config.tokenizer) == (
        2,
        2,
        True,
        "bpe",
    )
    assert config.preset == "finetune"


def test_a_kind_that_no_card_tells(folder, story):
    """Without a card the tokenizer itself is looked at, before the first step."""
    with pytest.raises(UsageError, match="tokenizer cannot be 'gpt2'.*has 'char'"):
        Trainer(story, init_from=folder, tokenizer="gpt2", **QUICK).prepare()
    Trainer(story, init_from=folder, tokenizer="char", **QUICK).prepare()


def test_a_model_that_is_not_there(model, story, folder):
    """Unknown and unusable models are told in one line, when the trainer is made."""
    with pytest.raises(TuillmError, match="no model named 'bok' .did you mean 'book'"):
        Trainer(story, init_from="bok")
    with pytest.raises(TuillmError, match="no model named ''"):
        Trainer(story, init_from="")
    with pytest.raises(TuillmError, match="holds no model"):
        Trainer(story, init_from=folder.parent)
    damaged = {"model_type": "mistral", "n_embd": 0, "n_layer": "2", "n_positions": None}
    for key, value in damaged.items():
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {key: value}))
        with pytest.raises(TuillmError, match="config.json (is|has|says)"):
            Trainer(story, init_from=folder)
        (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"x")
    with pytest.raises(TuillmError, match="damaged: cut short"):
        Trainer(story, init_from=folder)


def test_a_tokenizer_larger_than_the_weights(folder, story):
    """A vocabulary that the embeddings have no rows for is refused before it can crash."""
    make_tokenizer("bpe", [story.read_text()], 400).save(folder, 24)
    with pytest.raises(TuillmError, match="has ids up to 399, its weights only 262 rows"):
        Trainer(story, init_from=folder, **QUICK).prepare()


def test_a_model_that_has_gone_when_the_worker_looks(model, story):
    """The run fails in one line that names the model, and publishes nothing."""
    config = Trainer(story, init_from="book", **QUICK).config
    run = create_run(config, this_process())
    shutil.rmtree(find_model("book").path)
    with pytest.raises(TuillmError, match="no model named 'book'"):
        Runner(Trainer(config=config), run).run()
    status = run.status()
    assert status.state == "failed" and "no model named 'book'" in status.error
    assert list_models() == []


def test_a_chain_of_models(model, story, book):
    """What was fine-tuned can be fine-tuned again, and extended."""
    Trainer(story, init_from="book", **QUICK).run()
    again = Trainer(book, name="third", init_from="story", **QUICK)
    for metrics in again.steps():
        if metrics.step == 12 and not again.extended_steps:
            again.extend(3)
    assert again.step == 15
    assert Trainer(config=again.config).run().card.parent == "story"
    assert get_model("third").config == get_model("story").config
