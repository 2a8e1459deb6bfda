"""Which block a new model learns most with in equal time: GPT-2's, Llama's or Qwen3's.

    python tests/benchmarks/arch_choice.py [tinyshakespeare.txt] [--archs gpt2,llama,qwen3]
        [--seeds 3] [--texts 80-kb,1-mb,10-mb]

First it measures what a step of each takes, interleaved; then each learns for as many steps as take
as long as GPT-2's. Runs have one thread each, as many at once as there are cores. Bits per byte are
those of the whole held-out text at the end. 10 MB are the source of Python's library.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from little_text import DATA, texts  # type: ignore[import-not-found]  # it lies beside this

# of each text the preset, and the steps of GPT-2
RUNS = {"80-kb": ("tiny", 700), "1-mb": ("tiny", 1000), "10-mb": ("small", 600)}
# steps that are timed, behind some that warm up
_TRIED, _WARM_UP = 30, 4


def learn(text: str, preset: str, arch: str, steps: int, seed: int) -> None:
    """Train one model in this process, and print its bits per byte."""
    from tuillm import Trainer
    from tuillm.training import eval_schedule

    vars(eval_schedule)["eval_token_count"] = lambda config, held_out, *rest: held_out
    trainer = Trainer(
        text, preset=preset, arch=arch, max_steps=steps, seed=seed, name=f"{arch}-{seed}",
        eval_interval=steps, patience=0, sample_tokens=0, compile="off",
    )  # fmt: skip
    bits = 0.0
    for metrics in trainer.steps():
        bits = metrics.row().get("bits_per_byte", bits)
    print(json.dumps(bits))


def time_steps(text: str, preset: str, *archs: str) -> None:
    """Print the seconds of a step of each architecture, interleaved in this process: medians."""
    from tuillm import Trainer

    running = [
        Trainer(
            text, preset=preset, arch=arch, max_steps=1000, name=arch, eval_interval=1000,
            sample_tokens=0, compile="off",
        ).steps()
        for arch in archs
    ]  # fmt: skip
    times: list[list[float]] = [[] for _ in archs]
    for _ in range(_TRIED):
        for steps, taken in zip(running, times, strict=True):
            begun = time.process_time()
            next(steps)
            taken.append(time.process_time() - begun)
    print(json.dumps([median(taken[_WARM_UP:]) for taken in times]))


def run(way: str, folder: str, text: str, *arguments: object) -> Any:
    """Do one of these two in a process of its own with one thread; return what it prints."""
    preset, file = RUNS[text][0], Path(folder, f"{text}.txt")
    command = [sys.executable, __file__, way, str(file), preset, *map(str, arguments)]
    with tempfile.TemporaryDirectory() as home:
        surroundings = os.environ | {"TUILLM_HOME": home, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=surroundings)
    return json.loads(done.stdout.splitlines()[-1])


def compare(
    folder: str, text: str, archs: list[str], seeds: range, pool: ThreadPoolExecutor
) -> None:
    """Print a line for each architecture on one text."""
    seconds = run("--time", folder, text, *archs)
    running = []
    for arch, taken in zip(archs, seconds, strict=True):
        ratio = taken / seconds[0]
        steps = round(RUNS[text][1] / ratio)
        jobs = [pool.submit(run, "--one", folder, text, arch, steps, seed) for seed in seeds]
        running.append((arch, ratio, steps, jobs))
    for arch, ratio, steps, jobs in running:
        bits = [job.result() for job in jobs]
        said = ", ".join(f"{value:.3f}" for value in bits)
        print(
            f"{text}, {RUNS[text][0]}, {arch}: a step takes {ratio:.2f}, {steps} steps: {said}; "
            f"median {median(bits):.3f} bits/byte",
            flush=True,
        )


def main() -> None:
    """Compare the architectures on each text."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="?", type=Path, default=DATA)
    parser.add_argument("--archs", default="gpt2,llama,qwen3")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--texts", default=",".join(RUNS))
    given = parser.parse_args()
    seeds = range(1, given.seeds + 1)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        texts(given.data, Path(folder))
        short = Path(folder, "100-kb.txt").read_bytes()[:80_000]
        Path(folder, "80-kb.txt").write_bytes(short)
        for text in given.texts.split(","):
            compare(folder, text, given.archs.split(","), seeds, pool)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        text, preset, arch, steps, seed = sys.argv[2:7]
        learn(text, preset, arch, int(steps), int(seed))
    elif sys.argv[1:2] == ["--time"]:
        time_steps(*sys.argv[2:])
    else:
        main()
