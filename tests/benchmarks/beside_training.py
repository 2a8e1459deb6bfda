"""A chat while a training run goes on: tokens/s of three models, each alone and beside `tiny`.

With the policy workers have the lowest priority and replies choose their threads by size and load;
`before` is without: workers at the priority of the chat, replies on all threads. Rounds are
interleaved: alone before, beside before, alone after, beside after, and again; the training is
paused while a model is alone. Random weights of the tiny preset's shape (fp32) and of GPT-2's
(bfloat16, int8). The ratio is to `alone before`; `training` is the run's own speed, to the median
of what it does while nobody chats.
    python tests/benchmarks/beside_training.py [--rounds N] [--seconds S] [--only NAME]
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from contextlib import contextmanager
from typing import Any, cast

os.environ["TUILLM_HOME"] = tempfile.mkdtemp(prefix="tuillm-beside-")

import torch

import tuillm  # noqa: F401  (before torch's threads start)
from tuillm.config import SamplingConfig, build_train
from tuillm.generation import Sampler
from tuillm.generation import thread_count as threads
from tuillm.model import GPT, GPTConfig, pack
from tuillm.store.jsonl import read_rows
from tuillm.store.paths import demo_book
from tuillm.store.workers.launch import start_run
from tuillm.text import Tokenizer, make_tokenizer

GPT2 = dict(n_layer=12, n_head=12, n_embd=768, block_size=1024, vocab_size=50_257)
MODELS: dict[str, Any] = {
    "1M fp32": (dict(n_layer=4, n_head=2, n_embd=128, block_size=64, vocab_size=1024), "float32"),
    "GPT-2 bf16": (GPT2, "bfloat16"),
    "GPT-2 int8": (GPT2, "int8"),
}
WAYS = [(policy, beside) for policy in (False, True) for beside in (False, True)]


class Words:
    """A tokenizer of any size: ids beyond the book's vocabulary are written like those within."""

    kind = "bpe"

    def __init__(self, size):
        self._known = make_tokenizer("bpe", [demo_book().read_text(encoding="utf-8")], 1024)
        self.n_vocab, self.eot, self.ends = size, -1, ()  # no reply ends by itself

    def unused(self, rows):
        """None: every row of the model may be drawn."""
        return []

    def token_bytes(self, token):
        return self._known.token_bytes(token % (self._known.n_vocab - 1))

    def __getattr__(self, name):
        return getattr(self._known, name)


def sampler_of(shape, dtype):
    model = GPT(GPTConfig(bias=True, **shape)).eval()
    model.init_weights("random", torch.Generator().manual_seed(0))
    words = cast(Tokenizer, Words(shape["vocab_size"]))
    return Sampler.of(pack(model, getattr(torch, dtype)), words)


class Training:
    """A paused `tiny` run without end at some priority; goes on in a `with` block."""

    def __init__(self, niceness):
        os.environ["TUILLM_NICE"] = str(niceness)
        config = build_train(
            dict(
                corpus=str(demo_book()),
                preset="tiny",
                minutes=10_000,
                name=f"nice{niceness}",
                sample_tokens=0,
            )
        )
        self._run = start_run(config)
        self._wait("running")
        self._run.request("pause")
        self._wait("paused")

    @contextmanager
    def going(self):
        self._run.request("resume")
        self._wait("running")
        yield
        self._run.request("pause")
        self._wait("paused")

    def steps(self):
        return len(read_rows(self._run.metrics)[0])

    def stop(self):
        self._run.request("stop")
        self._wait("stopped")

    def _wait(self, state):
        while (status := self._run.status()).state != state:
            assert status.state not in ("failed", "lost"), status
            time.sleep(0.02)


def speed(sampler, seconds):
    """Tokens a second of replies drawn for about so many seconds."""
    config = SamplingConfig(seed=1, max_new_tokens=10_000)
    stream = sampler.stream([5], config)
    for _ in range(3):
        next(stream)
    count, begin = 0, time.perf_counter()
    while (passed := time.perf_counter() - begin) < seconds:
        next(stream)
        count += 1
    return count / passed


def measure(sampler, policy, training, seconds, most):
    """Tokens/s of the chat, and steps/s of the training beside it (0 alone)."""
    threads._most = most if policy else None
    torch.set_num_threads(most)
    if training is None:
        return speed(sampler, seconds), 0.0
    with training.going():
        begin, steps = time.perf_counter(), training.steps()
        tokens = speed(sampler, seconds)
        return tokens, (training.steps() - steps) / (time.perf_counter() - begin)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    most = torch.get_num_threads()
    runs = {False: Training(0), True: Training(19)}
    try:
        quiet = {}
        for policy, run in runs.items():
            with run.going():
                begin, steps = time.perf_counter(), run.steps()
                while run.steps() < steps + 3 or time.perf_counter() < begin + options.seconds:
                    time.sleep(0.01)
                quiet[policy] = (run.steps() - steps) / (time.perf_counter() - begin)
        print(f"{most} threads; tiny alone: {quiet[False]:.1f} steps/s", flush=True)
        for name, (shape, dtype) in MODELS.items():
            if options.only not in name:
                continue
            sampler = sampler_of(shape, dtype)
            found = {way: [] for way in WAYS}
            for _ in range(options.rounds):
                for policy, beside in WAYS:
                    run = runs[policy] if beside else None
                    found[policy, beside].append(
                        measure(sampler, policy, run, options.seconds, most)
                    )
            alone = statistics.median(tokens for tokens, _ in found[False, False])
            for (policy, beside), pairs in found.items():
                tokens, steps = (statistics.median(column) for column in zip(*pairs, strict=True))
                line = (
                    f"{name:<11} {'after ' if policy else 'before'} "
                    f"{'beside tiny' if beside else 'alone      '} {tokens:8.1f} tokens/s "
                    f"{tokens / alone:5.2f}"
                )
                if beside:
                    line += f"   training {steps:.1f} steps/s {steps / quiet[policy]:5.2f}"
                print(line, flush=True)
    finally:
        for run in runs.values():
            run.stop()
        shutil.rmtree(os.environ["TUILLM_HOME"])


if __name__ == "__main__":
    main()
