"""Which kernel a model decodes with on this machine: measured once for its shape, remembered.

Measuring is done by a process of its own, in the background; loading takes what is known by then,
or the likely fastest. A choice is looked at when a model is loaded, and holds for as long as it
is. Knows the file of choices in the cache; `measure_kernels` fills it.
"""

import json
import math
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import TuillmError, UsageError, brief
from tuillm.formats.json_text import JsonObject
from tuillm.model.kernels import (
    BY_NAME,
    Kernel,
    kernels_for,
    kernels_to_choose_from,
    working_kernels,
)
from tuillm.native.compiled import library, library_path
from tuillm.store.files import read_json, write_json
from tuillm.store.locks import Taken, take
from tuillm.store.paths import cache_dir, ensure_dir
from tuillm.store.processor import processor_key
from tuillm.store.workers.processes import start_detached

ITEM_BYTES = {"float32": 4, "bfloat16": 2, "int8": 1}
# a kernel has to be so much faster to replace the one in use, which gives other digits
_WORTH_A_CHANGE = 0.9
_PROCESS = "tuillm.model.measure_kernels"
# seconds between two measurements of the same
_NOT_BEFORE = 600.0


@dataclass(frozen=True)
class Timing:
    """Seconds of a step with a kernel on so many threads, and the bytes of weights it reads."""

    kernel: str
    threads: int
    seconds: float
    bytes: int


@dataclass(frozen=True)
class Choice:
    """A kernel, its threads, how fast it reads weights (bytes a second), and since when.

    `before` is the kernel that was in use until then, "" if it is the first choice.
    """

    kernel: str
    threads: int
    bytes_per_sec: float
    measured: float
    before: str = ""
    timings: tuple[Timing, ...] = ()


def choose_kernel(config: GPTConfig, dtype: str) -> Kernel | None:
    """Return the kernel for a model of this shape in a precision; None: there is none.

    `TUILLM_KERNEL` names another. Raises UsageError where that does not work here.
    """
    named = os.environ.get("TUILLM_KERNEL")
    if named:
        return _named(named, dtype)
    known = remembered(config, dtype)
    kernel = BY_NAME[known.kernel] if known else None
    if kernel and dtype in kernel.dtypes and kernel.works(dtype) and not kernel.last_resort:
        return kernel
    for kernel in working_kernels(dtype):
        if not kernel.last_resort:
            return kernel
    return next(working_kernels(dtype), None)


def remembered(config: GPTConfig, dtype: str) -> Choice | None:
    """Return what was chosen for this machine and a model of this shape, None if nothing yet."""
    row: Any = _section(_read()).get(_shape_class(config, dtype))
    with suppress(TypeError, ValueError, KeyError, AttributeError):  # it is in the cache
        choice = Choice(**(row | {"timings": tuple(Timing(**each) for each in row["timings"])}))
        numbers = choice.threads, choice.bytes_per_sec, choice.measured
        if choice.kernel in BY_NAME and all(0 < number < math.inf for number in numbers):
            return choice
    return None


def remember(config: GPTConfig, dtype: str, timings: list[Timing]) -> Choice:
    """Choose by what was measured, and keep it; return the choice.

    The kernel in use stays unless another is clearly faster. Raises TuillmError when the disk
    refuses.
    """
    may_be = {kernel.name for kernel in kernels_to_choose_from(dtype)}
    timings = [each for each in timings if each.kernel in may_be]
    with take(ensure_dir(cache_dir()) / "kernels.lock", wait=10.0):
        before = remembered(config, dtype)
        best = min(timings, key=lambda each: each.seconds)
        if before:
            own = [each for each in timings if each.kernel == before.kernel]
            mine = min(own, key=lambda each: each.seconds, default=best)
            best = mine if best.seconds > mine.seconds * _WORTH_A_CHANGE else best
        changed = before.kernel if before and before.kernel != best.kernel else ""
        choice = Choice(
            best.kernel,
            best.threads,
            best.bytes / best.seconds,
            time.time(),
            changed or (before.before if before else ""),
            tuple(timings),
        )
        file = _read()
        section = file[_fingerprint()] = _section(file)
        section[_shape_class(config, dtype)] = asdict(choice)
        write_json(_file(), file)
    return choice


def expected_speed(config: GPTConfig, dtype: str) -> float | None:
    """Tokens a second by what was measured, on the best number of threads; None: not measured."""
    known = remembered(config, dtype)
    if known is None:
        return None
    return known.bytes_per_sec / (weights_read(config) * ITEM_BYTES[dtype])


def weights_read(config: GPTConfig) -> int:
    """How many weights a step reads: all but the table of positions and, untied, of tokens."""
    read = config.parameter_count - config.position_parameters
    return read if config.tie_weights else read - config.vocab_size * config.n_embd


def start_measuring(config: GPTConfig, dtype: str) -> bool:
    """Measure the kernels in the background, where that is due and wanted; never raises.

    `TUILLM_MEASURE=0` leaves it out. Returns whether a process was started.
    """
    try:
        if os.environ.get("TUILLM_MEASURE") == "0" or os.environ.get("TUILLM_KERNEL"):
            return False
        known = remembered(config, dtype)
        if known and time.time() - known.measured < _NOT_BEFORE:
            return False
        log = ensure_dir(cache_dir() / "measuring") / f"{_shape_class(config, dtype)}.log"
        if log.exists() and time.time() - log.stat().st_mtime < _NOT_BEFORE:
            return False  # another process is at it, or it failed a moment ago
        log.touch()
        start_detached(_PROCESS, [json.dumps(asdict(config)), dtype], log)
        return True
    except (OSError, TuillmError, Taken):
        return False


def _named(name: str, dtype: str) -> Kernel:
    there = kernels_for(dtype)
    for kernel in there:
        if kernel.name == name:
            return kernel
    raise UsageError(
        f"TUILLM_KERNEL cannot be {brief(name)} in {dtype}",
        f"allowed here: {', '.join(kernel.name for kernel in there)}",
    )


def _shape_class(config: GPTConfig, dtype: str) -> str:
    """Models of one width and about one size are as fast with the same kernel."""
    order = round(math.log10(max(1, config.parameter_count)))
    return f"{dtype} width {config.n_embd} 1e{order} parameters"


def _fingerprint() -> str:
    """What a measurement depends on besides the shape."""
    capability = torch.backends.cpu.get_cpu_capability()
    native = library_path().stem if library() is not None else "no native"
    isa = os.environ.get("ONEDNN_MAX_CPU_ISA", "any isa")
    parts = [processor_key(), torch.__version__, capability, isa, native]
    return ", ".join([*parts, f"{torch.get_num_threads()} threads"])


def _section(file: JsonObject) -> JsonObject:
    section = file.get(_fingerprint())
    return section if isinstance(section, dict) else {}


def _read() -> JsonObject:
    with suppress(TuillmError):  # it is in the cache: what is damaged is measured again
        return read_json(_file())
    return {}


def _file() -> Path:
    return cache_dir() / "kernels.json"
