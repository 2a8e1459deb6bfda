"""`tuillm train --forecast --device-kind`: what a run would take on GPUs that are not here."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tuillm.cli.output import print_json_line, say
from tuillm.config import TrainConfig
from tuillm.errors import UsageError
from tuillm.units import count, duration, percent, size

if TYPE_CHECKING:
    from tuillm.training.forecast.cluster import ClusterForecast

_WEIGHTS, _GRADIENTS, _MUON = "weights", "gradients", "Muon's updates"


def refuse_without_forecast(
    forecast: bool, device_kind: str | None, nnodes: int | None, tokens: int | None
) -> None:
    """Raise UsageError where an option of this forecast is typed and the forecast is not."""
    options = {"--device-kind": device_kind, "--nnodes": nnodes, "--tokens": tokens}
    typed = [option for option, value in options.items() if value is not None]
    if typed and not forecast:
        hint = "add --forecast"
        if nnodes is not None:
            hint += "; a cluster trains by: torchrun --nnodes N -m tuillm.training.worker RUN"
        raise UsageError(f"{typed[0]} is about a forecast", hint)
    if typed and device_kind is None:
        raise UsageError(f"{typed[0]} needs a kind of device", "add --device-kind h100, say")


def show_cluster_forecast(
    config: TrainConfig,
    device_kind: str,
    nnodes: int | None,
    tokens: int | None,
    *,
    json_lines: bool = False,
) -> None:
    """Print the forecast of a run on such devices, and start nothing."""
    from tuillm.training.forecast.cluster import cluster_forecast
    from tuillm.training.forecast.device_kinds import find_kind

    kind = find_kind(device_kind)
    seen = cluster_forecast(config, kind, nnodes or 1, tokens)
    if json_lines:
        print_json_line(seen.as_json())
        return
    across = f", {size(kind.network)}/s between nodes ({kind.network_name})"
    say(
        f"{'device':<8} {_ranks(seen)} {kind.title}, {kind.peak(seen.dtype) / 1e12:.4g} TFLOPS in "
        f"{seen.dtype} at most, {size(kind.link)}/s by {kind.link_name}"
        f"{across if seen.nodes > 1 else ''}"
    )
    for name, words in facts(seen):
        say(f"{name:<8} {words}")
    say(f"{'note':<8} figures are of stated formulas, see docs/clusters.md: nothing was measured")
    for remark in seen.warnings:
        say(f"{'caution':<8} {remark}")


def facts(seen: "ClusterForecast") -> Iterator[tuple[str, str]]:
    """Yield names and words for what a forecast says of a run."""
    yield "model", f"{count(seen.parameters)} parameters, {seen.block_size} tokens in view"
    yield (
        "batch",
        f"{seen.tokens_per_step:,} tokens a step, on each GPU {_times(seen.passes, 'pass')} of "
        f"{_times(seen.windows, 'sequence')}",
    )
    parts = ", ".join(f"{name} {size(part)}" for name, part in seen.memory.items() if part)
    again = "; blocks are computed again (grad_checkpoint)" if seen.recompute else ""
    yield (
        "memory",
        f"{size(seen.memory_needed)} of {size(seen.memory_available)} on each GPU: {parts}{again}",
    )
    if seen.ranks > 1:
        yield "sent", _sent(seen)
    yield (
        "compute",
        f"{count(seen.flops_per_token)} operations a token at {percent(seen.mfu)} of the peak",
    )
    yield (
        "step",
        f"{_seconds(seen.step_seconds)}: {_seconds(seen.compute_seconds)} computing, "
        f"{_seconds(seen.communication_seconds)} waiting for the links",
    )
    yield "speed", f"{count(seen.tokens_per_sec)} tokens/s, {percent(seen.step_mfu)} MFU"
    yield (
        "run",
        f"{seen.steps:,} steps, {seen.epochs:.3g} times {count(seen.tokens)} tokens, "
        f"{duration(seen.seconds)} or {seen.days:.3g} days, evaluations apart (5% more at most)",
    )
    yield (
        "loss",
        f"about {seen.expected_loss:.2f} nats per token by Chinchilla's law, which is of another "
        "text and vocabulary",
    )


def _ranks(seen: "ClusterForecast") -> str:
    how = "FSDP2" if seen.shard else "DDP"
    if seen.ranks == 1:
        return "1 x"
    nodes = f"{seen.nodes} nodes of " if seen.nodes > 1 else ""
    return f"{nodes}{seen.nproc} x ({how})"


def _sent(seen: "ClusterForecast") -> str:
    names = {"weights": _WEIGHTS, "gradients": _GRADIENTS, "muon": _MUON}
    parts = ", ".join(f"{names[name]} {size(part)}" for name, part in seen.sent.items())
    over = "over its link, and as much by each node over the network" if seen.nodes > 1 else ""
    return f"{size(sum(seen.sent.values()))} a step by each GPU {over or 'over its link'}: {parts}"


def _times(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "es" if what.endswith("s") else "s")


def _seconds(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
