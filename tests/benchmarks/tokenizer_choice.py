"""Held-out bits per byte under each tokenizer, in the time that `tiny` takes, beside `auto`.

    python tests/benchmarks/tokenizer_choice.py TEXT... [--minutes 1] [--rounds 1] [--steps]

Interleaved: every tokenizer once, then again. With --steps the runs are as long in steps as they
would be on the clock of a quiet machine, by the time of a step that is measured first: use that
where the machine is busy. GPT-2's vocabulary takes part where tiktoken has it in its cache.
"""

import argparse
import os
import statistics
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

KINDS: dict[str, Any] = {
    "auto": {},
    "char": {"tokenizer": "char"},
    "bpe 512": {"tokenizer": "bpe", "vocab_size": 512},
    "bpe 1024": {"tokenizer": "bpe", "vocab_size": 1024},
    "bpe 4096": {"tokenizer": "bpe", "vocab_size": 4096},
    "gpt2": {"tokenizer": "gpt2"},
}
MEASURED = 150_000


def trainer(text, kind, **settings):
    from tuillm import Trainer

    common: dict[str, Any] = dict(preset="tiny", sample_tokens=0, eval_interval=10**9)
    return Trainer(corpus=str(text), **common, **KINDS[kind], **settings)


def step_seconds(text, kind):
    """The time of a step, the least of some: others are those of a busy machine."""
    steps = trainer(text, kind, max_steps=1000, minutes=None).steps()
    next(steps)
    found = []
    begin = time.perf_counter()
    for _ in islice(steps, 25):
        found.append(time.perf_counter() - begin)
        begin = time.perf_counter()
    return min(found)


def learned(text, kind, **length):
    """Bits per byte of the held-out tenth after a run, and its tokenizer."""
    from tuillm.training.evaluate import evaluate

    run = trainer(text, kind, **length)
    for _ in run.steps():
        pass
    run.model.eval()
    tokens = run.tokens
    found = evaluate(
        run.model,
        tokens.val,
        tokens.val_bytes,
        run.tokenizer,
        most=MEASURED,
        left_out=tokens.left_out_bytes,
    )
    return found.bits_per_byte, f"{run.tokenizer.kind} {run.tokenizer.n_vocab:,}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--steps", action="store_true")
    typed = parser.parse_args()
    os.environ["TUILLM_HOME"] = tempfile.mkdtemp()
    from tuillm.text.new_tokenizer import gpt2_is_cached

    kinds = [kind for kind in KINDS if kind != "gpt2" or gpt2_is_cached()]
    for text in typed.texts:
        lengths = {kind: dict(minutes=typed.minutes) for kind in kinds}
        if typed.steps:
            pace = {kind: step_seconds(text, kind) for kind in kinds}
            lengths = {
                kind: dict(max_steps=int(60 * typed.minutes / pace[kind]), minutes=None)
                for kind in kinds
            }
        found = {kind: [] for kind in kinds}
        names = {}
        for _ in range(typed.rounds):
            for kind in kinds:
                loss, names[kind] = learned(text, kind, **lengths[kind])
                found[kind].append(loss)
        print(f"{text.name}, {text.stat().st_size / 1e6:.1f} MB")
        for kind, losses in sorted(found.items(), key=lambda each: statistics.median(each[1])):
            print(f"  {kind:<9} {names[kind]:<12} {statistics.median(losses):.4f} bits/byte")


if __name__ == "__main__":
    main()
