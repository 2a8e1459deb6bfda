"""The kernels of this machine in a table: how fast, how exact, which is in use, what others need.

Knows what `model.kernels` declares and `model.measure_kernels` measures; prints nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from tuillm.bench.machine_speed import Machine
from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import TuillmError
from tuillm.model import GPT, pack, read_config
from tuillm.model.kernel_choice import Choice, Timing, remember
from tuillm.model.kernels import BY_NAME, KERNELS, Kernel, kernels_for
from tuillm.model.measure_kernels import measure_kernels, thread_counts
from tuillm.native.compile_process import compile_once
from tuillm.store.locks import Taken


@dataclass(frozen=True)
class KernelRow:
    """A kernel in a precision, on so many threads; what it multiplies weights with.

    `seconds` is a step of a model of the shape's width, `of_limit` the share of the memory's
    bandwidth at which it reads weights, `error` the largest difference of a logit from float32, of
    the spread of all. All three are None where it cannot be had: `needs` says what it needs.
    """

    kernel: str
    dtype: str
    inputs: str
    needs: str
    threads: int = 0
    seconds: float | None = None
    of_limit: float | None = None
    error: float | None = None
    chosen: bool = False


def kernel_table(
    folder: Path, dtypes: tuple[str, ...], machine: Machine, tick: Callable[[str, float], None]
) -> list[KernelRow]:
    """Measure all kernels for the shape of a model folder; remember the fastest.

    Compiles the native library first, if it is missing.
    """
    tick("compiling the native library", 0.0)
    compile_once(wait=120.0)
    config = read_config(folder)
    rows: list[KernelRow] = []
    for number, dtype in enumerate(dtypes):
        tick(f"kernels in {dtype}", number / len(dtypes))
        there = kernels_for(dtype)
        rows += _measured(config, dtype, there, machine) if there else []
        rows += [
            KernelRow(kernel.name, dtype, kernel.inputs, kernel.needs)
            for kernel in KERNELS
            if dtype in kernel.dtypes and kernel not in there
        ]
    return rows


def _measured(
    config: GPTConfig, dtype: str, kernels: list[Kernel], machine: Machine
) -> Iterator[KernelRow]:
    timings = measure_kernels(config, dtype, thread_counts(machine.threads))
    choice = _remembered(config, dtype, timings)
    errors = {kernel.name: _error(config, dtype, kernel) for kernel in kernels}
    for each in timings:
        yield KernelRow(
            each.kernel,
            dtype,
            BY_NAME[each.kernel].inputs,
            "",
            each.threads,
            each.seconds,
            each.bytes / each.seconds / machine.bandwidth_on(each.threads),
            errors[each.kernel],
            (each.kernel, each.threads) == (choice.kernel, choice.threads),
        )


def _remembered(config: GPTConfig, dtype: str, timings: list[Timing]) -> Timing | Choice:
    """The choice that is kept; where the disk refuses the fastest, which is shown all the same."""
    with suppress(TuillmError, OSError, Taken):
        return remember(config, dtype, timings)
    return min(timings, key=lambda each: each.seconds)


@torch.inference_mode()
def _error(config: GPTConfig, dtype: str, kernel: Kernel) -> float:
    """The largest difference from float32 of a logit of a random model of this width."""
    shape = replace(
        config, n_layer=min(config.n_layer, 2), vocab_size=min(config.vocab_size, 1000), dropout=0.0
    )
    generator = torch.Generator().manual_seed(0)
    exact = GPT(shape).eval()
    for values in exact.parameters():
        values.normal_(0, 0.05 if values.dim() == 2 else 0.3, generator=generator)
    copy = GPT(shape)
    copy.load_state_dict(exact.state_dict())
    ids = torch.randint(0, shape.vocab_size, (1, min(16, shape.block_size)), generator=generator)
    want = exact(ids)
    found = pack(copy, getattr(torch, dtype), kernel=kernel.name)(ids)
    return float((found - want).abs().max() / want.std())
