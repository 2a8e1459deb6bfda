"""What a run would take on GPUs that are not here: memory, traffic, time, from stated formulas.

Puts together `device_kinds`, `rank_memory`, `link_traffic`, `step_time` and `scaling_law`; knows no
torch, asks no device and takes no step. What it leaves out: evaluations and samples (a twentieth of
the time at most), reading the text, orders between ranks, ranks that wait for a slower one.
"""

from dataclasses import asdict, dataclass, field, replace

from tuillm.config import TrainConfig
from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import UsageError
from tuillm.formats.json_text import JsonObject
from tuillm.text.tiktoken_tokenizer import GPT2_ENTRIES
from tuillm.training.auto_settings import window_for
from tuillm.training.forecast.device_kinds import DeviceKind
from tuillm.training.forecast.link_traffic import step_traffic, transfer_seconds
from tuillm.training.forecast.rank_memory import ROOM, Batch, rank_memory
from tuillm.training.forecast.run_time import plan
from tuillm.training.forecast.scaling_law import effective_tokens, expected_loss
from tuillm.training.forecast.static import look, shape_for
from tuillm.training.forecast.step_time import (
    COMPILED_BLOCKS,
    EAGER,
    Implementation,
    optimizer_seconds,
    pass_seconds,
)
from tuillm.training.schedule import with_epochs


@dataclass(frozen=True)
class ClusterForecast:
    """A run on `nodes` machines with `nproc` GPUs each; sizes in bytes, times in seconds.

    `memory` is what the fullest rank needs, part by part, `memory_available` what its GPU has,
    `recompute` whether blocks are computed again to fit. `sent` is what a rank sends in a step, by
    what it is; as much leaves each of several nodes. `communication_seconds` are those of a step in
    which nothing is computed. `mfu` is of the time that is computed, `step_mfu` of the whole step.
    `expected_loss` is Chinchilla's law for `parameters` and for the tokens that are read, those
    read again discounted.
    """

    device_kind: str
    nodes: int
    nproc: int
    ranks: int
    shard: bool
    dtype: str
    parameters: int
    block_size: int
    tokens: int
    tokens_per_step: int
    passes: int
    windows: int
    memory: dict[str, int]
    memory_needed: int
    memory_available: int
    recompute: bool
    sent: dict[str, float]
    flops_per_token: int
    compute_seconds: float
    communication_seconds: float
    step_seconds: float
    tokens_per_sec: float
    mfu: float
    step_mfu: float
    steps: int
    seconds: float
    days: float
    epochs: float
    expected_loss: float
    stage: str = "cluster"
    warnings: tuple[str, ...] = field(default=())

    def as_json(self) -> JsonObject:
        """The forecast as a JSON object."""
        return asdict(self)


def cluster_forecast(
    config: TrainConfig, kind: DeviceKind, nodes: int = 1, tokens: int | None = None
) -> ClusterForecast:
    """Return the forecast of a run; `tokens` are those to train on where there is no text.

    Raises TuillmError for a text that cannot be read, UsageError for what does not fit together.
    """
    _refuse(config, nodes, tokens)
    if tokens is None:
        seen = look(config)
        tokens = seen.train_tokens or 0
        if not tokens:
            raise UsageError(seen.skipped, "give --tokens in place of the text")
        entries, dropout = seen.vocab_size or 0, seen.dropout or 0.0
    else:
        entries, dropout = _entries(config), config.dropout or 0.0
    shape = shape_for(config, entries, config.block_size, dropout)
    window, _ = window_for(min(config.block_size, shape.block_size), tokens)
    if config.init_from is None:
        shape = replace(shape, block_size=window)
    return forecast_shape(config, shape, kind, nodes, tokens, window=window)


def forecast_shape(
    config: TrainConfig,
    shape: GPTConfig,
    kind: DeviceKind,
    nodes: int,
    tokens: int,
    *,
    window: int | None = None,
    how: Implementation | None = None,
) -> ClusterForecast:
    """Return the forecast for a model of a shape that is trained on `tokens` tokens.

    `how` is the implementation that is timed, None for tuillm's own: its blocks are compiled unless
    they are sharded or `compile` is off. Memory and traffic are always tuillm's.
    """
    ranks = nodes * config.nproc
    if how is None:
        eager = config.compile == "off" or (config.shard and ranks > 1)
        how = EAGER if eager else COMPILED_BLOCKS
    batch = Batch.of(config, ranks, window or shape.block_size)
    dtype = kind.dtype if config.dtype == "auto" else config.dtype
    memory, recompute = _memory(shape, config, batch, dtype, kind)
    traffic = step_traffic(shape, config, batch)
    during = transfer_seconds(sum(traffic.during.values()), kind, nodes)
    after = transfer_seconds(sum(traffic.after.values()), kind, nodes)
    computed = batch.passes * pass_seconds(shape, kind, batch, dtype, how, recompute=recompute)
    computed += optimizer_seconds(
        shape, kind, config.optimizer, ranks, dtype, shard=config.shard and ranks > 1
    )
    waited = max(during - computed, 0.0) + after
    step = computed + waited
    config = with_epochs(config, tokens, batch.tokens_of_step)
    steps, seconds = plan(config, step, 0.0)
    useful = batch.tokens_of_step / ranks * shape.flops_per_token(batch.window) / kind.peak(dtype)
    read = steps * batch.tokens_of_step
    known = ClusterForecast(
        device_kind=kind.name,
        nodes=nodes,
        nproc=config.nproc,
        ranks=ranks,
        shard=config.shard and ranks > 1,
        dtype=dtype,
        parameters=shape.parameter_count,
        block_size=batch.window,
        tokens=tokens,
        tokens_per_step=batch.tokens_of_step,
        passes=batch.passes,
        windows=batch.windows,
        memory=memory,
        memory_needed=sum(memory.values()),
        memory_available=int(kind.memory),
        recompute=recompute,
        sent=traffic.during | traffic.after,
        flops_per_token=shape.flops_per_token(batch.window),
        compute_seconds=computed,
        communication_seconds=waited,
        step_seconds=step,
        tokens_per_sec=batch.tokens_of_step / step,
        mfu=useful / computed,
        step_mfu=useful / step,
        steps=steps,
        seconds=seconds,
        days=seconds / 86_400,
        epochs=read / tokens,
        expected_loss=expected_loss(shape.parameter_count, effective_tokens(read, tokens)),
    )
    return replace(known, warnings=tuple(_warnings(config, known, batch, kind)))


def _refuse(config: TrainConfig, nodes: int, tokens: int | None) -> None:
    """Raise UsageError for settings that no forecast for a cluster can be made of."""
    ranks, windows = nodes * config.nproc, config.batch_size * config.grad_accum_steps
    if ranks > windows:
        raise UsageError(
            f"{nodes} nodes with nproc {config.nproc} are {ranks} ranks, more than the sequences "
            f"of a step, batch_size times grad_accum_steps: {windows}",
            "raise --batch-size",
        )
    if config.lora:
        raise UsageError("the forecast for a kind of device is of all weights", "leave out --lora")
    if config.device not in ("auto", "cuda"):
        raise UsageError(
            f"device {config.device} is none of the kinds of device", "leave out --device"
        )
    if tokens is None and not config.corpus:
        raise UsageError("no text is given", "name one, or say how many it has: --tokens 9B")
    if tokens is not None and config.corpus:
        raise UsageError("--tokens stands for a text that is not here", "leave out one of the two")


def _entries(config: TrainConfig) -> int:
    """Return how many entries the vocabulary has where no text tells."""
    if config.init_from is not None:
        return 0  # the model has its own
    if config.tokenizer == "gpt2":
        return GPT2_ENTRIES
    if config.vocab_size is not None:
        return config.vocab_size
    raise UsageError(
        f"tokenizer {config.tokenizer} has a vocabulary that depends on the text",
        "without one add --tokenizer gpt2, --vocab-size N or --preset gpt2",
    )


def _memory(
    shape: GPTConfig, config: TrainConfig, batch: Batch, dtype: str, kind: DeviceKind
) -> tuple[dict[str, int], bool]:
    """Return what a rank needs, and whether blocks are computed again: as set, or to fit."""
    plain = rank_memory(shape, config, batch, dtype, recompute=False)
    again = config.grad_checkpoint
    if again is None:
        again = sum(plain.values()) > ROOM * kind.memory
    memory = rank_memory(shape, config, batch, dtype, recompute=True) if again else plain
    return memory, again


def _warnings(
    config: TrainConfig, known: ClusterForecast, batch: Batch, kind: DeviceKind
) -> list[str]:
    """What a person should think about, each a sentence."""
    found = []
    if known.memory_needed > kind.memory:
        found.append(f"this does not fit into the memory of a GPU: {_memory_advice(known)}")
    if config.batch_size % batch.ranks:
        found.append(
            f"batch_size {config.batch_size} is no multiple of {batch.ranks} ranks: some of them "
            "wait for the others in each pass"
        )
    if known.communication_seconds > known.compute_seconds:
        # gathered weights travel in each pass, summed gradients once a step
        way = "raise --batch-size" if known.shard else "raise --grad-accum-steps or --batch-size"
        found.append(f"ranks wait longer for each other than they compute: {way}")
    return found


def _memory_advice(known: ClusterForecast) -> str:
    """What would fit, in words."""
    of_pass = sum(known.memory[part] for part in ("casts", "activations", "logits"))
    if known.windows > 1 and known.memory_needed - of_pass < known.memory_available:
        return "lower --batch-size and raise --grad-accum-steps"
    if known.shard:
        return "take more GPUs, or a kind with more memory"
    more = "add" if known.ranks > 1 else "raise --nproc and add"
    return f"{more} --shard, or take a kind with more memory"
