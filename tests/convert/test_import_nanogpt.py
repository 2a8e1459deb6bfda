"""nanoGPT's checkpoints come in: the same logits, the same ids, and nothing of theirs is run."""

import json
import pickle

import pytest
import torch
from safetensors.torch import load_file

from tuillm import Sampler
from tuillm.convert.import_model import import_model
from tuillm.errors import TuillmError, UsageError
from tuillm.model import read_model
from tuillm.store.registry import get_model, list_models
from tuillm.text import load_tokenizer


def random_ids(size, length=24):
    return torch.randint(size, (2, length), generator=torch.Generator().manual_seed(1))


def one_line(call):
    """Assert that a call is refused in one line and leaves the registry alone; returns it."""
    before = [model.name for model in list_models()]
    with pytest.raises(TuillmError) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert [model.name for model in list_models()] == before
    return str(caught.value)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("prefix", ["", "_orig_mod."])
@torch.no_grad()
def test_logits_of_a_checkpoint(nanogpt, home, bias, prefix):
    """The model in the registry gives the logits of nanoGPT's own forward, compiled or not."""
    theirs, path = nanogpt(prefix, bias=bias)
    found = import_model(str(path))
    ours = read_model(home / "models" / found.name).eval()
    idx = random_ids(theirs.lm_head.out_features)
    torch.testing.assert_close(ours(idx), theirs(idx), atol=1e-5, rtol=1e-5)
    assert ours.config.bias == bias and ours.config.tie_weights


@torch.no_grad()
def test_transformers_opens_what_came_in(nanogpt, home, transformers):
    """In the registry it is a Hugging Face folder, exact GELU and vocabulary included."""
    theirs, path = nanogpt()
    import_model(str(path), "play")
    folder = home / "models" / "play"
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    idx = random_ids(theirs.lm_head.out_features)
    torch.testing.assert_close(model(idx).logits, theirs(idx), atol=1e-5, rtol=1e-5)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for text in ("Good: so, he went?\n", "naïve, 33 ways", ""):
        ids = load_tokenizer(folder).encode(text)
        assert tokenizer.encode(text, add_special_tokens=False) == ids


def test_characters_keep_their_ids(nanogpt, characters):
    """Ids are those of `meta.pkl`; characters it does not have are left out."""
    _, path = nanogpt()
    tokenizer = import_model(str(path)).tokenizer
    text = "So, Romeo; 3 sheep.\n"
    assert tokenizer.encode(text) == [characters.index(letter) for letter in text]
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.encode("қoj🐋 7y") == tokenizer.encode("oj y")
    assert (tokenizer.kind, tokenizer.n_vocab, tokenizer.eot) == ("char", len(characters), None)


def test_it_talks_at_once(nanogpt):
    """What came in generates text from a prompt, and from one that it cannot spell."""
    _, path = nanogpt()
    import_model(str(path), "play")
    sampler = Sampler("play")
    for prompt in ("To be", "", "қазақ"):
        assert len(sampler.generate(prompt, max_new_tokens=8, seed=1)) == 8


def test_a_text_without_line_ends(nanogpt):
    """A vocabulary that lacks even the newline a reply begins with still gives replies."""
    _, path = nanogpt(meta=["A", "C", "G", "T"], vocab_size=4)
    import_model(str(path), "dna")
    sampler = Sampler("dna")
    for prompt in ("GAT", "", "hello"):
        assert set(sampler.generate(prompt, max_new_tokens=8, seed=1)) <= set("ACGT")


def test_the_card_tells_what_the_checkpoint_told(nanogpt):
    """Origin, data set, steps and loss stand in the card; the name is that of the folder."""
    _, path = nanogpt()
    assert import_model(str(path.parent)).name == "out-play"
    card = get_model("out-play").card
    assert (card.origin, card.corpus, card.steps, card.tokenizer) == (
        "imported",
        "shakespeare_char",
        250,
        "char",
    )
    assert card.val_loss == pytest.approx(1.4697)
    assert card.parameters == get_model("out-play").as_json()["vocab_size"] * 16 + 24 * 16 + (
        2 * (12 * 16 * 16 + 2 * 16) + 16
    )


def test_meta_beside_the_checkpoint_or_named(nanogpt, meta_pickle, tmp_path, characters):
    """`meta.pkl` may lie beside the checkpoint, or anywhere when it is named."""
    _, path = nanogpt(meta=None)
    meta_pickle(tmp_path / "elsewhere" / "meta.pkl", characters)
    named = import_model(str(path), "a", tokenizer=str(tmp_path / "elsewhere" / "meta.pkl"))
    meta_pickle(path.parent / "meta.pkl", characters)
    beside = import_model(str(path), "b")
    assert named.tokenizer.spec == beside.tokenizer.spec


def test_the_text_itself_is_enough(nanogpt, tmp_path, characters):
    """Without `meta.pkl` the vocabulary is made of the text, sorted, as nanoGPT does it."""
    _, path = nanogpt(meta=None)
    line = one_line(lambda: import_model(str(path)))
    assert "meta.pkl" in line and "--corpus" in line
    text = tmp_path / "input.txt"
    text.write_text("".join(reversed(characters)) * 2, encoding="utf-8")
    tokenizer = import_model(str(path), corpus=str(text)).tokenizer
    assert tokenizer.encode("".join(characters)) == list(range(len(characters)))
    text.write_text("another text", encoding="utf-8")
    line = one_line(lambda: import_model(str(path), "other", corpus=str(text)))
    assert f"{len(characters)} entries" in line and "--corpus" in line


@torch.no_grad()
def test_gpt2_vocabulary_loses_its_padding(nanogpt, gpt2_vocabulary, home):
    """A vocabulary rounded up to 50,304 is cut to GPT-2's 50,257; the logits stay."""
    theirs, path = nanogpt(dataset="openwebtext", meta=None, vocab_size=50_304, n_embd=8)
    found = import_model(str(path), "web")
    ours = read_model(home / "models" / "web").eval()
    idx = random_ids(50_257)
    assert (found.padding, found.tokenizer.kind, ours.config.vocab_size) == (47, "gpt2", 50_257)
    torch.testing.assert_close(ours(idx), theirs(idx)[..., :50_257], atol=1e-5, rtol=1e-5)


def test_a_head_of_its_own_stays_one(nanogpt, home):
    """A checkpoint whose head is not the table comes in untied."""
    _, path = nanogpt()
    held = torch.load(path, weights_only=True)
    head = torch.randn_like(held["model"]["lm_head.weight"])
    held["model"]["lm_head.weight"] = head
    torch.save(held, path)
    import_model(str(path), "untied")
    stored = load_file(home / "models" / "untied" / "model.safetensors")
    assert torch.equal(stored["lm_head.weight"], head)


class Bomb:
    """What unpickling would run."""

    def __reduce__(self):
        return open, ("bombed", "w")


@pytest.mark.parametrize("place", ["config", "model_args", "model"])
def test_a_checkpoint_that_would_run_code_is_refused(nanogpt, tmp_path, monkeypatch, place):
    """A checkpoint with anything but tensors and plain values is named, and nothing is run."""
    monkeypatch.chdir(tmp_path)
    _, path = nanogpt()
    held = torch.load(path, weights_only=True)
    held[place] = {"bomb": Bomb()}
    torch.save(held, path)
    line = one_line(lambda: import_model(str(path)))
    assert "would run code" in line and "open" in line
    assert not (tmp_path / "bombed").exists()


def test_a_meta_that_would_run_code_is_refused(nanogpt, tmp_path, monkeypatch):
    """`meta.pkl` is read without unpickling: a step that calls something ends the reading."""
    monkeypatch.chdir(tmp_path)
    _, path = nanogpt(meta=None)
    (path.parent / "meta.pkl").write_bytes(pickle.dumps({"itos": {0: Bomb()}}))
    assert "builds no plain value" in one_line(lambda: import_model(str(path)))
    assert not (tmp_path / "bombed").exists()


@pytest.mark.parametrize("keep", [0, 10, 1000, -100])
def test_a_checkpoint_cut_short(nanogpt, keep):
    """A checkpoint cut short anywhere is refused in one line that names it."""
    _, path = nanogpt()
    path.write_bytes(path.read_bytes()[:keep])
    line = one_line(lambda: import_model(str(path)))
    assert str(path) in line and "damaged" in line


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_args": None}, "not a checkpoint of nanoGPT"),
        ({"model": [1]}, "not a checkpoint of nanoGPT"),
        ({"model_args": {"n_layer": 2}}, "is None"),
        ({"n_head": 5}, "not divisible"),
        ({"n_layer": True}, "n_layer is True"),
        ({"n_layer": 3}, "h.2.ln_1.weight is missing"),
        ({"n_layer": 1}, "h.1.ln_1.weight is one too many"),
        ({"use_rmsnorm": True}, "does not compute use_rmsnorm"),
        ({"block_size": 99}, "wpe.weight is"),
        ({"n_embd": 18}, "wte.weight is"),
        ({"n_embd": 1 << 40}, f"n_embd is {1 << 40}"),
        ({"block_size": 1 << 40}, f"block_size is {1 << 40}"),
        ({"block_size": 1 << 20}, "wpe.weight is"),
        ({"n_layer": 10**9}, "n_layer is 1000000000"),
        ({"n_layer": 10**4}, "h.2.ln_1.weight is missing"),
    ],
)
def test_a_checkpoint_that_does_not_fit_itself(nanogpt, change, words):
    """Shape and weights that contradict each other are refused, naming the first that does."""
    _, path = nanogpt()
    held = torch.load(path, weights_only=True)
    whole = {"model_args", "model"} & change.keys()
    held = held | change if whole else held | {"model_args": held["model_args"] | change}
    torch.save(held, path)
    assert words in one_line(lambda: import_model(str(path)))


@pytest.mark.parametrize("value", [torch.tensor(1.0), torch.zeros(3), torch.zeros(65, 16).int()])
@pytest.mark.parametrize("name", ["transformer.wte.weight", "lm_head.weight"])
def test_tables_of_another_kind(nanogpt, name, value):
    """A table that is a number, a row or of another type is refused or read, and never crashes."""
    _, path = nanogpt()
    held = torch.load(path, weights_only=True)
    held["model"][name] = value
    torch.save(held, path)
    if value.dim() == 2:
        import_model(str(path))
    else:
        assert name.removeprefix("transformer.") in one_line(lambda: import_model(str(path)))


def test_a_pickle_of_something_else(tmp_path):
    """A file of PyTorch that is no dictionary, and one that is not PyTorch's at all."""
    path = tmp_path / "ckpt.pt"
    torch.save([1, 2], path)
    assert "a list, not a dictionary" in one_line(lambda: import_model(str(path)))
    path.write_text("hello")
    assert "damaged" in one_line(lambda: import_model(str(path)))


def test_a_taken_name(nanogpt):
    """A name is taken once; `replace` puts the new model in its place."""
    _, path = nanogpt()
    import_model(str(path), "play")
    assert "--replace" in one_line(lambda: import_model(str(path), "play"))
    import_model(str(path), "play", replace=True)
    assert [model.name for model in list_models()] == ["play"]
    with pytest.raises(UsageError, match="cannot be a name"):
        import_model(str(path), "../evil")


def test_two_vocabularies_are_one_too_many(nanogpt, book):
    """A text and a tokenizer at once contradict each other."""
    _, path = nanogpt()
    with pytest.raises(UsageError, match="both"):
        import_model(str(path), corpus=str(book), tokenizer="gpt2")


def test_nothing_of_the_source_changes(nanogpt, home):
    """Importing reads; what lies there afterwards is what lay there before."""
    _, path = nanogpt()
    before = {each: each.read_bytes() for each in path.parents[1].rglob("*") if each.is_file()}
    import_model(str(path), "play")
    assert before == {
        each: each.read_bytes() for each in path.parents[1].rglob("*") if each.is_file()
    }
    assert (
        json.loads((home / "models" / "play" / "config.json").read_text())["activation_function"]
        == "gelu"
    )
