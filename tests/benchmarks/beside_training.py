"""A chat while a training run goes on: tokens/s of three models, each alone and beside `tiny`.

The run waits between two steps while a reply is generated, and has the lowest priority. Rounds are
interleaved: alone (the run is paused), beside it, and again. Random weights of the tiny preset's
shape (float32) and of GPT-2's (bfloat16, int8). `training` is the speed of the run while nobody
chats, just before and just after, beside its speed without any chat.
    python tests/benchmarks/beside_training.py [--rounds N] [--seconds S] [--only NAME]
        [--priority low|normal]
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
    """A paused `tiny` run without end; goes on in a `with` block."""

    def __init__(self, priority):
        settings = dict(
            corpus=str(demo_book()),
            preset="tiny",
            minutes=10_000,
            max_steps=None,
            sample_tokens=0,
            priority=priority,
        )
        self._run = start_run(build_train(settings))
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

    def speed(self, seconds):
        """Steps a second while nobody chats."""
        begin, steps = time.perf_counter(), self.steps()
        while self.steps() < steps + 3 or time.perf_counter() < begin + seconds:
            time.sleep(0.01)
        return (self.steps() - steps) / (time.perf_counter() - begin)

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
    config = SamplingConfig(seed=1, max_new_tokens=10_000, lookup="off")
    stream = sampler.stream([5], config)
    next(stream)
    count, begin = 0, time.perf_counter()
    while (passed := time.perf_counter() - begin) < seconds:
        next(stream)
        count += 1
    stream.close()
    return count / passed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--priority", default="low")
    options = parser.parse_args()
    threads.adapt()
    run = Training(options.priority)
    try:
        with run.going():
            quiet = run.speed(options.seconds)
        print(f"{torch.get_num_threads()} threads; tiny alone: {quiet:.1f} steps/s", flush=True)
        for name, (shape, dtype) in MODELS.items():
            if options.only not in name:
                continue
            sampler = sampler_of(shape, dtype)
            pairs, between = [], []
            for _ in range(options.rounds):
                alone = speed(sampler, options.seconds)
                with run.going():
                    between.append(run.speed(options.seconds) / quiet)
                    pairs.append((alone, speed(sampler, options.seconds)))
                    between.append(run.speed(options.seconds) / quiet)
            alone, beside = (statistics.median(column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(after / before for before, after in pairs)
            print(
                f"{name:<11} alone {alone:8.1f} tokens/s, beside tiny {beside:8.1f}, "
                f"ratio {ratio:.2f}; training between replies {statistics.median(between):.2f}",
                flush=True,
            )
    finally:
        run.stop()
        shutil.rmtree(os.environ["TUILLM_HOME"])


if __name__ == "__main__":
    main()
