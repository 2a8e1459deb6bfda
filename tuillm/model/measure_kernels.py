"""`python -m tuillm.model.measure_kernels CONFIG DTYPE`: times the kernels, remembers the fastest.

A model of the true width is decoded with each kernel in turn, on one thread and on more, with what
the caches hold thrown out before each step where the real model is larger than they are. Knows
kernels and shapes; knows no model folder.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median

import torch

from tuillm.config.gpt_config import GPTConfig
from tuillm.model.gpt import GPT
from tuillm.model.kernel_choice import ITEM_BYTES, Timing, remember, weights_read
from tuillm.model.kernels import Kernel, kernels_for
from tuillm.model.packing import Decoder, pack
from tuillm.native.compile_process import compile_once
from tuillm.store.workers.processes import module_command, module_environment
from tuillm.store.workers.reply_activity import replying

# weights of the model that is measured, in layers and in the head: enough of each
_LAYER_WEIGHTS, _HEAD_WEIGHTS = 14_000_000, 6_000_000
# weights of a model that the caches may hold from step to step
_IN_CACHE = 2_000_000
_FLUSH = 16_000_000  # floats that are read to throw the weights out
_ROUNDS, _POSITIONS = 5, 32
_PATIENCE = 120.0  # seconds


def measure_kernels(
    config: GPTConfig, dtype: str, threads: tuple[int, ...], rounds: int = _ROUNDS
) -> list[Timing]:
    """Return the median time of a step with each kernel on each number of threads.

    All of them take turns. The number of threads is as before when it returns.
    """
    most = torch.get_num_threads()
    # what holds oneDNN to other instructions needs a process of its own
    kernels = kernels_for(dtype)
    alone = [kernel for kernel in kernels if kernel.isa and not _is_held(kernel)]
    here = [kernel for kernel in kernels if kernel not in alone]
    large = config.parameter_count > _IN_CACHE
    shape = _shape(config) if large else config
    models = _models(shape, dtype, here)
    found: dict[tuple[str, int], list[float]] = {}
    flush = torch.ones(_FLUSH) if large else None
    try:
        for _ in range(rounds):
            for kernel, model in zip(here, models, strict=True):
                for count in threads:
                    torch.set_num_threads(count)
                    times = found.setdefault((kernel.name, count), [])
                    times.append(_step(model, flush))
    finally:
        torch.set_num_threads(most)
    read = weights_read(shape) * ITEM_BYTES[dtype]
    timings = [Timing(name, count, median(times), read) for (name, count), times in found.items()]
    return timings + [each for kernel in alone for each in _in_a_process(config, dtype, kernel)]


def thread_counts(most: int) -> tuple[int, ...]:
    """The numbers of threads that are tried: 1, 2, 4, ... and all."""
    counts = {1, most} | {1 << power for power in range(most.bit_length()) if 1 << power < most}
    return tuple(sorted(counts))


def _shape(config: GPTConfig) -> GPTConfig:
    C = config.n_embd
    one, none = (replace(config, n_layer=number).parameter_count for number in (1, 0))
    return replace(
        config,
        n_layer=max(1, min(config.n_layer, round(_LAYER_WEIGHTS / (one - none)))),
        vocab_size=max(1, min(config.vocab_size, _HEAD_WEIGHTS // C)),
        block_size=min(config.block_size, _POSITIONS),
        dropout=0.0,
    )


def _models(shape: GPTConfig, dtype: str, kernels: list[Kernel]) -> list[Decoder]:
    """One model of random weights, packed for each kernel."""
    with torch.device("meta"):
        names = GPT(shape).state_dict()
    generator, models = torch.Generator().manual_seed(0), []
    weights = {
        name: torch.empty(value.shape).uniform_(-0.02, 0.02, generator=generator)
        for name, value in names.items()
        if name != "lm_head.weight" or not shape.tie_weights
    }
    weights.setdefault("lm_head.weight", weights["wte.weight"])
    for kernel in kernels:
        with torch.device("meta"):
            model = GPT(shape)
        model.load_state_dict(weights, assign=True)
        models.append(pack(model, getattr(torch, dtype), kernel=kernel.name))
    return models


@torch.inference_mode()
def _step(model: Decoder, flush: torch.Tensor | None) -> float:
    """Seconds of a step; of several where the weights stay in the caches anyway."""
    steps, cache = 1 if flush is not None else 5, model.new_cache()
    token = torch.zeros(1, 1, dtype=torch.int64)
    model(token, cache, last=1)  # the threads are awake
    if flush is not None:
        flush.sum()
    begin = time.perf_counter()
    for _ in range(steps):
        cache.truncate(1)
        model(token, cache, last=1)
    return (time.perf_counter() - begin) / steps


def _is_held(kernel: Kernel) -> bool:
    return os.environ.get("ONEDNN_MAX_CPU_ISA") == kernel.isa


def _in_a_process(config: GPTConfig, dtype: str, kernel: Kernel) -> list[Timing]:
    """Time a kernel that holds oneDNN to other instructions; nothing where that fails."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "timings.json"
        given = [json.dumps(asdict(config)), dtype, kernel.name, str(answer)]
        subprocess.run(
            module_command("tuillm.model.measure_kernels", *given),
            env=module_environment() | {"ONEDNN_MAX_CPU_ISA": kernel.isa},
            stdin=subprocess.DEVNULL,
            check=False,
        )
        with suppress(OSError, ValueError, TypeError):
            return [Timing(**row) for row in json.loads(answer.read_text(encoding="utf-8"))]
    return []


def _wait_for_replies() -> None:
    """Wait until nobody waits for a reply: it would be slower, and so would what is measured."""
    end = time.monotonic() + _PATIENCE
    while replying() and time.monotonic() < end:
        time.sleep(0.5)


def main() -> None:
    """Compile the native library if it is missing, measure, remember; or one kernel for a file."""
    config, dtype = GPTConfig(**json.loads(sys.argv[1])), sys.argv[2]
    threads = thread_counts(torch.get_num_threads())
    if len(sys.argv) > 3:
        timings = measure_kernels(config, dtype, threads)
        rows = [asdict(each) for each in timings if each.kernel == sys.argv[3]]
        Path(sys.argv[4]).write_text(json.dumps(rows), encoding="utf-8")
        return
    compile_once(wait=120.0)
    _wait_for_replies()
    remember(config, dtype, measure_kernels(config, dtype, threads))


if __name__ == "__main__":
    main()
