"""What decodes and reads prompts: ours, transformers', and llama.cpp where it is installed."""

import json
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tuillm.bench.bench_model import random_folder
from tuillm.bench.decode_speed import decode_programs
from tuillm.bench.engines import load_engines
from tuillm.bench.llama_cpp import LlamaBench, LlamaPython, llama_engine, tokens_per_sec_in
from tuillm.bench.prefill_speed import prefill_flops, prefill_programs
from tuillm.bench.turns import take_turns
from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import TuillmError
from tuillm.generation.context import Context
from tuillm.model import GPT, pack, read_model
from tuillm.text import load_tokenizer

SMALL = GPTConfig(400, 64, 2, 2, 32, 0.0, True, True)

# what `llama-bench -o json` prints, as its README has it, cut to some of its fields
DOCUMENTED = """
[
  {
    "build_commit": "8cf427ff", "build_number": 5163, "backends": "CPU",
    "model_filename": "m.gguf", "model_type": "gpt2", "n_threads": 1,
    "n_prompt": 0, "n_gen": 8, "test_time": "2025-04-24T11:57:09Z",
    "avg_ns": 64000000, "stddev_ns": 0, "avg_ts": 125.0, "stddev_ts": 0.0,
    "samples_ns": [ 64000000 ], "samples_ts": [ 125.0 ]
  }
]
"""


@pytest.fixture
def folder(tmp_path):
    """A small random model."""
    place = tmp_path / "model"
    place.mkdir()
    return random_folder(place, SMALL)


@pytest.fixture
def binary(tmp_path):
    """An executable in the place of llama-bench; `binary(body)` is Python that it runs."""

    def make(body):
        path = tmp_path / "bin" / "llama-bench"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!{sys.executable}\nimport sys\n{body}\n")
        path.chmod(0o755)
        return path

    return make


def test_a_vocabulary_of_any_size(folder):
    """The random model has a tokenizer of as many entries, and the last one ends a text."""
    tokenizer = load_tokenizer(folder)
    assert (tokenizer.n_vocab, tokenizer.eot) == (400, 399)
    assert tokenizer.decode(tokenizer.encode("a small text")) == "a small text"


def test_the_bytes_of_a_token_are_those_of_the_weights(folder, tmp_path):
    """All but positions, of which a row is read; by the size of an item."""
    engines = list(load_engines(folder, ("float32", "bfloat16"), False, tmp_path))
    found = list(decode_programs(engines, SMALL, 2, {1: 1e9}))
    weights = (folder / "model.safetensors").stat().st_size
    assert [each.case for each in found] == ["float32", "bfloat16"]
    read = 1e9 / found[0].limit
    assert 2 * found[0].limit == found[1].limit
    assert weights - 64 * 32 * 4 - 8000 < read < weights - 64 * 32 * 4


def test_ours_and_transformers_are_measured_alike(folder, tmp_path, transformers):
    """Each precision of both decodes and reads; the limit of a prompt is that of products."""
    engines = list(load_engines(folder, ("float32",), True, tmp_path))
    programs = [
        *decode_programs(engines, SMALL, 3, {1: 1e9}),
        *prefill_programs(engines, SMALL, (1,), {"float32": 1e12}, 1),
    ]
    found = take_turns(programs, 2)
    names = [(each.measure, each.program) for each in found if each.program != "llama.cpp"]
    pairs = [(measure, name) for measure in ("decode", "prefill") for name in _two()]
    assert names == pairs
    assert all(each.value > 0 and each.of_limit > 0 for each in found)
    assert all(each.against for each in found if each.program != "tuillm")


def _two():
    return "tuillm", "transformers"


def test_the_operations_of_a_prompt_are_those_that_are_computed():
    """Products as PyTorch counts them, and half of the pairs of tokens in attention."""
    tokens, model = 48, GPT(SMALL).eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(torch.arange(tokens)[None], last=1)
    by_kind = counter.get_flop_counts()["Global"]
    products = sum(flops for kind, flops in by_kind.items() if str(kind)[5:] in ("mm", "addmm"))
    attention = SMALL.n_layer * 4 * SMALL.n_embd * tokens * (tokens + 1) // 2
    assert prefill_flops(SMALL, tokens) == products + attention


def test_llama_bench_is_asked_and_read(folder, binary, tmp_path):
    """Decoding asks for -n and no prompt, prefill the other way round; threads are torch's."""
    words = tmp_path / "words"
    note = f"open({str(words)!r}, 'a').write(' '.join(sys.argv[1:]) + chr(10))"
    path = binary(f"{note}\nprint('''{DOCUMENTED}''')")
    engine = LlamaBench(str(path), folder / "m.gguf", "int8")
    torch_threads = torch.get_num_threads()
    assert engine.decode(8) == 1 / 125
    assert engine.prefill(50) == 50 / 125
    decode, prefill = words.read_text().splitlines()
    common = f"-m {folder / 'm.gguf'} -ngl 0 -r 1 -o json -t {torch_threads}"
    assert decode == f"{common} -p 0 -n 8" and prefill == f"{common} -p 50 -n 0"


def test_a_llama_bench_that_fails_is_told_of(folder, binary):
    """By its last line; the program that called it goes on."""
    path = binary("print('cannot load the model', file=sys.stderr); sys.exit(1)")
    with pytest.raises(TuillmError, match="ended with 1: cannot load the model"):
        LlamaBench(str(path), folder / "m.gguf", "float32").decode(2)


@pytest.mark.parametrize(
    "output", ["", "no", "[]", "[{}]", "{}", '[{"avg_ts": "x"}]', '[{"avg_ts": 0}]', "[1, 2]"]
)
def test_another_output_is_refused(output):
    """What is no list of one test with a rate above zero."""
    with pytest.raises(TuillmError, match="llama-bench printed"):
        tokens_per_sec_in(output)
    assert tokens_per_sec_in(DOCUMENTED) == json.loads(DOCUMENTED)[0]["samples_ts"][0]


def test_a_peer_that_cannot_take_part_is_left_out(folder, binary, tmp_path, monkeypatch):
    """Ours is measured all the same, and the reason is told."""
    monkeypatch.setattr("tuillm.bench.llama_cpp.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(binary("sys.exit(3)").parent))
    notes = []
    engines = list(load_engines(folder, ("float32",), True, tmp_path, notes.append))
    assert [each.program for each in engines] == ["tuillm", "transformers"]
    assert notes == [
        "llama.cpp takes no part in float32: TuillmError: llama-bench ended with 3: no word"
    ]
    binary(f"print('''{DOCUMENTED}''')")
    assert isinstance(llama_engine(folder, "int8", tmp_path), LlamaBench)
    monkeypatch.setenv("PATH", "")
    assert llama_engine(folder, "int8", tmp_path) is None


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_llama_cpp_decodes_what_we_decode(folder, tmp_path, dtype):
    """The same greedy ids in float32; in the others it is as good as it is there."""
    pytest.importorskip("llama_cpp")
    engine = llama_engine(folder, dtype, tmp_path)
    assert isinstance(engine, LlamaPython) and engine.decode(4) > 0 and engine.prefill(40) > 0
    engine._begin()
    prompt = [5, 6, 7, 8]
    found = [engine._read(prompt)]
    for _ in range(12):
        found.append(engine._read(found[-1:]))
    context = Context(pack(read_model(folder), torch.float32))
    with torch.inference_mode():
        ours = [int(context.read(prompt)[0].argmax())]
        for _ in range(12):
            ours.append(int(context.advance(ours[-1:])[0].argmax()))
    if dtype == "float32":
        assert found == ours
