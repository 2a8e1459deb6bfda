"""Hugging Face folders come in, in each of their kinds of files; transformers is the oracle."""

import json
import shutil

import pytest
import torch
from chat.templates import CHATML, letters_folder
from safetensors.torch import load_file, save_file

from tuillm import Sampler
from tuillm.convert.import_model import import_model
from tuillm.errors import TuillmError
from tuillm.model import read_model
from tuillm.store.model_sampling import folder_sampling, kept_sampling
from tuillm.store.registry import get_model, list_models
from tuillm.text import load_tokenizer, make_tokenizer


@pytest.fixture(scope="module")
def tokenizer(book_text):
    """A small byte-level tokenizer."""
    return make_tokenizer("bpe", [book_text], 300)


@pytest.fixture
def folder(transformers, tokenizer, tmp_path):
    """A folder that transformers saved, with a tokenizer; returns the model and the folder."""

    def save(name="their model", **shape):
        size = dict(vocab_size=300, n_positions=24, n_embd=24, n_layer=2, n_head=3)
        config = transformers.GPT2Config(**(size | shape), bos_token_id=299, eos_token_id=299)
        theirs = transformers.GPT2LMHeadModel(config).eval()
        with torch.no_grad():
            for number, parameter in enumerate(theirs.parameters()):
                parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(number))
        place = tmp_path / name
        theirs.save_pretrained(place)
        tokenizer.save(place, 24)
        return theirs, place

    return save


def refused(source, **options):
    """Assert that an import is refused in one line and leaves the registry alone; returns it."""
    before = [model.name for model in list_models()]
    with pytest.raises(TuillmError) as caught:
        import_model(str(source), **options)
    assert "\n" not in str(caught.value)
    assert [model.name for model in list_models()] == before
    return str(caught.value)


@torch.no_grad()
def assert_same(name, theirs, home):
    """Assert that a model of the registry gives the logits of the one it came from."""
    idx = torch.randint(300, (2, 24), generator=torch.Generator().manual_seed(1))
    ours = read_model(home / "models" / name).eval()
    torch.testing.assert_close(ours(idx), theirs(idx).logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"tie_word_embeddings": False},
        {"activation_function": "gelu"},
        {"layer_norm_epsilon": 0.3},
        {"n_layer": 0, "tie_word_embeddings": False},
    ],
    ids=str,
)
def test_logits_of_a_folder(folder, home, tokenizer, shape):
    """A folder comes in under its own name, with transformers' logits and its tokenizer's ids."""
    theirs, place = folder(**shape)
    found = import_model(str(place))
    assert found.name == "their-model"
    assert_same("their-model", theirs, home)
    assert load_tokenizer(home / "models" / "their-model").spec == tokenizer.spec
    card = get_model("their-model").card
    assert (card.origin, card.tokenizer, card.parameters) == ("imported", "bpe", found.parameters)
    assert get_model("their-model").problem == ""


@pytest.mark.parametrize("named", ["model.safetensors", "config.json", "other.safetensors"])
def test_a_file_with_its_config_beside_it(folder, home, named):
    """A weight file comes in by its own path; one that is called as all are takes the folder's."""
    theirs, place = folder()
    if named.startswith("other"):
        (place / "model.safetensors").rename(place / named)
    name = import_model(str(place / named)).name
    assert name == ("other" if named.startswith("other") else "their-model")
    assert_same(name, theirs, home)


def test_older_weights(folder, home):
    """`pytorch_model.bin` is read as plain tensors, in the new format and in that of 2019."""
    theirs, place = folder()
    tensors = load_file(place / "model.safetensors")
    (place / "model.safetensors").unlink()
    for number, zipped in enumerate((True, False)):
        torch.save(tensors, place / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
        import_model(str(place), f"older-{number}")
        assert_same(f"older-{number}", theirs, home)


def test_weights_in_parts(folder, home):
    """Weights spread over several files, as transformers saves large models, are put together."""
    theirs, place = folder()
    (place / "model.safetensors").unlink()
    theirs.save_pretrained(place, max_shard_size="40KB")
    assert (place / "model.safetensors.index.json").exists()
    import_model(str(place), "parts")
    assert_same("parts", theirs, home)
    next(place.glob("model-00002*")).unlink()
    assert "model-00002" in refused(place, name="again")


def test_half_precision(folder, home):
    """Weights in half precision come in with the very same values."""
    theirs, place = folder()
    theirs.to(torch.bfloat16).save_pretrained(place)
    import_model(str(place), "half")
    assert_same("half", theirs.float(), home)


def test_our_own_export_keeps_its_card(model, tmp_path):
    """A model that went out and comes back still knows what it is and how good."""
    from tuillm.store.export_folder import export_model

    before = get_model(model).card
    export_model(model, tmp_path / "out")
    import_model(str(tmp_path / "out"), "back")
    after = get_model("back").card
    assert (after.origin, after.run) == ("imported", None)
    kept = {"corpus_sha256", "val_loss", "bits_per_byte", "mode", "template", "steps"}
    assert after.model_dump(include=kept) == before.model_dump(include=kept)


def test_what_its_makers_say_of_sampling_is_kept(home, tmp_path):
    """Their settings, and the id that begins a text, which is another than that of its end."""
    made = {"temperature": 0.6, "top_k": 20, "top_p": 0.95, "do_sample": True}
    folder = letters_folder(tmp_path / "theirs", CHATML, made)
    path = folder / "generation_config.json"
    told = json.loads(path.read_text())
    begin = load_tokenizer(folder).encode_special("<s>")[0]
    odd = {"max_length": 99, "min_p": "much", "repetition_penalty": None}
    path.write_text(json.dumps(told | {"bos_token_id": begin} | odd))
    import_model(str(folder), "theirs")
    came = json.loads((home / "models" / "theirs" / "generation_config.json").read_text())
    assert (
        came == told | {"bos_token_id": begin} and came["bos_token_id"] not in came["eos_token_id"]
    )
    config = json.loads((home / "models" / "theirs" / "config.json").read_text())
    assert config["bos_token_id"] == begin and config["eos_token_id"] == came["eos_token_id"][0]
    sampler = Sampler("theirs")
    assert (sampler.defaults.temperature, sampler.defaults.top_k) == (0.6, 20)
    assert sampler.generate("a", seed=1) == sampler.generate("a", seed=1, **made_settings(made))


def made_settings(made):
    return {name: value for name, value in made.items() if name != "do_sample"}


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ({"do_sample": False, "temperature": 0.7, "top_k": 3}, {"temperature": 0.0, "top_k": 3}),
        ({"do_sample": True, "top_p": 0, "min_p": -1, "temperature": 1e9}, {}),
        ({"temperature": "hot", "top_k": [1], "top_p": True, "min_p": None}, {}),
        ({"temperature": 1, "top_k": 50.0, "repetition_penalty": 1.1, "seed": 7}, None),
        ({"temperature": 10**400, "top_k": -(10**400)}, {}),
        ([], {}),
    ],
)
def test_only_settings_that_hold_are_taken_over(tmp_path, told, found):
    """What is out of range, no number or unknown is left out; no sampling is temperature 0."""
    (tmp_path / "generation_config.json").write_text(json.dumps(told))
    usual = {"temperature": 1.0, "top_k": 50, "repetition_penalty": 1.1}
    assert folder_sampling(tmp_path) == (usual if found is None else found)
    if told:  # what is written again is what was taken over, and whether to sample
        kept = kept_sampling(tmp_path)
        assert kept.pop("do_sample", True) is told.get("do_sample", True)
        assert kept.keys() <= {"temperature", *folder_sampling(tmp_path)}
    (tmp_path / "generation_config.json").write_text("{")
    assert folder_sampling(tmp_path) == {}


def test_a_folder_without_a_tokenizer(folder, home, tokenizer, tmp_path):
    """What is missing is told with the ways to name it; a folder that has one will do."""
    theirs, place = folder()
    for path in [*place.glob("tokenizer*"), place / "vocab.json", place / "merges.txt"]:
        path.unlink()
    assert "--tokenizer" in refused(place)
    (tmp_path / "words").mkdir()
    tokenizer.save(tmp_path / "words", 24)
    import_model(str(place), tokenizer=str(tmp_path / "words"))
    assert_same("their-model", theirs, home)
    assert "has no tokenizer" in refused(place, name="b", tokenizer=str(tmp_path / "nowhere"))


def test_a_tokenizer_that_is_too_large(folder):
    """A tokenizer with ids beyond the weights is refused before anything breaks on them."""
    _, place = folder(vocab_size=299)
    assert "ids up to 299" in refused(place)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "mistral"}, "architecture 'mistral'; tuillm computes"),
        ({"activation_function": "relu"}, "relu"),
        ({"n_positions": 99}, "wpe.weight is"),
        ({"n_layer": 3}, "h.2.ln_1.weight is missing"),
        ({"n_layer": 1}, "h.1."),
        ({"n_head": 5}, "not divisible"),
    ],
)
def test_a_folder_that_is_not_what_it_says(folder, change, words):
    """Another architecture, or a config that contradicts the weights, is named."""
    _, place = folder()
    path = place / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert words in refused(place)


def test_weights_cut_short(folder):
    """A torn download is damaged, whichever its kind."""
    _, place = folder()
    path = place / "model.safetensors"
    save_file(load_file(path), path)
    path.write_bytes(path.read_bytes()[:-10])
    assert "damaged" in refused(place)
    path.rename(place / "pytorch_model.bin")
    assert "damaged" in refused(place)
    (place / "pytorch_model.bin").unlink()
    assert "has no weights" in refused(place)


def test_what_is_no_model(tmp_path, book):
    """Nothing, an empty folder, a text, a lone weight file: each gets its own line."""
    assert "does not exist" in refused(tmp_path / "nowhere")
    assert "'book.txt'" in refused(tmp_path / "bok.txt")
    (tmp_path / "empty").mkdir()
    assert "holds no model" in refused(tmp_path / "empty")
    assert "no model that tuillm reads" in refused(book)
    shutil.copyfile(book, tmp_path / "lone.safetensors")
    assert "config.json" in refused(tmp_path / "lone.safetensors")
