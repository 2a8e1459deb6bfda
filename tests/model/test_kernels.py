"""Every kernel computes transformers' logits; the fastest is chosen, remembered and kept."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from tuillm.errors import UsageError
from tuillm.model import GPT, GPTConfig, pack, write_model
from tuillm.model.kernel_choice import Timing, choose_kernel, remember, remembered
from tuillm.model.kernels import KERNELS, kernels_for
from tuillm.model.measure_kernels import measure_kernels, thread_counts

SHAPE = GPTConfig(300, 48, 2, 4, 128, 0.0, True, True)
SHAPES = {
    "as gpt2": SHAPE,
    "no bias, untied": replace(SHAPE, bias=False, tie_weights=False),
    "exact gelu": replace(SHAPE, exact_gelu=True),
    "bigram": replace(SHAPE, n_layer=0, tie_weights=False),
    "odd": GPTConfig(131, 48, 3, 2, 96, 0.0, True, True),
    "padded columns": GPTConfig(1700, 48, 1, 2, 80, 0.0, True, True),
    "heads of 12": GPTConfig(131, 48, 2, 4, 48, 0.0, True, True),
    "heads of 144": GPTConfig(131, 48, 1, 1, 144, 0.0, True, True),
    "narrow": GPTConfig(131, 48, 1, 2, 10, 0.0, True, True),
    "narrow heads": GPTConfig(131, 48, 1, 5, 80, 0.0, True, True),
}
# of the spread of the logits: as precise as float32, as bfloat16, as eight bits
CLOSE = {"float32": 1e-4, "bfloat16": 0.06, "int8": 0.25}


def scrambled(config):
    """A model far from its beginning, with some large values among its activations."""
    model = GPT(config).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for values in model.parameters():
            values.normal_(0, 0.1 if values.dim() == 2 else 0.5, generator=generator)
    return model


def cache_for(model, batch=1):
    """An empty KV cache."""
    return model.new_cache(batch)


@pytest.fixture(
    params=sorted({(k.name, dtype) for k in KERNELS for dtype in k.dtypes}), ids="-".join
)
def kernel(request):
    """A kernel and a precision that can be had here."""
    name, dtype = request.param
    if name not in [each.name for each in kernels_for(dtype)]:
        pytest.skip(f"{name} cannot be had here")
    return request.param


@pytest.mark.parametrize("name", SHAPES)
@torch.inference_mode()
def test_a_kernel_computes_the_models_logits(kernel, name):
    """Without a cache, in parts with one, one token at a time, side by side, the last few alone."""
    config, (kind, dtype) = SHAPES[name], kernel
    exact, packed = (scrambled(config), pack(scrambled(config), getattr(torch, dtype), kernel=kind))
    idx = torch.randint(0, config.vocab_size, (3, 40), generator=torch.Generator().manual_seed(2))
    want = exact(idx)

    def off(logits, wanted):
        return float((logits - wanted).abs().max() / want.std())

    whole = packed(idx)
    assert off(whole, want) < CLOSE[dtype]
    cache = cache_for(packed, 3)
    parts = [packed(idx[:, :17], cache), packed(idx[:, 17:20], cache)]
    parts += [packed(idx[:, at : at + 1], cache) for at in range(20, 40)]
    assert off(torch.cat(parts, 1), want) < CLOSE[dtype]
    assert cache.length == 40
    assert off(packed(idx[:1], last=2), want[:1, -2:]) < CLOSE[dtype]
    cache.truncate(10)
    assert off(packed(idx[:, 10:14], cache, last=3), want[:, 11:14]) < CLOSE[dtype]


@torch.inference_mode()
def test_float32_is_transformers_on_every_kernel(transformers, tmp_path):
    """The same folder in transformers gives logits within 1e-4 of their spread."""
    model = scrambled(SHAPE)
    write_model(model, tmp_path, None)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    idx = torch.randint(0, 300, (2, 48), generator=torch.Generator().manual_seed(3))
    want = theirs(idx).logits
    for kernel in kernels_for("float32"):
        found = pack(scrambled(SHAPE), torch.float32, kernel=kernel.name)(idx)
        assert float((found - want).abs().max() / want.std()) < 1e-4, kernel.name


@torch.inference_mode()
@pytest.mark.parametrize("dtype", CLOSE)
def test_native_logits_do_not_depend_on_the_threads(native_library, dtype):
    """To the last bit: on one thread, on two, on more than there are processors."""
    if native_library is None:
        pytest.skip("no C compiler")
    packed = pack(scrambled(SHAPE), getattr(torch, dtype), kernel="native")
    idx, most, found = torch.arange(40)[None], torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            cache = cache_for(packed)
            steps = [packed(idx[:, :9], cache)]
            steps += [packed(idx[:, at : at + 1], cache) for at in range(9, 40)]
            found.append(torch.cat(steps, 1))
    finally:
        torch.set_num_threads(most)
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


@torch.inference_mode()
def test_native_long_prompts_are_read_in_parts(native_library):
    """A prompt longer than what one call reads gives the logits of one that is not."""
    if native_library is None:
        pytest.skip("no C compiler")
    config = replace(SHAPE, block_size=1200)
    exact, packed = scrambled(config), pack(scrambled(config), torch.float32, kernel="native")
    idx = torch.randint(0, 300, (1, 1150), generator=torch.Generator().manual_seed(4))
    want = exact(idx)
    for last in (0, 1, 600):
        found, cache = packed(idx, last=last), cache_for(packed)
        assert float((found - want[:, -last:]).abs().max() / want.std()) < 1e-4
        assert torch.equal(packed(idx, cache, last), found) and cache.length == 1150
    with pytest.raises(ValueError, match="block_size"):
        packed(idx, cache)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", CLOSE)
def test_native_tells_of_numbers_that_are_none(native_library, dtype):
    """A weight that is no number gives logits that are none."""
    if native_library is None:
        pytest.skip("no C compiler")
    model = scrambled(SHAPE)
    model.h[1].mlp.c_fc.weight[7, 3] = torch.nan
    packed = pack(model, getattr(torch, dtype), kernel="native")
    assert not packed(torch.arange(5)[None]).isfinite().all()


def test_native_refuses_what_would_read_other_memory(native_library):
    """Ids that the vocabulary does not have, and caches of another shape, are errors."""
    if native_library is None:
        pytest.skip("no C compiler")
    packed = pack(scrambled(SHAPE), torch.float32, kernel="native")
    for wrong in (-1, 300, 10**12):
        with pytest.raises(IndexError):
            packed(torch.tensor([[5, wrong]]))
    other = pack(scrambled(replace(SHAPE, n_layer=1)), torch.float32, kernel="native")
    for cache in (cache_for(packed, 2), cache_for(other)):
        with pytest.raises(ValueError, match="cache"):
            packed(torch.zeros(1, 9, dtype=torch.int64), cache)
    ids = torch.arange(5)[None]
    assert torch.equal(packed(ids.to(torch.int32)), packed(ids))


def test_native_values_near_zero_stay_numbers(native_library):
    """A layer whose values are all but zero is rounded to 8 bits without dividing by nothing."""
    if native_library is None:
        pytest.skip("no C compiler")
    model = scrambled(SHAPE)
    with torch.no_grad():
        model.h[0].mlp.c_fc.bias.fill_(-14.0)
        model.h[0].mlp.c_fc.weight.mul_(0.01)
    assert torch.isfinite(pack(model, torch.int8, kernel="native")(torch.arange(9)[None])).all()


FORKED = """
import os, sys, torch
from tuillm.model import GPT, GPTConfig, pack
torch.set_num_threads(3)
model = GPT(GPTConfig(300, 48, 2, 4, 128, 0.0, True, True))
for values in model.parameters():
    torch.nn.init.normal_(values, 0, 0.1)
model = pack(model, torch.float32, kernel="native")
ids = torch.arange(9)[None]
want = [model(ids) for _ in range(3)][0]
child = os.fork()
if child == 0:
    os._exit(0 if all(torch.equal(model(ids), want) for _ in range(20)) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or not torch.equal(model(ids), want))
"""


def test_native_goes_on_in_a_forked_child(native_library):
    """Its threads are made anew there."""
    if native_library is None:
        pytest.skip("no C compiler")
    done = subprocess.run(
        [sys.executable, "-c", FORKED], timeout=60, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_native_is_called_from_several_threads(native_library):
    """One call after the other, each with its own result."""
    if native_library is None:
        pytest.skip("no C compiler")
    models = [pack(scrambled(SHAPE), torch.float32, kernel="native") for _ in range(2)]
    ids = [torch.arange(start, start + 20)[None] for start in range(4)]
    want = [models[0](each) for each in ids]

    def call(number):
        return all(torch.equal(models[number % 2](ids[number]), want[number]) for _ in range(30))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(call, range(4)))


def test_the_fastest_is_remembered_and_a_little_faster_changes_nothing(home):
    """The first choice is the fastest; another replaces it where it is clearly faster."""
    assert remembered(SHAPE, "float32") is None
    first = [Timing("plain", 1, 0.010, 1000), Timing("packed", 2, 0.011, 1000)]
    assert remember(SHAPE, "float32", first).kernel == "plain"
    found = choose_kernel(SHAPE, "float32")
    assert found is not None and found.name == "plain"
    close = [Timing("plain", 1, 0.0100, 1000), Timing("in_out", 2, 0.0095, 1000)]
    assert remember(SHAPE, "float32", close).kernel == "plain"
    far = [Timing("plain", 1, 0.010, 1000), Timing("in_out", 2, 0.005, 1000)]
    choice = remember(SHAPE, "float32", far)
    assert (choice.kernel, choice.threads, choice.before) == ("in_out", 2, "plain")
    assert remembered(SHAPE, "float32") == choice
    assert remembered(replace(SHAPE, n_embd=256), "float32") is None
    assert remembered(SHAPE, "bfloat16") is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"x": 1}'])
def test_a_damaged_file_of_choices_is_as_none(home, text):
    """It is in the cache: measured again, never an error."""
    first = [Timing("plain", 1, 0.010, 1000)]
    remember(SHAPE, "float32", first)
    (home / "cache" / "kernels.json").write_text(text)
    assert remembered(SHAPE, "float32") is None
    assert choose_kernel(SHAPE, "float32") is not None
    assert remember(SHAPE, "float32", first).kernel == "plain"


def test_a_kernel_can_be_named(home, monkeypatch):
    """By TUILLM_KERNEL; one that does not work here is refused with those that do."""
    monkeypatch.setenv("TUILLM_KERNEL", "in_out")
    assert pack(scrambled(SHAPE), torch.float32).kernel == "in_out"
    with pytest.raises(UsageError) as caught:
        choose_kernel(SHAPE, "int8")
    assert "in_out" in caught.value.message and "int8_" in caught.value.hint


def test_measuring_times_all_kernels_and_remembers(home, monkeypatch):
    """The process times each kernel on each number of threads, and the choice is among them."""
    given = json.dumps(SHAPE.__dict__)
    command = [sys.executable, "-m", "tuillm.model.measure_kernels", given, "float32"]
    subprocess.run(command, check=True, timeout=120, env=os.environ | {"OMP_NUM_THREADS": "2"})
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    choice = remembered(SHAPE, "float32")
    assert choice is not None
    names = {each.name for each in kernels_for("float32")}
    assert {each.kernel for each in choice.timings} == names
    assert {each.threads for each in choice.timings} == {1, 2}
    assert all(each.seconds > 0 for each in choice.timings)


@pytest.mark.slow
def test_measuring_leaves_the_threads_as_they_were():
    """Also where weights are larger than the caches."""
    most = torch.get_num_threads()
    large = GPTConfig(4000, 64, 8, 4, 256, 0.0, True, True)
    timings = measure_kernels(large, "bfloat16", (1,), rounds=1)
    assert torch.get_num_threads() == most and timings
    assert thread_counts(6) == (1, 2, 4, 6) and thread_counts(1) == (1,)


@torch.inference_mode()
def test_native_computes_on_pytorchs_threads_unless_a_reply_says_otherwise(
    native_library, monkeypatch
):
    """So each number of threads is timed that is to be timed."""
    if native_library is None:
        pytest.skip("no C compiler")
    packed = pack(scrambled(SHAPE), torch.float32, kernel="native")
    used, forward, most = [], native_library.forward, torch.get_num_threads()

    def counted(*given):
        used.append(given[-1])
        forward(*given)

    monkeypatch.setattr(native_library, "forward", counted)
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            packed(torch.arange(5)[None])
        packed.run_threads = 3
        packed(torch.arange(5)[None])
        assert used == [1, 2, 3]
        used.clear()
        measure_kernels(SHAPE, "float32", (1, 2), rounds=1)
        assert set(used) == {1, 2}
    finally:
        torch.set_num_threads(most)


@pytest.mark.parametrize(
    "damage", [{"threads": "two"}, {"bytes_per_sec": 0}, {"kernel": ["x"]}, {"timings": 3}]
)
def test_a_damaged_choice_is_measured_again(home, damage):
    """Whatever stands in the cache: it is never an error."""
    remember(SHAPE, "float32", [Timing("plain", 1, 0.010, 1000)])
    path = home / "cache" / "kernels.json"
    file = json.loads(path.read_text())
    for section in file.values():
        for row in section.values():
            row.update(damage)
    path.write_text(json.dumps(file))
    assert remembered(SHAPE, "float32") is None
    assert choose_kernel(SHAPE, "float32") is not None
