"""GGUF files, read back by gguf's own reader: every tensor, and what llama.cpp is told."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFReader
from gguf.quants import dequantize

from tuillm.convert.export_model import export
from tuillm.convert.gguf_vocab import vocabulary_of
from tuillm.convert.import_model import import_model
from tuillm.errors import TuillmError, UsageError
from tuillm.model import GPT, GPTConfig, write_model
from tuillm.store.card import ModelCard
from tuillm.store.registry import publish
from tuillm.text import load_tokenizer, make_tokenizer


@pytest.fixture
def grown(home, book_text):
    """Publish a random model with a tokenizer of a kind; returns model and tokenizer."""

    def publish_one(name="mine", kind="bpe", card=None, text=book_text, **shape):
        tokenizer = make_tokenizer(kind, [text], 300)
        size = dict(vocab_size=tokenizer.n_vocab, block_size=24, n_layer=2, n_head=2, n_embd=16)
        model = GPT(GPTConfig(**(size | dict(bias=False) | shape)))
        with torch.no_grad():
            for number, parameter in enumerate(model.parameters()):
                parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(number))
        with publish(name, card or ModelCard(tokenizer=kind)) as folder:
            write_model(model, folder, tokenizer.eot)
            tokenizer.save(folder, model.config.block_size)
        return model, tokenizer

    return publish_one


def values(reader, key):
    """A field of a GGUF file as Python values."""
    return reader.fields[key].contents()


def tensors(reader):
    """The tensors of a GGUF file by name, as float32 arrays in torch's shapes."""
    found = {}
    for each in reader.tensors:
        data = np.array(each.data)
        if each.tensor_type == GGMLQuantizationType.BF16:
            words = data.view(np.uint16).astype(np.uint32) << 16
            data = words.view(np.float32)
        found[each.name] = data.reshape([int(size) for size in reversed(each.shape)]).astype(
            np.float32
        )
    return found


@pytest.mark.parametrize("bias", [False, True])
def test_every_tensor_has_its_place(grown, tmp_path, bias):
    """Weights are the model's own, turned as llama.cpp wants them; missing biases are zeros."""
    model, _ = grown(bias=bias)
    done = export("mine", tmp_path, "gguf")
    assert done.path == tmp_path / "mine.gguf"
    found = tensors(GGUFReader(done.path))
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    assert np.array_equal(found["token_embd.weight"], state["wte.weight"])
    assert np.array_equal(found["output_norm.weight"], state["ln_f.weight"])
    names = {
        "attn_qkv": "attn.c_attn",
        "attn_output": "attn.c_proj",
        "ffn_up": "mlp.c_fc",
        "ffn_down": "mlp.c_proj",
        "attn_norm": "ln_1",
        "ffn_norm": "ln_2",
    }
    for layer in range(2):
        for theirs, ours in names.items():
            assert np.array_equal(
                found[f"blk.{layer}.{theirs}.weight"], state[f"h.{layer}.{ours}.weight"]
            )
            there = found[f"blk.{layer}.{theirs}.bias"]
            assert (
                np.array_equal(there, state[f"h.{layer}.{ours}.bias"])
                if bias
                else (not there.any() and len(there) == len(state[f"h.{layer}.{ours}.weight"]))
            )
    assert "output.weight" not in found and len(found) == 2 + 2 + 2 * 12


def test_positions_are_padded(grown, tmp_path):
    """llama.cpp looks up 256 positions at least: those never learned repeat the last, told so."""
    model, _ = grown()
    done = export("mine", tmp_path, "gguf")
    reader = GGUFReader(done.path)
    table = tensors(reader)["position_embd.weight"]
    assert values(reader, "gpt2.context_length") == len(table) == 256
    assert np.array_equal(table[:24], model.wpe.weight.detach().numpy())
    assert (table[24:] == table[23]).all()
    assert "24 positions" in done.notes[0]


def test_what_llama_is_told(grown, tmp_path):
    """Shape, end of text and that nothing is put before a text stand in the file."""
    _, tokenizer = grown(norm_eps=1e-3)
    reader = GGUFReader(export("mine", tmp_path, "gguf").path)
    told = {
        key: values(reader, f"gpt2.{key}")
        for key in (
            "block_count",
            "embedding_length",
            "feed_forward_length",
            "attention.head_count",
        )
    }
    assert list(told.values()) == [2, 16, 64, 2]
    assert values(reader, "general.architecture") == "gpt2"
    assert values(reader, "general.name") == "mine"
    assert values(reader, "gpt2.attention.layer_norm_epsilon") == pytest.approx(1e-3)
    for key in ("bos_token_id", "eos_token_id"):
        assert values(reader, f"tokenizer.ggml.{key}") == tokenizer.eot
    for key in ("add_bos_token", "add_eos_token", "add_space_prefix"):
        assert values(reader, f"tokenizer.ggml.{key}") is False


def test_byte_level_vocabulary(grown, tmp_path):
    """Tokens by id, kinds and merges in order, as in the tokenizer's own file."""
    _, tokenizer = grown()
    reader = GGUFReader(export("mine", tmp_path, "gguf").path)
    tokens = values(reader, "tokenizer.ggml.tokens")
    vocab = tokenizer.spec["model"]["vocab"]
    assert {token: id for id, token in enumerate(tokens)} == vocab | {
        "<|endoftext|>": tokenizer.eot
    }
    kinds = values(reader, "tokenizer.ggml.token_type")
    assert set(kinds[:-1]) == {1} and kinds[-1] == 3
    merges = [tuple(merge.split(" ")) for merge in values(reader, "tokenizer.ggml.merges")]
    assert merges == [tuple(merge) for merge in tokenizer.spec["model"]["merges"]]
    assert (values(reader, "tokenizer.ggml.model"), values(reader, "tokenizer.ggml.pre")) == (
        "gpt2",
        "gpt-2",
    )


def test_vocabulary_of_characters(grown, tmp_path):
    """Characters stand for themselves, the blank under llama.cpp's name, the rest as bytes."""
    _, tokenizer = grown(kind="char", text="a b қ\n")
    reader = GGUFReader(export("mine", tmp_path, "gguf").path)
    tokens = values(reader, "tokenizer.ggml.tokens")
    kinds = values(reader, "tokenizer.ggml.token_type")
    assert values(reader, "tokenizer.ggml.model") == "llama"
    for letter in "abқ\n":
        (id,) = tokenizer.encode(letter)
        assert (tokens[id], kinds[id]) == (letter, 1)
    (blank,) = tokenizer.encode(" ")
    assert (tokens[blank], kinds[blank]) == ("\u2581", 1)
    (unseen,) = tokenizer.encode("z")
    assert (tokens[unseen], kinds[unseen]) == ("<0x7A>", 6)
    assert len(set(tokens)) == len(tokens) == tokenizer.n_vocab


def test_a_book_without_blanks(grown, tmp_path):
    """Where no blank was seen its byte takes the place, so that a prompt's blanks arrive."""
    _, tokenizer = grown(kind="char", text="ACGTTGCA")
    tokens = vocabulary_of(tokenizer, tokenizer.n_vocab).tokens
    assert tokens[tokenizer.encode(" ")[0]] == "\u2581"


def test_rows_without_tokens(grown, tmp_path):
    """Rows of the table beyond the tokenizer are told as unused, each under its own name."""
    grown(vocab_size=320)
    reader = GGUFReader(export("mine", tmp_path, "gguf").path)
    tokens = values(reader, "tokenizer.ggml.tokens")
    assert len(set(tokens)) == 320
    assert set(values(reader, "tokenizer.ggml.token_type")[300:]) == {5}


@pytest.mark.parametrize(("dtype", "error"), [("f16", 1e-3), ("bf16", 1e-2)])
def test_half_precision(grown, tmp_path, dtype, error):
    """Matrices are rounded to the asked precision; norms, biases and positions stay exact."""
    model, _ = grown(bias=True)
    exact = tensors(GGUFReader(export("mine", tmp_path / "a", "gguf").path))
    reader = GGUFReader(export("mine", tmp_path / "b", "gguf", dtype).path)
    for name, value in tensors(reader).items():
        kind = next(each.tensor_type.name for each in reader.tensors if each.name == name)
        matrix = name.endswith("weight") and "norm" not in name and "position" not in name
        assert kind == (dtype.upper() if matrix else "F32")
        assert np.allclose(value, exact[name], rtol=error, atol=1e-6)
        assert matrix != np.array_equal(value, exact[name])


def test_int8_in_blocks(grown, tmp_path):
    """q8_0: half a step of a block's scale at most; rows of no whole blocks are f16, and told."""
    grown(bias=True, n_embd=32)
    exact = tensors(GGUFReader(export("mine", tmp_path / "a", "gguf").path))
    reader = GGUFReader(export("mine", tmp_path / "b", "gguf", "q8_0").path)
    for each in reader.tensors:
        matrix = each.tensor_type.name == "Q8_0"
        assert matrix == (
            "weight" in each.name and "_norm" not in each.name and "pos" not in each.name
        )
        found = dequantize(each.data, each.tensor_type).reshape(exact[each.name].shape)
        step = abs(exact[each.name]).max() / 127
        assert abs(found - exact[each.name]).max() <= (0.51 * step + 1e-4 if matrix else 0)
    grown("thin", n_embd=40)
    done = export("thin", tmp_path / "c", "gguf", "q8_0")
    assert "7 of its 9 matrices are f16: q8_0 takes rows of a multiple of 32" in done.notes[1]
    kinds = {each.name: each.tensor_type.name for each in GGUFReader(done.path).tensors}
    assert kinds["blk.0.ffn_up.weight"] == "F16"
    assert kinds["blk.0.ffn_down.weight"] == "Q8_0"  # whose rows are four times as long


def test_untied_head(grown, tmp_path):
    """A head of its own goes out under its own name."""
    model, _ = grown(tie_weights=False)
    found = tensors(GGUFReader(export("mine", tmp_path, "gguf").path))
    assert np.array_equal(found["output.weight"], model.lm_head.weight.detach().numpy())


def test_gpt2_vocabulary(shared_data):
    """GPT-2's own vocabulary goes out with its 50,000 merges, each token at its id."""
    told = vocabulary_of(load_tokenizer(shared_data / "gpt2-bpe"), 50_257)
    assert (told.pieces.model, told.ends[0], len(told.tokens)) == ("gpt2", 50_256, 50_257)
    assert (told.tokens[50_256], told.tokens[995]) == ("<|endoftext|>", "\u0120world")
    assert told.kinds == [1] * 50_256 + [3]
    assert (len(told.pieces.merges), told.pieces.merges[0]) == (50_000, "\u0120 t")


def test_it_may_be_named_as_a_file(grown, tmp_path):
    """A target ending in .gguf is the file itself; a folder may hold others already."""
    grown()
    (tmp_path / "mine.txt").write_text("here before")
    assert export("mine", tmp_path / "b.gguf", "gguf").path == tmp_path / "b.gguf"
    assert export("mine", tmp_path, "gguf").path == tmp_path / "mine.gguf"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "b.gguf",
        "mine.gguf",
        "mine.txt",
    ]
    assert (tmp_path / "b.gguf").stat().st_mode & 0o777 == 0o644


def refused(target, *options, kind=TuillmError):
    """Assert that an export is refused in one line and leaves nothing behind; returns the line."""
    place = target.parent
    before = sorted(place.rglob("*")) if place.exists() else None
    with pytest.raises(kind) as caught:
        export("mine", target, *options)
    assert "\n" not in str(caught.value)
    assert (sorted(place.rglob("*")) if place.exists() else None) == before
    return str(caught.value)


def test_what_is_there_stays(grown, tmp_path):
    """No format overwrites anything."""
    grown()
    export("mine", tmp_path / "there", "gguf")
    assert "is there already" in refused(tmp_path / "there", "gguf")
    assert "is there already" in refused(tmp_path / "there" / "mine.gguf", "gguf")
    assert "is there already" in refused(tmp_path / "there", "ollama")
    assert "is there already" in refused(tmp_path / "there", "hf")


def test_what_cannot_be_written(grown, tmp_path):
    """Bigrams, a character llama.cpp keeps for itself, unknown formats and types: a line each."""
    grown(n_layer=0, tie_weights=False)
    assert "without layers" in refused(tmp_path / "new", "gguf")
    assert "did you mean 'gguf'" in refused(tmp_path / "new", "gguff", kind=UsageError)
    assert "f32, f16, bf16" in refused(tmp_path / "new", "gguf", "q4", kind=UsageError)
    assert "--dtype is for" in refused(tmp_path / "new", "hf", "f16", kind=UsageError)
    grown("blocks", kind="char", text="bars \u2581\u2583\u2585")
    with pytest.raises(TuillmError, match="U\\+2581"):
        export("blocks", tmp_path / "new", "gguf")


SMALL_DISK = """
import resource, sys
from pathlib import Path
from tuillm.errors import TuillmError
from tuillm.convert.export_model import export
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
for to in ("gguf", "ollama", "hf"):
    try:
        export("mine", Path(sys.argv[1]) / to, to)
    except TuillmError as error:
        print(error)
"""


@pytest.mark.slow
def test_a_disk_that_takes_only_a_part(grown, tmp_path):
    """A disk that is full in the middle gets one line, and nothing half-written stays."""
    grown()
    done = subprocess.run(
        [sys.executable, "-c", SMALL_DISK, tmp_path / "new"],
        capture_output=True,
        text=True,
        env=dict(os.environ),
        timeout=60,
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 3 and all(line.startswith("cannot write") for line in lines), lines
    assert [path for path in (tmp_path / "new").rglob("*") if path.is_file()] == []


def test_a_disk_without_room_is_seen_before(grown, tmp_path, monkeypatch):
    """Where the file would not fit nothing is begun."""
    grown()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=1000))
    line = refused(tmp_path / "new", "gguf")
    assert "no space left to write" in line and "mine.gguf" in line


def test_a_vocabulary_without_an_end(nanogpt, tmp_path, characters):
    """What came from nanoGPT goes out with an end of text as unlikely as its rarest character."""
    theirs, path = nanogpt()
    import_model(str(path), "play")
    done = export("play", tmp_path, "gguf")
    assert "exact GELU" in done.notes[1]
    reader = GGUFReader(done.path)
    table, size = tensors(reader)["token_embd.weight"], len(characters)
    assert len(table) == size + 1 == len(values(reader, "tokenizer.ggml.tokens"))
    assert values(reader, "tokenizer.ggml.eos_token_id") == size
    (rarest,) = (id for id in range(size) if np.array_equal(table[id], table[size]))
    with torch.no_grad():
        likely = theirs(torch.arange(size)[:, None])[:, 0].softmax(-1)
    assert likely[:, rarest].log().mean() == likely.log().mean(0).min()


def test_characters_without_bytes_are_built_by_merges(nanogpt):
    """Where there are no bytes to fall back on, merges build each character of its own ones."""
    letters = ["a", "b", "\n", "\u049b", "\u0493", "\u767d", "\U0001f40b"]
    _, path = nanogpt(meta=letters, vocab_size=len(letters))
    told = vocabulary_of(import_model(str(path), "letters").tokenizer, len(letters))
    assert told.pieces.model == "gpt2"
    pairs = {tuple(merge.split(" ")) for merge in told.pieces.merges}
    for token, letter in zip(told.tokens, letters, strict=False):
        assert len(token) == len(letter.encode())
        assert all((token[:place], token[place]) in pairs for place in range(1, len(token)))
    assert len(pairs) == 1 + 1 + 2 + 3 + 1  # the last one for files that need none
