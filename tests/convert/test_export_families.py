"""GGUF files of every family, read back by gguf's own reader and by our import.

What stands in them is held against `gguf_files`, which writes such files as llama.cpp's converter
does, from the same models of transformers.
"""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from convert import gguf_files
from convert.gguf_models import SPLITTING, model_of, texts, trained, write_folder
from convert.gguf_round_trip import assert_same_ids, back, entries
from gguf import GGUFReader
from safetensors.torch import load_file, save_file

from tuillm.config.gpt_config import GPTConfig
from tuillm.convert.export_model import export
from tuillm.convert.gguf_export import open_for_gguf
from tuillm.errors import TuillmError
from tuillm.model import GPT, write_model
from tuillm.text import load_tokenizer, make_tokenizer

FAMILIES = ["llama", "qwen2", "qwen3"]
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


@pytest.fixture(scope="module")
def words(book_text):
    """A byte-level tokenizer of GPT-2's kind with special and other added tokens."""
    return trained(book_text, *SPLITTING["gpt-2"])


@pytest.fixture
def folder(home, tmp_path):
    """Where a model folder is written."""
    return tmp_path / "folder"


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_is_that_of_the_converter(folder, tmp_path, words, family, tied):
    """Every tensor and every entry of the shape; our import makes the same folder of it."""
    model = model_of(family, tie_word_embeddings=tied)
    write_folder(folder, model, words, TEMPLATE, bos_token="<|im_start|>")
    done = export(str(folder), tmp_path / "a.gguf", "gguf")
    assert done.notes == ()
    wanted = gguf_files.write(tmp_path / "b.gguf", model, words, bos=1, eos=2, template=TEMPLATE)
    ours, theirs = (
        {each.name: each for each in GGUFReader(path).tensors} for path in (done.path, wanted)
    )
    assert ours.keys() == theirs.keys()
    for name, each in theirs.items():
        assert ours[name].tensor_type.name == "F32"
        assert np.array_equal(ours[name].data, each.data), name
    ours, theirs = entries(done.path), entries(wanted)
    for key, value in theirs.items():
        if key != "tokenizer.ggml.tokens":
            assert ours[key] == value, key
    real = [kind != 5 for kind in theirs["tokenizer.ggml.token_type"]]
    for mine, yours, told in zip(
        ours["tokenizer.ggml.tokens"], theirs["tokenizer.ggml.tokens"], real, strict=True
    ):
        assert mine == yours or not told
    again = back(done.path, tmp_path / "back")
    before, after = (load_file(each / "model.safetensors") for each in (folder, again))
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert_same_ids(folder, again)


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_stays_as_it_is(folder, tmp_path, words, family):
    """Weights that are stored so go out and come back bit for bit."""
    write_folder(folder, model_of(family).to(torch.bfloat16), words)
    done = export(str(folder), tmp_path / "a.gguf", "gguf", "bf16")
    again = back(done.path, tmp_path / "back")
    before, after = (load_file(each / "model.safetensors") for each in (folder, again))
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert value.dtype == after[name].dtype == torch.bfloat16
        assert torch.equal(value, after[name]), name


@pytest.mark.parametrize(("dtype", "error"), [("f16", 1e-3), ("bf16", 1e-2), ("q8_0", 1e-2)])
def test_shorter_types(folder, tmp_path, words, dtype, error):
    """What has one dimension stays exact, rows that are no whole blocks have 16 bits, and told."""
    model = model_of("qwen2")  # whose MLP is 48 wide
    write_folder(folder, model, words)
    done = export(str(folder), tmp_path / "a.gguf", "gguf", dtype)
    kinds = {each.name: each.tensor_type.name for each in GGUFReader(done.path).tensors}
    for name, kind in kinds.items():
        if name.endswith(".bias") or "norm" in name:
            assert kind == "F32", name
        else:
            assert kind == ("F16" if "down" in name and dtype == "q8_0" else dtype.upper()), name
    said = "2 of its 16 matrices are f16: q8_0 takes rows of a multiple of 32 numbers"
    assert done.notes == ((said,) if dtype == "q8_0" else ())
    after = load_file(back(done.path, tmp_path / "back") / "model.safetensors")
    for name, value in model.state_dict().items():
        if name in after:
            assert (after[name] - value).abs().max() <= error * value.abs().max(), name


def test_scaled_rotary_positions(folder, tmp_path, words):
    """Llama 3's scaling goes out as factors, and its settings come back."""
    write_folder(folder, model_of("llama", head_dim=64, rope_parameters=LLAMA3), words)
    done = export(str(folder), tmp_path / "a.gguf", "gguf", "q8_0")
    again = back(done.path, tmp_path / "back")
    found = json.loads((again / "config.json").read_text())
    assert found["rope_scaling"] | {"rope_theta": found["rope_theta"]} == LLAMA3
    write_folder(folder, model_of("qwen2", rope_parameters=LLAMA3), words)
    with pytest.raises(TuillmError, match="scales no rotary positions of a qwen2"):
        export(str(folder), tmp_path / "b.gguf", "gguf")


def test_heads_that_llama_cpp_takes_to_be_as_wide(folder, tmp_path, words):
    """It has no qwen2 whose heads are wider than the model, which transformers would compute."""
    write_folder(folder, model_of("qwen2"), words)
    config = json.loads((folder / "config.json").read_text())
    rows = {"q_proj": 64, "k_proj": 32, "v_proj": 32, "o_proj": 32}
    weights = load_file(folder / "model.safetensors")
    for name in list(weights):
        part = name.split(".")[-2]
        if part in rows:
            size = (rows[part], *weights[name].shape[1:]) if part != "o_proj" else (32, 64)
            weights[name] = torch.zeros(size)
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config | {"head_dim": 16}))
    with pytest.raises(TuillmError, match="no qwen2 of width 32 whose heads are 64 wide together"):
        export(str(folder), tmp_path / "a.gguf", "gguf")


@pytest.mark.parametrize("kind", ["bpe", "char"])
@pytest.mark.parametrize("family", FAMILIES)
def test_our_own_tokenizers(folder, tmp_path, book_text, kind, family):
    """A model of these families that learned on a vocabulary of ours goes out and comes back."""
    tokenizer = make_tokenizer(kind, [book_text], 300)
    config = GPTConfig(
        tokenizer.n_vocab,
        64,
        2,
        4,
        32,
        bias=False,
        family=family,
        n_kv_head=2,
        head_dim=8,
        n_inner=64,
        rms_norm=True,
        gated_mlp=True,
        rope_theta=1e4,
        qkv_bias=family == "qwen2",
        qk_norm=family == "qwen3",
    )
    model = GPT(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    folder.mkdir()
    write_model(model, folder, tokenizer.eot)
    tokenizer.save(folder, 64)
    done = export(str(folder), tmp_path / "a.gguf", "gguf")
    assert done.notes == ()
    again = back(done.path, tmp_path / "back")
    before, after = (load_file(each / "model.safetensors") for each in (folder, again))
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    other = load_tokenizer(again)
    for text in (book_text[:3000], *texts(60)):
        assert other.encode(text) == tokenizer.encode(text)


def test_values_that_do_not_fit(folder, tmp_path, words):
    """A weight beyond float16 is refused by the tensor's name, and nothing is left behind."""
    model = model_of("llama")
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[3, 4] = 1e5
    write_folder(folder, model, words)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(TuillmError, match="blk.1.ffn_up.weight has values that 16 bits"):
        export(str(folder), tmp_path / "a.gguf", "gguf", "f16")
    assert sorted(tmp_path.iterdir()) == before


def test_a_name_that_llama_cpp_takes_for_another(tmp_path, home, words):
    """A model called phi-3 would have to have phi-3's tokens there."""
    folder = write_folder(tmp_path / "my-Phi-3-mini", model_of("llama"), words)
    done = export(str(folder), tmp_path, "gguf")
    assert done.path.name == "my-Phi-3-mini.gguf"
    assert entries(done.path)["general.name"] == "my-Phi 3-mini"


def test_a_folder_for_ollama(folder, tmp_path, words):
    """Template, system text, ends and context are the model's own; what is not is told."""
    default = (
        "{% if messages[0]['role'] != 'system' %}"
        "{{ '<|im_start|>system\nBe kind.<|im_end|>\n' }}{% endif %}"
    )
    shape = {"max_position_embeddings": 131_072}
    write_folder(folder, model_of("llama", **shape), words, default + TEMPLATE)
    sampling = {"temperature": 0.6, "top_k": 20, "top_p": 0.95}
    (folder / "generation_config.json").write_text(json.dumps(sampling))
    done = export(str(folder), tmp_path / "o", "ollama", "q8_0")
    text = (done.path / "Modelfile").read_text()
    assert text.startswith('FROM ./folder.gguf\nTEMPLATE """{{ if .System }}<|im_start|>system\n')
    assert 'SYSTEM """Be kind."""\n' in text and "PARAMETER num_ctx 8192\n" in text
    assert 'PARAMETER stop """<|im_end|>"""\n' in text and "num_predict" not in text
    assert "temperature 0.6\nPARAMETER top_k 20\nPARAMETER top_p 0.95\n" in text
    assert "8,192 of the model's 131,072" in done.notes[-1]
    write_folder(folder, model_of("llama"), words, "{{ messages | length }}" + TEMPLATE)
    done = export(str(folder), tmp_path / "p", "ollama")
    text = (done.path / "Modelfile").read_text()
    assert "TEMPLATE" not in text and 'PARAMETER stop """<|im_end|>"""\n' in text
    assert "ollama uses the one it detects" in done.notes[-1]


def test_room_is_asked_for_before(folder, tmp_path, words):
    """What a file takes is known before it is written, and hardly more is asked for."""
    write_folder(folder, model_of("qwen3"), words, TEMPLATE)
    for dtype in ("f32", "f16", "bf16", "q8_0"):
        path = export(str(folder), tmp_path / f"{dtype}.gguf", "gguf", dtype).path
        written = path.stat().st_size
        assert written <= open_for_gguf(folder, dtype).size <= written + (1 << 20)


PEAK = """
import sys
from pathlib import Path
import gguf.quants, torch
from tuillm.convert.export_model import export
def used(key):
    return int(next(l for l in open("/proc/self/status") if l.startswith(key)).split()[1])
before = used("VmRSS")
export(sys.argv[1], Path(sys.argv[2]), "gguf", sys.argv[3])
print(used("VmHWM") - before)  # ru_maxrss would be that of the parent, too
"""


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["f32", "q8_0"])
def test_weights_are_never_in_memory_as_a_whole(folder, tmp_path, words, dtype):
    """The peak is a part of the weights: that of one tensor, and some rows of it converted."""
    shape = {"hidden_size": 512, "intermediate_size": 8192, "vocab_size": 20_000}
    write_folder(folder, model_of("llama", **shape, num_hidden_layers=4), words)
    weights = (folder / "model.safetensors").stat().st_size
    done = subprocess.run(
        [sys.executable, "-c", PEAK, folder, tmp_path / "a.gguf", dtype],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert int(done.stdout) * 1024 < weights / 2
