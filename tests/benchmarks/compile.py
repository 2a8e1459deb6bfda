"""Does --compile pay on this machine: the step of three shapes, eager and compiled, interleaved.

For each shape: the seconds that compiling took in an empty cache, the medians of both kinds of
steps (forward, backward and the optimizer), how many times as fast compiled ones are, and after
how many minutes of training the compilation has paid for itself.
    python tests/benchmarks/compile.py [SHAPE...]
"""

import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

os.environ["TUILLM_HOME"] = HOME = tempfile.mkdtemp(prefix="tuillm-compile-")
os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(Path(HOME) / "inductor")

import torch

from tuillm import Trainer
from tuillm.store.paths import demo_book

SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {"preset": "tiny"},
    "small": {"preset": "small"},
    # GPT-2's blocks and as many tokens as a CPU learns in a few seconds
    "gpt2": {"preset": "gpt2", "tokenizer": "bpe", "batch_size": 2, "grad_accum_steps": 1}
    | {"block_size": 256},
}
ROUNDS, SECONDS = 15, 60.0


def processor() -> str:
    """The name of the processor, or of the GPU."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {torch.get_num_threads()} threads"


def step(trainer: Trainer, compiled: bool) -> float:
    """Take a step; return its seconds."""
    trainer.setup.gradients.blocks.on = compiled
    begin = time.perf_counter()
    trainer.take_step(1.0)
    if trainer.setup.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def measure(name: str) -> str:
    """Return the row of a shape."""
    trainer = Trainer(demo_book(), **SHAPES[name], max_steps=10_000, compile="off")
    trainer.prepare()
    trainer.setup.learner.train()
    for _ in range(2):
        step(trainer, False)
    first = step(trainer, True)
    blocks = trainer.setup.gradients.blocks
    if blocks.failure:
        return f"| {name} | {blocks.failure} |"
    step(trainer, True)
    times: dict[bool, list[float]] = {False: [], True: []}
    begin = time.perf_counter()
    while len(times[True]) < ROUNDS and time.perf_counter() - begin < SECONDS:
        for compiled in (False, True):
            times[compiled].append(step(trainer, compiled))
    eager, fast = median(times[False]), median(times[True])
    saved = 1 - fast / eager
    repaid = f"{(first - fast) / saved / 60:.1f} min" if saved > 0 else "never"
    dtype = str(trainer.setup.dtype).removeprefix("torch.")
    return (
        f"| {name} | {trainer.model.parameter_count / 1e6:.1f}M | {dtype} | {eager * 1e3:.0f} ms | "
        f"{fast * 1e3:.0f} ms | {eager / fast:.2f} | {first - fast:.0f} s | {repaid} |"
    )


def main(names: list[str]) -> None:
    print(f"{processor()}, PyTorch {torch.__version__}\n")
    print("| shape | parameters | dtype | eager | compiled | times as fast | compiling | repaid |")
    print("|---|---|---|---|---|---|---|---|")
    for name in names or SHAPES:
        print(measure(name), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
