"""The kernels of this machine in a table: how fast, how exact, which is in use, what others need.

Knows what `model.kernels` declares and `model.measure_kernels` measures; prints nothing.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import TuillmError
from tuillm.model import GPT, pack, read_config
from tuillm.model.kernel_choice import Choice, Timing, remember
from tuillm.model.kernels import KERNELS, Kernel, kernels_for
from tuillm.model.measure_kernels import measure_kernels, thread_counts
from tuillm.native.compile_process import compile_once
from tuillm.store.locks import Taken


@dataclass(frozen=True)
class KernelRow:
    """A kernel in a precision, on so many threads.

    `seconds` is a step of a model of the shape's width, `of_limit` the share of the memory's
    bandwidth at which it reads weights, `error` the largest difference of a logit from float32, of
    the spread of all. All three are None where it cannot be had: `needs` says what it needs.
    """

    kernel: str
    dtype: str
    threads: int
    needs: str
    seconds: float | None = None
    of_limit: float | None = None
    error: float | None = None
    chosen: bool = False


def kernel_table(
    folder: Path,
    dtypes: tuple[str, ...],
    bandwidth: Mapping[int, float],
    tick: Callable[[str, float], None],
) -> list[KernelRow]:
    """Measure all kernels for the shape of a model folder; remember the fastest.

    `bandwidth` is in bytes a second by number of threads. Compiles the native library first,
    if it is missing.
    """
    tick("compiling the native library", 0.0)
    compile_once(wait=120.0)
    config, rows = read_config(folder), []
    for number, dtype in enumerate(dtypes):
        tick(f"kernels in {dtype}", number / len(dtypes))
        there = kernels_for(dtype)
        if there:
            timings = measure_kernels(config, dtype, thread_counts(torch.get_num_threads()))
            choice = _remembered(config, dtype, timings)
            errors = {kernel.name: _error(config, dtype, kernel) for kernel in there}
            rows += [
                KernelRow(
                    each.kernel,
                    dtype,
                    each.threads,
                    "",
                    each.seconds,
                    each.bytes / each.seconds / _limit(bandwidth, each.threads),
                    errors[each.kernel],
                    (each.kernel, each.threads) == (choice.kernel, choice.threads),
                )
                for each in timings
            ]
        rows += [
            KernelRow(kernel.name, dtype, 0, kernel.needs)
            for kernel in KERNELS
            if dtype in kernel.dtypes and kernel not in there
        ]
    return rows


def _remembered(config: GPTConfig, dtype: str, timings: list[Timing]) -> Timing | Choice:
    """The choice that is kept; where the disk refuses the fastest, which is shown all the same."""
    with suppress(TuillmError, OSError, Taken):
        return remember(config, dtype, timings)
    return min(timings, key=lambda each: each.seconds)


def _limit(bandwidth: Mapping[int, float], threads: int) -> float:
    higher = [count for count in bandwidth if count >= threads]
    return bandwidth[min(higher)] if higher else max(bandwidth.values())


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
