"""Long contexts: memory as positions come, prompts read in parts, a reading that is stopped."""

import re
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch
from model.test_kernels import scrambled
from model.test_native_families import LLAMA, QWEN3, ids, off

from tuillm import Sampler
from tuillm.config.context_memory import cache_item_bytes, context_bytes
from tuillm.errors import TuillmError, UsageError
from tuillm.generation.context import Context
from tuillm.generation.draft_model import DraftModel
from tuillm.generation.scoring import score
from tuillm.model import kv_cache, pack
from tuillm.model.context_size import choose_context

LONG = replace(LLAMA, block_size=4096)
WAYS = ["native", "plain"]


@pytest.fixture
def make(native_library):
    """A function that packs a model of random weights for a kernel."""

    def pack_one(config, kernel, dtype="float32"):
        if kernel == "native" and native_library is None:
            pytest.skip("no C compiler")
        return pack(scrambled(config), getattr(torch, dtype), kernel=kernel)

    return pack_one


@pytest.mark.parametrize("kernel", WAYS)
@torch.inference_mode()
def test_memory_is_taken_as_positions_come(make, kernel):
    """Of a model for 100,000 positions a short prompt takes little, a long one what is forecast."""
    config = replace(LONG, block_size=100_000)
    context = Context(make(config, kernel))
    assert context._cache.bytes == 0
    context.read(ids(1, 10)[0].tolist())
    assert context._cache.bytes == context_bytes(config, 256, 4)
    context.read(ids(1, 3000)[0].tolist())
    told = context_bytes(config, 3000, 4)
    assert told <= context._cache.bytes <= told * 1.15


@pytest.mark.parametrize("kernel", WAYS)
@torch.inference_mode()
def test_a_reading_that_was_stopped_goes_on_where_it_was(make, kernel):
    """What was read is reused, and what follows is what it would have been."""
    prompt, told = ids(1, 3000)[0].tolist(), []
    model = make(LONG, kernel)
    undisturbed, _ = Context(model).read(prompt)

    def stop(done, total):
        told.append((done, total))
        if done > 1000:
            raise KeyboardInterrupt

    context = Context(model)
    context.progress = stop
    with pytest.raises(KeyboardInterrupt):
        context.read(prompt)
    assert context.length == context._cache.length == context.prefilled == told[-1][0]
    assert 1000 < context.length < 2500 and context.rows == [prompt[: context.length]]
    assert {total for _, total in told} == {3000}
    context.progress = None
    read = context.prefilled
    logits, dropped = context.read(prompt)
    assert context.prefilled == 3000 and read < 3000 and dropped == 0
    assert off(logits, undisturbed) < 1e-5
    assert kernel != "native" or torch.equal(logits, undisturbed)


@torch.inference_mode()
def test_a_reading_in_the_middle_of_a_reply_is_stopped(make):
    """When the context is full, its half is read again; stopped there, a reply can go on."""
    context = Context(make(LONG, "native"))
    prompt = ids(1, 4096)[0].tolist()
    context.read(prompt)

    def stop(done, total):
        raise KeyboardInterrupt

    context.progress = stop
    with pytest.raises(KeyboardInterrupt):
        context.advance([7])
    context.progress = None
    assert 0 < context.length == context._cache.length < 2000
    logits, _ = context.read([*prompt[2048:], 7])
    assert torch.equal(logits, Context(context.model).read([*prompt[2048:], 7])[0])


@pytest.mark.parametrize("kernel", WAYS)
@torch.inference_mode()
def test_replies_side_by_side_take_what_they_need(make, kernel):
    """As many as memory holds at their length; each is the one that there is alone."""
    model = make(replace(LONG, block_size=100_000), kernel)
    context = Context(model)
    assert context.rows_at_once(100) > 8 * context.rows_at_once(100_000)
    logits, _ = context.read(ids(1, 700)[0].tolist())
    first = int(logits.argmax())
    context.widen(3)
    together, _ = context.advance([first, 5, 6])
    for row, token in enumerate((first, 5, 6)):
        alone, _ = Context(model).read([*ids(1, 700)[0].tolist(), token])
        assert off(together[row], alone[0]) < 1e-4


@pytest.mark.everyday(3)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("config", [LONG, replace(QWEN3, block_size=4096)], ids=["llama", "qwen3"])
@torch.inference_mode()
def test_native_parts_and_threads_change_no_bit(make, dtype, config):
    """Past several blocks of the cache: in parts, one by one, shared by threads or not."""
    model, idx, found = make(config, "native", dtype), ids(1, 1100), []
    assert model.half_cache == (dtype != "float32")
    for threads, sizes in ((1, [1100]), (2, [512, 512, 76]), (5, [257, 33, 766, 1, 43])):
        model.run_threads, cache = threads, model.new_cache()
        parts = [model(part, cache) for part in idx.split(sizes, 1)]
        found.append(torch.cat(parts, 1)[:, 1000:])
    cache = model.new_cache()
    model(idx[:, :1000], cache)
    for threads in (1, 3):
        model.run_threads, cache.length = threads, 1000
        found.append(torch.cat([model(part, cache) for part in idx[:, 1000:].split(1, 1)], 1))
    assert all(torch.equal(each, found[0]) for each in found)
    assert off(found[0], scrambled(config)(idx)[:, 1000:]) < {"float32": 1e-4}.get(dtype, 0.3)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", WAYS)
@torch.inference_mode()
def test_logits_past_8192_are_those_of_transformers(make, kernel, transformers, tmp_path):
    """Llama 3's scaling at 8,200 to 8,900 positions, read in parts, then one by one."""
    from tuillm.model import write_model

    config = replace(
        LLAMA, block_size=16_384, n_layer=2, head_dim=32, rope_theta=5e5, rope_factor=32.0,
        rope_high=4.0, rope_original=8192,
    )  # fmt: skip
    write_model(scrambled(config), tmp_path, None)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).float().eval()
    idx = ids(1, 8900)
    wanted = theirs(idx, logits_to_keep=700).logits[0]
    model = make(config, kernel)
    context = Context(model)
    found = [context.read(idx[0, :8201].tolist())[0]]
    found += [context.advance([token])[0] for token in idx[0, 8201:8260].tolist()]
    assert off(torch.cat(found), wanted[:60]) < 1e-4
    assert off(context.read(idx[0].tolist())[0], wanted[-1:]) < 1e-4


def test_a_context_is_what_was_asked_for_or_fits():
    """The model's own, 8,192 at most, what memory holds; more than there is is refused."""
    config = replace(LONG, block_size=131_072)
    each = context_bytes(config, 1, 4)
    assert choose_context(None, LLAMA, 4, 10**9) == (600, "")
    positions, why = choose_context(None, config, 4, 10**12)
    assert positions == 8192 and "8,192 of 131,072" in why and "--context" in why
    assert choose_context(None, config, 4, 3000 * each) == (
        2560,
        "context of 2,560 of 131,072 positions: memory",
    )
    assert choose_context(131_072, config, 4, 10**12) == (131_072, "")
    with pytest.raises(TuillmError, match="takes 134 MB of memory") as told:
        choose_context(131_072, config, 4, 10_000 * each)
    assert "--context 8960 would fit" in told.value.hint
    wrongs: list[Any] = [0, -1, 131_073, 2.5, True]
    for wrong in wrongs:
        with pytest.raises(UsageError, match="the context cannot be") as refused:
            choose_context(wrong, config, 4, 10**12)
        assert "1 to 131,072" in refused.value.hint


def test_the_cache_is_bfloat16_where_that_pays():
    """Of long contexts, where the weights are in fewer bits than float32."""
    assert cache_item_bytes(LONG, "bfloat16") == cache_item_bytes(LONG, "int8") == 2
    assert cache_item_bytes(LONG, "float32") == cache_item_bytes(LLAMA, "bfloat16") == 4


def test_a_sampler_keeps_to_a_context(model):
    """`context` positions, after which the window slides; scores are of the same windows."""
    whole, short = Sampler(model), Sampler(model, context=24)
    assert whole.context.block_size > short.context.block_size == 24
    tokens = list(short.stream("Marda said", max_new_tokens=40, seed=1))
    assert sum(token.dropped for token in tokens) > 0 and short.context.length <= 24
    ids = short.tokenizer.encode("Marda said" * 20)
    assert len(score(short, ids)) == len(ids) - 1
    with pytest.raises(UsageError, match="the context cannot be 100000"):
        Sampler(model, context=100_000)


@torch.inference_mode()
def test_a_draft_model_is_stopped_while_it_reads(make):
    """It reads a long conversation before its first draft; what is raised comes through."""
    draft = DraftModel(make(LONG, "native"))
    draft.begin(ids(1, 3000)[0].tolist())

    def stop(done, total):
        raise KeyboardInterrupt

    draft.context.progress = stop
    with pytest.raises(KeyboardInterrupt):
        draft.take(4)
    draft.context.progress = None
    read = draft.context.length
    assert len(draft.take(4)) == 4 and 0 < read < 3000


# a process of its own with little memory; it says what came, and whether it can go on
_LITTLE_MEMORY = """
import resource, sys, psutil, torch
from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import TuillmError
from tuillm.generation.context import Context
from tuillm.model import GPT, pack
config = GPTConfig(300, 8192, 60, 4, 128, bias=False, n_inner=64, rms_norm=True, gated_mlp=True,
                   rope_theta=1e4)
made = GPT(config)
with torch.no_grad():
    for values in made.parameters():
        values.fill_(1.0) if values.dim() == 1 else values.normal_(0, 0.05)
model = pack(made, torch.float32, kernel=sys.argv[1])
with torch.inference_mode():
    context, prompt = Context(model), [number % 300 for number in range(8000)]
    context.read(prompt[:700])
    used = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (used + 100_000_000, resource.RLIM_INFINITY))
    try:
        context.read(prompt)
    except TuillmError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    kept = context.length
    found = context.read(prompt[:kept + 1])[0]
    print(kept >= 700, torch.allclose(found, Context(model).read(prompt[:kept + 1])[0], atol=1e-4))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kernel", WAYS)
def test_no_memory_for_more_is_one_line(native_library, kernel):
    """What was read stays, and how much would fit stands in the hint."""
    done = subprocess.run(
        [sys.executable, "-c", _LITTLE_MEMORY, kernel], capture_output=True, text=True, timeout=200
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    assert re.fullmatch(
        r"there is no memory for \S+ positions of a context of 8,192 \(--context \d+ would fit\)",
        lines[0],
    )
    assert lines[1] == "True True"


def test_a_growth_that_was_stopped_leaves_no_block_without_an_address(make, monkeypatch):
    """The C code is given as many addresses as it is told of positions."""
    cache = make(LONG, "native").new_cache()
    cache.addresses(100)
    take, left = kv_cache._empty, [True, False]

    def fail_second(*given):
        if not left.pop(0):
            raise kv_cache.CacheMemoryError("full")
        return take(*given)

    monkeypatch.setattr(kv_cache, "_empty", fail_second)
    with pytest.raises(TuillmError):
        cache.addresses(700)
    assert len(cache.addresses(500)) == 2


def test_no_memory_for_replies_side_by_side_is_one_line(make, monkeypatch):
    """What was read stays, and can be gone on with."""
    context = Context(make(LONG, "native"))
    logits, _ = context.read([1, 2, 3])

    def fail(*given):
        raise kv_cache.CacheMemoryError("full")

    with monkeypatch.context() as full:
        full.setattr(kv_cache, "_empty", fail)
        with pytest.raises(TuillmError, match="no memory for 4 replies side by side"):
            context.widen(4)
    assert context.rows == [[1, 2, 3]]
    assert torch.equal(context.read([1, 2, 3])[0], logits)
