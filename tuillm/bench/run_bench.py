"""One run of the benchmark: what is asked for, measured one after the other, programs in turns.

Knows the measures; prints nothing and keeps nothing.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tuillm.bench.bench_model import PROMPT
from tuillm.bench.bench_record import Measurement
from tuillm.bench.decode_speed import decode_programs
from tuillm.bench.engines import load_engines
from tuillm.bench.first_token_speed import first_token_programs
from tuillm.bench.machine_speed import Machine
from tuillm.bench.precision_quality import Quality, measure_quality, windows_of
from tuillm.bench.prefill_speed import prefill_programs
from tuillm.bench.startup_speed import startup_programs
from tuillm.bench.tokenizer_speed import tokenizer_programs
from tuillm.bench.training_speed import training_programs
from tuillm.bench.turns import Program, take_turns
from tuillm.errors import UsageError
from tuillm.model import pack, read_config, read_model
from tuillm.model.kernels import can_decode_int8
from tuillm.text import load_tokenizer
from tuillm.text.progress_tick import Tick

_ENGINES = ("decode", "prefill")


@dataclass(frozen=True)
class Wanted:
    """What to measure, of a model folder.

    `measures` are names of MEASURES; `own` tells that the folder is a person's model, whose
    tokenizer counts; `tokens` is how many are decoded in a round.
    """

    folder: Path
    own: bool
    measures: tuple[str, ...]
    dtypes: tuple[str, ...]
    threads: tuple[int, ...]
    tokens: int
    rounds: int | None
    peers: bool


def run_bench(
    wanted: Wanted, machine: Machine, tick: Tick, note: Callable[[str], None]
) -> list[Measurement]:
    """Measure; `tick` is told how far it is, `note` what takes no part."""
    results: list[Measurement] = []
    with tempfile.TemporaryDirectory() as scratch:
        for measures, programs in _groups(wanted, machine, Path(scratch), note):
            stage = " and ".join(measures)
            tick(f"loading: {stage}", 0.0)
            group = list(programs)
            if not group:
                note(f"{stage}: there is nothing to measure in {', '.join(wanted.dtypes)}")
            results += take_turns(group, wanted.rounds, partial(tick, stage))
    return results


def _groups(
    wanted: Wanted, machine: Machine, scratch: Path, note: Callable[[str], None]
) -> Iterator[tuple[list[str], Iterator[Program]]]:
    """Yield what takes turns together; a group is loaded when the one before is over."""
    if named := [each for each in _ENGINES if each in wanted.measures]:
        yield named, _of_engines(wanted, machine, scratch, note)
    most, peers = machine.threads, wanted.peers
    makers: dict[str, Callable[[], Iterator[Program]]] = {
        "first-token": lambda: first_token_programs(wanted.folder, most, peers, scratch / "home"),
        "start-up": lambda: startup_programs(most),
        "tokenizer": lambda: tokenizer_programs(wanted.folder if wanted.own else None, most, peers),
        "train": lambda: training_programs(wanted.dtypes, most, machine.matmul, peers),
    }
    for name, make in makers.items():
        if name in wanted.measures:
            yield [name], make()


def _of_engines(
    wanted: Wanted, machine: Machine, scratch: Path, note: Callable[[str], None]
) -> Iterator[Program]:
    config = read_config(wanted.folder)
    engines = list(load_engines(wanted.folder, wanted.dtypes, wanted.peers, scratch, note))
    if "decode" in wanted.measures:
        bandwidth = {each: machine.bandwidth_on(each) for each in wanted.threads}
        yield from decode_programs(engines, config, wanted.tokens, bandwidth)
    if "prefill" in wanted.measures:
        counts = wanted.threads
        yield from prefill_programs(engines, config, counts, machine.matmul, machine.threads)


def refuse_short(wanted: Wanted) -> None:
    """Raise UsageError where prompt and reply do not fit the context of the model."""
    if "decode" not in wanted.measures:
        return
    room = read_config(wanted.folder).block_size - PROMPT - 1
    if wanted.tokens > room:
        raise UsageError(
            f"--tokens cannot be {wanted.tokens}: the model's context is too short",
            f"allowed: 1 to {room}" if room > 0 else "take a model with a longer context",
        )


def run_quality(
    folder: Path, dtypes: tuple[str, ...], text: str, tick: Tick, most: int = 8192
) -> list[Quality]:
    """Compare the precisions of a model folder on a text, over about `most` tokens of it.

    float32, which they are compared with, is always among them.
    """
    import torch

    tick("loading the model", 0.0)
    others = {
        dtype: pack(read_model(folder), getattr(torch, dtype))
        for dtype in dtypes
        if dtype != "float32" and (dtype != "int8" or can_decode_int8())
    }
    reference = pack(read_model(folder), torch.float32)
    ids = load_tokenizer(folder).encode(text)
    windows = windows_of(ids, reference.config.block_size, most)
    return measure_quality(reference, others, windows, lambda share: tick("quality", share))
