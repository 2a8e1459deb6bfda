"""Two `tiny` runs at once: steps/s of each, beside one alone. They take turns at being alone.

python tests/benchmarks/two_trainings.py [--rounds N] [--seconds S]
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time

os.environ["TUILLM_HOME"] = tempfile.mkdtemp(prefix="tuillm-two-")

from tuillm.config import build_train
from tuillm.store.jsonl import read_rows
from tuillm.store.paths import demo_book
from tuillm.store.workers.launch import start_run


def wait(run, state):
    """Until a run says so."""
    while (status := run.status()).state != state:
        assert status.state not in ("failed", "lost"), status
        time.sleep(0.02)


def speeds(runs, seconds):
    """Steps a second of each run, all of them at once."""
    for run in runs:
        run.request("resume")
        wait(run, "running")
    begin, steps = time.perf_counter(), [len(read_rows(run.metrics)[0]) for run in runs]
    time.sleep(seconds)
    passed = time.perf_counter() - begin
    taken = [
        len(read_rows(run.metrics)[0]) - before for run, before in zip(runs, steps, strict=True)
    ]
    for run in runs:
        run.request("pause")
        wait(run, "paused")
    return [count / passed for count in taken]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    settings = dict(
        corpus=str(demo_book()), preset="tiny", minutes=10_000, max_steps=None, sample_tokens=0
    )
    runs = [start_run(build_train(settings | {"name": name})) for name in ("one", "two")]
    try:
        for run in runs:
            wait(run, "running")
            run.request("pause")
            wait(run, "paused")
        alone, shares = [], []
        for number in range(options.rounds):
            alone += speeds([runs[number % 2]], options.seconds)
            shares.append(speeds(runs, options.seconds))
        one = statistics.median(alone)
        print(f"alone {one:.2f} steps/s")
        for pair in shares:
            share = sum(pair) / one
            print(f"together {pair[0]:.2f} and {pair[1]:.2f} steps/s, {share:.2f} of one alone")
    finally:
        for run in runs:
            run.request("stop")
            wait(run, "stopped")
        shutil.rmtree(os.environ["TUILLM_HOME"])


if __name__ == "__main__":
    main()
