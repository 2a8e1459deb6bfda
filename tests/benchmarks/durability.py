"""What checkpoints, metrics and guards cost: a run with its folder beside the bare trainer.

    python tests/benchmarks/durability.py [--preset tiny] [--seconds 20] [--rounds 5]
        [--set batch_size=1]

Both take turns in one process on the same text; the time of a step is that of the whole run, saving
included, divided by its steps.
"""

import argparse
import os
import statistics
import tempfile
import time

from tuillm.store.paths import demo_book


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    typed = parser.parse_args()
    settings = dict(each.split("=", 1) for each in typed.set)
    os.environ["TUILLM_HOME"] = tempfile.mkdtemp()
    from tuillm import Trainer
    from tuillm.store.process_id import this_process
    from tuillm.store.run_folder import create_run
    from tuillm.training.hardware import tune_process
    from tuillm.training.runner import Runner

    tune_process()

    def trainer():
        made = Trainer(
            corpus=str(demo_book()),
            name="durable",
            preset=typed.preset,
            minutes=typed.seconds / 60,
            sample_tokens=0,
            eval_interval=1_000_000,
            **settings,
        )
        made.prepare()
        made.measure_before()
        return made

    def bare():
        made, begun = trainer(), time.perf_counter()
        steps = sum(1 for _ in made.steps())
        return (time.perf_counter() - begun) / steps

    def kept():
        made = trainer()
        run = create_run(made.config, this_process())
        ends = []
        with run.take():
            runner = Runner(
                made, run, replace=True, tell=lambda _: ends.append(time.perf_counter())
            )
            begun = time.perf_counter()
            runner.run()
        return (ends[-1] - begun) / len(ends)

    found = [(bare(), kept()) for _ in range(typed.rounds)]
    for one, other in found:
        print(
            f"bare {1000 * one:.2f} ms a step, kept {1000 * other:.2f} ms, {other / one - 1:+.1%}"
        )
    print(f"median {statistics.median(other / one for one, other in found) - 1:+.1%}")


if __name__ == "__main__":
    main()
