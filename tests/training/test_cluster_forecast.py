"""The forecast for GPUs that are not here: arithmetic, real tensors, published runs, its page."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from benchmarks import clusters
from model_shapes import FAMILY_SHAPES
from torch.utils.flop_counter import FlopCounterMode
from training.rank_bytes import bytes_of, shape_of_preset

from tuillm.config import build_train
from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import UsageError
from tuillm.model import GPT
from tuillm.training.forecast.cluster import cluster_forecast, forecast_shape
from tuillm.training.forecast.device_kinds import KINDS, find_kind
from tuillm.training.forecast.link_traffic import (
    all_reduce_bytes,
    gather_bytes,
    step_traffic,
    transfer_seconds,
)
from tuillm.training.forecast.rank_memory import Batch, rank_memory, shard_of, state_bytes
from tuillm.training.forecast.scaling_law import effective_tokens, expected_loss
from tuillm.training.forecast.step_time import newton_schulz_flops
from tuillm.training.optimizer import Optimizer

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
RANK_BYTES = Path(__file__).with_name("rank_bytes.py")


def config(**settings):
    return build_train({"preset": "gpt2"} | settings)


def forecast(kind="h100", nodes=1, tokens=9_000_000_000, **settings):
    return cluster_forecast(config(**settings), KINDS[kind], nodes, tokens)


def real(preset, optimizer, processes, how="shard"):
    """What rank 0 of real processes has and hands to collectives."""
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    done = subprocess.run(
        [sys.executable, *launch, RANK_BYTES, preset, optimizer, how],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["tiny", "gpt2"])
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("processes", [1, 2])
def test_weights_gradients_and_optimizer_are_those_of_real_tensors(preset, optimizer, processes):
    """To the byte, of one process and of the shards of two."""
    shape = shape_of_preset(build_train({"preset": preset}))
    found = real(preset, optimizer, processes)
    del found["calls"]
    assert found == state_bytes(shape, optimizer, processes, shard=processes > 1)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("shard", [False, True], ids=["ddp", "fsdp"])
def test_what_is_sent_is_what_real_ranks_hand_to_collectives(optimizer, shard):
    """A step of two passes of `tiny`, but for rows that are filled up to divide evenly."""
    settings = build_train(
        {"preset": "tiny", "optimizer": optimizer, "shard": shard, "grad_accum_steps": 2}
    )
    shape = shape_of_preset(settings)
    traffic = step_traffic(shape, settings, Batch.of(settings, 2, shape.block_size))
    calls = real("tiny", optimizer, 2, "shard" if shard else "ddp")["calls"]
    sent = sum(
        all_reduce_bytes(size, 2) if "allreduce" in call else gather_bytes(size, 2)
        for call, size in calls.items()
    )
    assert sent == pytest.approx(traffic.sent, rel=1e-3)


def test_rings():
    """2 (n - 1) / n for an all-reduce; nothing of a rank alone."""
    assert all_reduce_bytes(800, 8) == 1400 and gather_bytes(800, 8) == 700
    assert all_reduce_bytes(800, 1) == 0
    one, two = (transfer_seconds(1e9, KINDS["l4"], nodes) for nodes in (1, 2))
    assert one == pytest.approx(1 / 25.6) and two == pytest.approx(1 / 2.5)


def test_shards_are_the_rows_of_the_fullest_rank():
    """50,257 rows of three ranks are 16,753 of the first one; more ranks never need more."""
    table = next(each for each in clusters.GPT2.parameters() if each.name == "wte.weight")
    assert shard_of(table, 3) == 16_753 * 768
    sizes = [sum(state_bytes(clusters.GPT2, "adamw", n, True).values()) for n in (1, 2, 3, 8, 1000)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 16 * clusters.GPT2.parameter_count


def test_recomputed_blocks_keep_less_and_take_longer():
    """And a run that would not fit computes them again by itself."""
    kept, again = (
        forecast("a100", grad_checkpoint=choice, batch_size=16) for choice in (False, True)
    )
    assert again.memory["activations"] < kept.memory["activations"] / 4
    assert 1.2 < again.step_seconds / kept.step_seconds < 1.34
    assert forecast("t4", batch_size=32).recompute
    assert not forecast("h100", batch_size=32).recompute


def test_more_passes_keep_whole_gradients_when_sharded():
    """FSDP2 adds them up over the ranks after the last pass."""
    shape = clusters.GPT2
    parts = []
    for passes in (1, 2):
        settings = config(shard=True, nproc=8, batch_size=64, grad_accum_steps=passes)
        batch = Batch.of(settings, 8, 1024)
        parts.append(rank_memory(shape, settings, batch, "bfloat16", recompute=False)["gathered"])
    blocks = sum(each.count for each in shape.parameters() if each.in_block)
    assert parts[1] - parts[0] == 4 * (shape.parameter_count - blocks // 6)


def test_muons_products_are_shared():
    """Five steps of 6 C^3 for a square matrix and of 18 C^3 for a wide one."""
    shape = GPTConfig(100, 8, 2, 1, 10)
    assert newton_schulz_flops(shape, 1) == 5 * 1000 * (8 * 6 + 4 * 18)
    assert newton_schulz_flops(shape, 2) == newton_schulz_flops(shape, 1) // 2


@pytest.mark.parametrize("name", FAMILY_SHAPES)
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_every_family_is_counted_as_its_tensors_are(name, optimizer):
    """Weights, gradients, what the optimizer keeps, and the operations of Muon's products."""
    shape, settings = FAMILY_SHAPES[name], config(optimizer=optimizer)
    model = GPT(shape)
    step = Optimizer(model, settings, dtype=torch.float32)
    for grads in step.grads:
        grads.normal_(generator=torch.Generator().manual_seed(1))
    with FlopCounterMode(display=False) as counter:
        step.step(1.0)
    kept = [each for key, each in step.state().items() if not key.endswith(".step")]
    assert state_bytes(shape, optimizer, 1, False) == {
        "weights": bytes_of(model.parameters()),
        "gradients": bytes_of(each.grad for each in model.parameters()),
        "optimizer": bytes_of(kept),
    }
    if optimizer == "muon":
        assert newton_schulz_flops(shape, 1) == counter.get_total_flops()


@pytest.mark.parametrize("run", clusters.PUBLISHED, ids=lambda run: run.name.replace(" ", "-"))
def test_published_runs_are_within_a_quarter(run):
    """Their time is forecast from constants that belong to no single run."""
    assert 0.75 < run.forecast().seconds / run.seconds < 1.25


def test_the_busiest_rank_decides():
    """8 sequences among 16 ranks take as long as 16, and a caution says so."""
    idle, full = (forecast(nodes=2, nproc=8, batch_size=size) for size in (8, 16))
    assert idle.compute_seconds == pytest.approx(full.compute_seconds)
    assert any("no multiple of 16 ranks" in each for each in idle.warnings) and not full.warnings


def test_slow_networks_are_told():
    """DDP over 10 Gbit/s waits for most of the time."""
    seen = forecast("rtx4090", nodes=4, nproc=2, batch_size=16, grad_accum_steps=1)
    assert seen.communication_seconds == pytest.approx(
        2 * 7 / 8 * 4 * seen.parameters / (0.8 * 1.25e9)
    )
    assert any("raise --grad-accum-steps" in each for each in seen.warnings)
    sharded = forecast("rtx4090", nodes=4, nproc=2, batch_size=16, shard=True)
    assert sharded.warnings == (
        "ranks wait longer for each other than they compute: raise --batch-size",
    )


def test_what_does_not_fit_has_a_way_out():
    """First smaller batches, then shards, then other GPUs."""
    (small,) = forecast("a100-40gb", batch_size=128, grad_checkpoint=False).warnings
    (large,) = forecast("rtx4090", preset="gpt2-xl").warnings
    assert "lower --batch-size" in small and "--shard" in large
    assert forecast("rtx4090", preset="gpt2-xl").memory_needed > 24e9


def test_the_run_is_as_long_as_its_settings():
    """Epochs of the tokens, steps, or minutes."""
    passes = forecast(epochs=2)
    assert passes.steps == math.ceil(2 * 9e9 / passes.tokens_per_step)
    assert forecast(max_steps=7).steps == 7
    assert forecast(minutes=90).seconds == 90 * 60
    assert passes.days == pytest.approx(passes.seconds / 86_400)


def test_a_card_without_bfloat16_trains_in_float16():
    """Unless told to."""
    assert forecast("v100").dtype == "float16" and forecast("a100").dtype == "bfloat16"
    assert forecast("a100", dtype="float32").step_seconds > 2 * forecast("a100").step_seconds


def test_chinchillas_law():
    """Hoffmann's own example, 70B on 1.4T; what is read again is worth less and less."""
    assert expected_loss(70e9, 1.4e12) == pytest.approx(1.94, abs=0.01)
    assert effective_tokens(5e9, 9e9) == 5e9
    assert effective_tokens(4 * 9e9, 9e9) == pytest.approx(0.93 * 4 * 9e9, rel=0.02)
    assert effective_tokens(1e15, 9e9) < 17 * 9e9
    nanogpt = clusters.RUNS[0].forecast()
    assert nanogpt.expected_loss == pytest.approx(2.73, abs=0.005)
    assert f"| {nanogpt.expected_loss:.2f} (" in PAGE


def test_the_kinds_are_whole():
    """Each has what a forecast asks for; names may be typed as people write them."""
    assert {"a100", "h100", "h200", "v100", "l4", "rtx4090", "rtx3090", "t4"} <= KINDS.keys()
    for kind in KINDS.values():
        assert kind.source and kind.network_name and 0.5 < kind.reached < 1
        assert kind.float32 < kind.float16 and 10e9 < kind.memory < 200e9
    assert find_kind("RTX 4090") is KINDS["rtx4090"]
    with pytest.raises(UsageError, match=r"unknown device kind 'b300'.*a100, .*t4"):
        find_kind("b300")


def test_an_own_vocabulary_and_window(tmp_path):
    """Without a text a bpe needs its size; a short text shrinks the window."""
    seen = forecast(preset="tiny", vocab_size=1000, minutes=1, tokens=101)
    assert seen.block_size == 25 and seen.parameters < 1e6
    with pytest.raises(UsageError, match="--vocab-size"):
        forecast(preset="tiny")
    with pytest.raises(UsageError, match="lora"):
        cluster_forecast(
            replace_lora(build_train({"preset": "gpt2"})), KINDS["h100"], 1, 9_000_000_000
        )


def replace_lora(settings):
    return settings.model_copy(update={"lora": True})


def test_the_page_has_the_tables_of_its_script():
    """docs/clusters.md is what `python tests/benchmarks/clusters.py` prints."""
    for table in (clusters.kinds_table(), clusters.published_table(), clusters.gpt2_table()):
        assert "\n".join(table) in PAGE, "python tests/benchmarks/clusters.py"


def test_the_table_is_what_the_command_says():
    """A row of the page is a forecast of the command, with the preset's own settings."""
    seen = forecast("a100", nproc=8, epochs=1, batch_size=64, grad_accum_steps=8)
    listed = clusters.gpt2_on("gpt2", "a100", 1, 8)
    assert replace(listed, stage="") == replace(seen, stage="")


def test_shape_alone_can_be_asked():
    """`forecast_shape` takes any shape."""
    seen = forecast_shape(config(max_steps=3), clusters.XL, KINDS["h200"], 1, 1_000_000)
    assert seen.parameters == clusters.XL.parameter_count and seen.seconds > 0
