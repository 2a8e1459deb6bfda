"""The Hugging Face folder, both ways; transformers' GPT-2 is the oracle."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from tuillm.errors import TuillmError
from tuillm.model import GPT, GPTConfig, read_config, read_model, write_model

LINEARS = ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"]
SMALL = dict(vocab_size=97, n_positions=24, n_embd=24, n_layer=2, n_head=3)


@pytest.fixture
def reference(transformers, scrambled, tmp_path):
    """Save a random GPT2LMHeadModel of a shape; returns it and its folder."""

    def save(**shape):
        config = transformers.GPT2Config(**(SMALL | shape), bos_token_id=0, eos_token_id=0)
        theirs = scrambled(transformers.GPT2LMHeadModel(config))
        theirs.save_pretrained(tmp_path / "theirs")
        return theirs, tmp_path / "theirs"

    return save


@pytest.fixture
def ours(tmp_path, scrambled):
    """Write a random GPT of ours into a folder; returns it and the folder."""

    def save(eot=None, **shape):
        defaults = dict(vocab_size=61, block_size=20, n_layer=2, n_head=2, n_embd=16, bias=False)
        model = scrambled(GPT(GPTConfig(**(defaults | shape))))
        folder = tmp_path / "ours"
        folder.mkdir()
        write_model(model, folder, eot)
        return model, folder

    return save


def ids(vocab_size, length, batch=2):
    return torch.randint(vocab_size, (batch, length), generator=torch.Generator().manual_seed(1))


def assert_same_logits(ours, theirs, length, vocab_size):
    idx = ids(vocab_size, length)
    with torch.no_grad():
        torch.testing.assert_close(ours(idx), theirs(idx).logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"tie_word_embeddings": False},
        {"n_layer": 0},
        {"n_layer": 0, "tie_word_embeddings": False},
        {"n_head": 1},
        {"layer_norm_epsilon": 0.3},
        {"activation_function": "gelu_pytorch_tanh"},
        {"n_inner": 96},
    ],
    ids=str,
)
def test_logits_of_a_folder_by_transformers(reference, shape):
    """A GPT-2-shaped folder gives the logits that transformers computes from it."""
    theirs, folder = reference(**shape)
    assert_same_logits(read_model(folder).eval(), theirs, 24, 97)


@pytest.mark.parametrize("name", LINEARS)
def test_linear_weights_are_turned(reference, name):
    """Each linear weight is the transpose of GPT-2's, the square attention projection too."""
    theirs, folder = reference()
    found = read_model(folder).get_parameter(f"h.1.{name}.weight")
    expected = theirs.transformer.get_parameter(f"h.1.{name}.weight").t()
    assert torch.equal(found, expected)
    assert found.shape[0] != found.shape[1] or not torch.equal(found, found.t())


def test_folder_without_the_prefix(reference):
    """Keys without `transformer.` and stray attention masks, as old GPT-2 files have, are read."""
    theirs, folder = reference()
    path = folder / "model.safetensors"
    plain = {key.removeprefix("transformer."): value for key, value in load_file(path).items()}
    plain["h.0.attn.bias"] = torch.ones(1, 1, 24, 24).tril()
    plain["h.1.attn.masked_bias"] = torch.tensor(-1e4)
    save_file(plain, path, metadata={"format": "pt"})
    assert_same_logits(read_model(folder).eval(), theirs, 24, 97)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_files_become_float32(reference, dtype):
    """A folder saved in half precision opens as a float32 model of the same values."""
    theirs, folder = reference()
    theirs.to(dtype).save_pretrained(folder)
    model = read_model(folder).eval()
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
    assert_same_logits(model, theirs.float(), 24, 97)


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"bias": True},
        {"tie_weights": False},
        {"n_layer": 0, "tie_weights": False},
        {"n_embd": 6, "n_head": 3},
    ],
    ids=str,
)
def test_transformers_opens_what_is_written(transformers, ours, shape):
    """A folder written here, with biases or without, gives transformers the model's logits."""
    model, folder = ours(**shape)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    assert type(theirs) is transformers.GPT2LMHeadModel
    assert_same_logits(model, theirs, 20, 61)


@pytest.mark.parametrize("shape", [{}, {"bias": True}, {"tie_weights": False}], ids=str)
def test_state_round_trip(ours, shape):
    """Writing and reading a model changes no bit of it, nor whether it has biases."""
    model, folder = ours(**shape)
    found = read_model(folder)
    assert found.config == model.config
    before, after = model.state_dict(), found.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_tied_head_is_one_tensor(ours):
    """A tied head is stored once and shares its memory after reading."""
    _, folder = ours()
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    model = read_model(folder)
    assert model.lm_head.weight is model.wte.weight


def test_end_of_text_id_is_written(transformers, ours):
    """transformers learns the end-of-text id from both files that hold it."""
    _, folder = ours(eot=60)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder)
    assert theirs.config.eos_token_id == theirs.generation_config.eos_token_id == 60


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_trained_folders_open_in_transformers(transformers, trained_folders, kind):
    """A trained model, as it lies in the registry, opens in transformers with equal logits."""
    folder = trained_folders[kind]
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    idx = torch.tensor([tokenizer.encode("The road went on")])
    with torch.no_grad():
        logits = read_model(folder).eval()(idx)
        torch.testing.assert_close(logits, theirs(idx).logits, atol=1e-4, rtol=1e-4)


def test_gpt2_vocabulary_model_opens_in_transformers(transformers, gpt2_vocabulary, book):
    """A model trained on GPT-2's own vocabulary opens in transformers with equal logits."""
    from tuillm import Trainer

    folder = (
        Trainer(
            corpus=book,
            preset="nano",
            tokenizer="gpt2",
            n_embd=16,
            max_steps=3,
            val_fraction=0.01,
            sample_tokens=0,
        )
        .run()
        .path
    )
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    assert theirs.config.vocab_size == 50_257
    assert_same_logits(read_model(folder).eval(), theirs, 32, 50_257)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "mistral"}, "mistral"),
        ({"model_type": "llama"}, "hidden_size is missing"),
        ({"model_type": None}, "architecture None; tuillm computes gpt2"),
        ({"activation_function": "relu"}, "relu"),
        ({"n_inner": 40}, "n_inner 40"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
        ({"scale_attn_weights": False}, "scale_attn_weights"),
        ({"n_layer": "two"}, "n_layer is 'two'"),
        ({"n_layer": -1}, "n_layer is -1"),
        ({"n_head": 0}, "n_head is 0"),
        ({"n_head": 5}, "not divisible"),
        ({"n_positions": None}, "n_positions is None"),
        ({"vocab_size": 9.5}, "vocab_size is 9.5"),
        ({"layer_norm_epsilon": "small"}, "layer_norm_epsilon"),
    ],
    ids=str,
)
def test_config_that_cannot_be_computed(ours, change, words):
    """A config.json of another architecture, or with an impossible value, is refused by name."""
    _, folder = ours()
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(TuillmError, match=words) as caught:
        read_config(folder)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["vocab_size", "n_positions", "n_layer", "n_head", "n_embd"])
def test_config_without_a_key(ours, key):
    """A config.json that lacks part of the shape is refused, naming the key."""
    _, folder = ours()
    path = folder / "config.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != key}))
    with pytest.raises(TuillmError, match=key):
        read_model(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe{}", None], ids=repr)
def test_damaged_config_file(ours, content):
    """A config.json that is torn, not an object, or gone is refused in one line."""
    _, folder = ours()
    path = folder / "config.json"
    path.write_bytes(content) if content is not None else path.unlink()
    with pytest.raises(TuillmError, match="damaged") as caught:
        read_model(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [0, 5, 200, -1])
def test_truncated_weights(ours, keep):
    """A weight file cut short anywhere is refused in one line."""
    _, folder = ours()
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TuillmError, match=r"model\.safetensors is damaged") as caught:
        read_model(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("h.1.attn.c_proj.weight", torch.zeros(16, 15), "h.1.attn.c_proj.weight is"),
        ("h.0.mlp.c_fc.weight", torch.zeros(64, 16), "h.0.mlp.c_fc.weight is"),
        ("wpe.weight", torch.zeros(8, 16), "wpe.weight is"),
        ("ln_f.weight", torch.zeros(1), "ln_f.weight is"),
        ("h.0.ln_1.weight", None, "h.0.ln_1.weight is missing"),
        ("wte.weight", None, "wte.weight is missing"),
    ],
)
def test_weights_that_do_not_fit(ours, name, value, words):
    """A tensor that is missing or of another shape than config.json says is named."""
    _, folder = ours()
    path = folder / "model.safetensors"
    tensors = load_file(path)
    del tensors["transformer." + name]
    if value is not None:
        tensors["transformer." + name] = value
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(TuillmError, match="does not fit") as caught:
        read_model(folder)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_untied_head_that_is_missing(ours):
    """An untied model without its head is refused instead of being tied in silence."""
    _, folder = ours(tie_weights=False)
    path = folder / "model.safetensors"
    tensors = {key: value for key, value in load_file(path).items() if key != "lm_head.weight"}
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(TuillmError, match="lm_head.weight is missing"):
        read_model(folder)
