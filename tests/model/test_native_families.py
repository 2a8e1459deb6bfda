"""What families compute otherwise than GPT-2, packed: the logits of the model in PyTorch.

Whether that is right `test_families` asks transformers.
"""

import os
import subprocess
import sys
import weakref
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from model.test_kernels import CLOSE, cache_for, scrambled

from tuillm.config.gpt_config import GPTConfig
from tuillm.generation.context import Context
from tuillm.model import (
    GPT,
    NativeGPT,
    load_decoder,
    mmap_safetensors,
    pack,
    read_model,
    write_model,
)
from tuillm.model.hf_folder import read_weights
from tuillm.model.kernels import KERNELS, kernels_for
from tuillm.model.measure_kernels import measure_kernels
from tuillm.model.native_layout import Layout
from tuillm.model.packing import pack_weights

LLAMA = GPTConfig(
    300, 600, 2, 4, 128, bias=False, family="llama", n_kv_head=2, n_inner=344, rms_norm=True,
    gated_mlp=True, rope_theta=1e4,
)  # fmt: skip
QWEN3 = replace(LLAMA, family="qwen3", qk_norm=True, head_dim=64, rope_theta=1e6)
SHAPES = {
    "llama": LLAMA,
    "one head of keys": replace(LLAMA, n_kv_head=1),
    "no groups": replace(LLAMA, n_kv_head=4, n_inner=384),
    "wide heads": replace(LLAMA, head_dim=128),
    "heads of 20": replace(LLAMA, n_head=6, n_kv_head=3, head_dim=20),
    "narrow": replace(LLAMA, n_embd=40, n_head=5, n_kv_head=1, head_dim=6, n_inner=50),
    "qwen2": replace(LLAMA, family="qwen2", qkv_bias=True),
    "qwen3": QWEN3,
    "llama3": replace(
        LLAMA, rope_theta=5e5, rope_factor=32.0, rope_high=4.0, rope_original=64, head_dim=48
    ),
    "untied": replace(LLAMA, tie_weights=False),
    "all at once": replace(QWEN3, qkv_bias=True, tie_weights=False, n_kv_head=1, n_inner=1000),
    "bigram": replace(LLAMA, n_layer=0, tie_weights=False),
}
CPU = torch.device("cpu")


@pytest.fixture
def native(native_library):
    """The library, without which there is nothing to test."""
    if native_library is None:
        pytest.skip("no C compiler")
    return native_library


def ids(rows, length, seed=2):
    """Random ids [rows, length]."""
    return torch.randint(0, 300, (rows, length), generator=torch.Generator().manual_seed(seed))


def off(logits, wanted):
    """The largest difference of a logit, of their spread."""
    return float((logits - wanted).abs().max() / wanted.std())


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("name", SHAPES)
@torch.inference_mode()
def test_native_computes_the_models_logits(native, name, dtype):
    """Of a batch: whole, in parts with a cache, one by one; where the table of angles grows."""
    config = SHAPES[name]
    packed = pack(scrambled(config), getattr(torch, dtype), kernel="native")
    assert isinstance(packed, NativeGPT)
    idx = ids(3, 300)
    want = scrambled(config)(idx)
    cache = cache_for(packed, 3)
    parts = [packed(each, cache) for each in (idx[:, :40], idx[:, 40:41], idx[:, 41:250])]
    parts += [packed(idx[:, at : at + 1], cache) for at in range(250, 270)]
    parts.append(packed(idx[:, 270:], cache))
    assert off(torch.cat(parts, 1), want) < CLOSE[dtype]
    assert cache.length == 300
    assert off(packed(idx[:1], last=2), want[:1, -2:]) < CLOSE[dtype]
    cache.truncate(260)
    assert off(packed(idx[:, 260:264], cache, last=3), want[:, 261:264]) < CLOSE[dtype]


@pytest.mark.parametrize("dtype", CLOSE)
@torch.inference_mode()
def test_neither_threads_nor_the_number_of_tokens_change_a_bit(native, dtype):
    """On one thread, on two, on five; one token at a time, or several."""
    packed, idx = pack(scrambled(QWEN3), getattr(torch, dtype), kernel="native"), ids(1, 60)
    found = []
    for threads, step in ((1, 60), (2, 60), (5, 60), (2, 1), (5, 7)):
        packed.run_threads, cache = threads, cache_for(packed)
        found.append(torch.cat([packed(each, cache) for each in idx.split(step, 1)], 1))
    assert all(torch.equal(each, found[0]) for each in found)


@torch.inference_mode()
def test_the_table_of_angles_grows_while_another_thread_computes(native):
    """Prompts of all lengths at once: each has its own result."""
    exact, idx = scrambled(LLAMA), ids(1, 600)
    lengths = [5, 600, 30, 300, 520, 257, 90, 600]
    want = {length: exact(idx[:, :length]) for length in lengths}
    for _ in range(5):
        packed = pack(scrambled(LLAMA), torch.float32, kernel="native")
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda length: packed(idx[:, :length]), lengths))  # noqa: B023
        for length, logits in zip(lengths, found, strict=True):
            assert off(logits, want[length]) < 1e-4


@pytest.mark.parametrize("dtype", CLOSE)
@torch.inference_mode()
def test_a_gate_tells_of_numbers_that_are_none(native, dtype):
    """A weight of the MLP that is no number gives logits that are none."""
    for name in ("h.1.mlp.c_fc.weight", "h.1.mlp.c_proj.weight"):
        model = scrambled(QWEN3)
        model.get_parameter(name).view(-1)[3] = torch.nan
        packed = pack(model, getattr(torch, dtype), kernel="native")
        assert not packed(torch.arange(5)[None]).isfinite().all()


@pytest.mark.parametrize(
    ("kernel", "dtype"), [(each.name, dtype) for each in KERNELS for dtype in each.dtypes]
)
@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16, torch.float32])
@torch.inference_mode()
def test_a_folder_is_packed_as_it_is_stored(native, home, tmp_path, kernel, dtype, stored):
    """With every kernel, to the last bit what its float32 values give."""
    if kernel not in [each.name for each in kernels_for(dtype)]:
        pytest.skip(f"{kernel} cannot be had here")
    config = replace(QWEN3, n_inner=352)
    write_model(scrambled(config).to(stored), tmp_path, None)
    weights, kind, idx = read_weights(tmp_path), getattr(torch, dtype), ids(2, 50)
    assert weights["h.1.mlp.c_fc.weight"].dtype == stored
    exact = read_model(tmp_path).eval()
    assert exact.dtype == torch.float32
    want, found = exact(idx), pack_weights(weights, kind, kernel)
    # one scale for all inputs leaves a gate's small values fewer bits than GPT-2's
    close = 0.4 if kernel == "int8_dynamic" else CLOSE[dtype]
    assert found.kernel == kernel and off(found(idx), want) < close
    assert torch.equal(found(idx), pack(read_model(tmp_path), kind, kernel=kernel)(idx))
    as_stored = pack(read_model(tmp_path, as_stored=True), kind, kernel=kernel)
    assert torch.equal(found(idx), as_stored(idx))


@pytest.mark.parametrize("name", ["qwen2", "qwen3", "untied"])
@torch.inference_mode()
def test_a_folder_decodes_with_and_without_the_library(native, home, tmp_path, monkeypatch, name):
    """`load_decoder` takes the library where it is, and PyTorch's products where it is not."""
    write_model(scrambled(SHAPES[name]).bfloat16(), tmp_path, None)
    idx, want = ids(1, 40), read_model(tmp_path).eval()(ids(1, 40))
    first = load_decoder(tmp_path, torch.float32, CPU)
    monkeypatch.setenv("TUILLM_NATIVE", "0")
    second = load_decoder(tmp_path, torch.float32, CPU)
    assert isinstance(first, NativeGPT) and not isinstance(second, NativeGPT)
    assert off(first(idx), want) < 1e-4 and off(second(idx), want) < 1e-4


@torch.inference_mode()
def test_greedy_tokens_are_the_models(native, home, tmp_path):
    """Three hundred of them, through the context that the sampler uses."""
    write_model(scrambled(QWEN3).bfloat16(), tmp_path, None)
    prompt, texts = ids(1, 20)[0].tolist(), []
    for model in (read_model(tmp_path).eval(), load_decoder(tmp_path, torch.float32, CPU)):
        context, found = Context(model), []
        logits, _ = context.read(prompt)
        for _ in range(300):
            found.append(int(logits.argmax()))
            logits, _ = context.advance([found[-1]])
        texts.append(found)
    assert texts[0] == texts[1]


def test_what_is_packed_is_asked_for_one_by_one(native):
    """No more tensors are there at a time than are being packed."""
    state, alive, most = scrambled(QWEN3).state_dict(), weakref.WeakSet(), []

    class Made(Mapping):
        def __getitem__(self, name):
            made = state[name].clone()
            alive.add(made)
            most.append(len(alive))
            return made

        def __iter__(self):
            return iter(state)

        def __len__(self):
            return len(state)

    layout = Layout(QWEN3, "bfloat16")
    memory = torch.zeros(layout.size, dtype=torch.uint8)
    layout.fill(memory, Made())
    assert len(most) == len(state) - 1 and max(most) <= torch.get_num_threads() + 1
    want = torch.zeros_like(memory)
    layout.fill(want, state)
    assert torch.equal(memory, want)


@pytest.mark.parametrize("size", [1, 3000, 17_000])
@pytest.mark.parametrize("name", ["narrow", "all at once", "qwen2"])
@pytest.mark.parametrize("dtype", CLOSE)
def test_rows_are_packed_as_they_come(native, tmp_path, monkeypatch, name, dtype, size):
    """Mapped a few at a time, across joined matrices, they give the same bytes as wholes."""
    monkeypatch.setattr(mmap_safetensors, "_PIECE", size)
    write_model(scrambled(SHAPES[name]).bfloat16(), tmp_path, None)
    weights = read_weights(tmp_path)
    layout = Layout(weights.config, dtype)
    found, want = (torch.zeros(layout.size, dtype=torch.uint8) for _ in range(2))
    layout.fill(found, weights)
    layout.fill(want, dict(weights))
    assert torch.equal(found, want)
    assert len(list(weights.pieces("h.0.mlp.c_fc.weight"))) >= 2


PEAK = """
import sys, torch
from pathlib import Path
from tuillm.model import load_decoder
from tuillm.model.malloc import allow_tuning

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name))) * 1024

allow_tuning()
small, folder, dtype = Path(sys.argv[1]), Path(sys.argv[2]), getattr(torch, sys.argv[3])
load_decoder(small, dtype, torch.device("cpu"))
before = status("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
model = load_decoder(folder, dtype, torch.device("cpu"))
assert model.kernel == "native", model.kernel
print(status("VmHWM") - before, model.config.parameter_count)
"""


@pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="Linux tells of the peak"
)
@pytest.mark.parametrize(
    "dtype",
    ["int8", *(pytest.param(each, marks=pytest.mark.slow) for each in CLOSE if each != "int8")],
)
def test_loading_takes_little_more_than_the_weights(native, home, tmp_path, dtype):
    """At the most 1.2 times, also of wide layers that are joined, stored in float32."""
    config = replace(
        LLAMA, vocab_size=20_000, n_embd=1024, n_inner=4096, n_layer=5, n_kv_head=1, n_head=8
    )
    sizes = {"small": LLAMA, "large": config}
    for name, shape in sizes.items():
        (tmp_path / name).mkdir()
        write_model(GPT(shape), tmp_path / name, None)
    done = subprocess.run(
        [sys.executable, "-c", PEAK, tmp_path / "small", tmp_path / "large", dtype],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    taken, parameters = map(int, done.stdout.split())
    assert taken <= 1.2 * parameters * {"float32": 4, "bfloat16": 2, "int8": 1}[dtype]


@pytest.mark.slow
def test_kernels_are_measured_for_such_a_shape():
    """The models that are measured begin without memory; their angles are there all the same."""
    assert {each.kernel for each in measure_kernels(LLAMA, "float32", (1,), rounds=1)} == {
        each.name for each in kernels_for("float32")
    }
    large = replace(LLAMA, vocab_size=20_000, n_layer=9)
    assert measure_kernels(large, "bfloat16", (1,), rounds=1)
