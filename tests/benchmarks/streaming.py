"""What showing a reply costs: bare `Sampler.stream` against the same through the chat's stream.

Random models of the tiny preset's shape and of GPT-2's, in a pseudo-terminal that another process
reads. With the stream go the status line and the keys, as in the chat. Replies are interleaved:
bare, through the stream, bare, ... `by difference` is the median of the ratios of neighbours, and
the ratio of the fastest replies, which a busy machine disturbs least; `inside` is the median time
spent in the stream and the keys themselves.
    python tests/benchmarks/streaming.py [ROUNDS]
"""

import os
import pty
import statistics
import sys
import time
from typing import Any, cast

import torch
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.styles import Style

import tuillm  # noqa: F401  (before torch's threads start)
from tuillm.chat.terminal.reply_keys import ReplyKeys
from tuillm.chat.terminal.reply_stream import ReplyStream
from tuillm.chat.terminal.status_line import Facts, Pace, StatusLine, fit
from tuillm.config import SamplingConfig
from tuillm.generation import Sampler
from tuillm.model import GPT, GPTConfig, pack
from tuillm.store.paths import demo_book
from tuillm.text import Tokenizer, make_tokenizer
from tuillm.theme import load_theme

SHAPES: dict[str, Any] = {
    "tiny": (dict(n_layer=4, n_head=2, n_embd=128, block_size=64, vocab_size=1024), 60, 5),
    "gpt2": (dict(n_layer=12, n_head=12, n_embd=768, block_size=1024, vocab_size=50_257), 40, 1),
}


class Words:
    """A tokenizer of any size: ids beyond the book's vocabulary are written like those within."""

    kind = "bpe"

    def __init__(self, size):
        self._known = make_tokenizer("bpe", [demo_book().read_text(encoding="utf-8")], 1024)
        self.n_vocab, self.eot = size, -1

    def token_bytes(self, token):
        return self._known.token_bytes(token % (self._known.n_vocab - 1))

    def __getattr__(self, name):
        return getattr(self._known, name)


def open_terminal():
    """Return the files of a pseudo-terminal whose screen another process reads."""
    master, slave = pty.openpty()
    if os.fork() == 0:
        os.close(slave)
        try:
            while os.read(master, 65_536):
                pass
        except OSError:
            pass
        os._exit(0)
    return os.fdopen(slave, "r"), os.fdopen(os.dup(slave), "w")


def bare(sampler, config):
    """Seconds a token of decoding alone."""
    begin = time.perf_counter()
    count = sum(1 for _ in sampler.stream([5], config))
    return (time.perf_counter() - begin) / count


def shown(sampler, config, keyboard, output):
    """Seconds a token with everything the chat does, and how many of them in the stream."""
    pace, style, inside = Pace(), Style.from_dict(load_theme().prompt_toolkit()), 0.0

    def line(columns):
        return fit(Facts("random", 0.8, 200, pace.first, pace.per_second, pace.tokens, 64), columns)

    depth = ColorDepth.DEPTH_24_BIT
    with (
        ReplyStream(output, style, depth, StatusLine(output, style, depth, line)) as stream,
        ReplyKeys(keyboard, config, stream.aside) as keys,
    ):
        begin = time.perf_counter()
        for token in sampler.stream([5], config):
            came = time.perf_counter()
            pace.token()
            stream.write(token.text)
            for _ in keys.events(stream.refresh):
                pass
            inside += time.perf_counter() - came
        seconds = time.perf_counter() - begin
    return seconds / pace.tokens, inside / pace.tokens


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    screen, paper = open_terminal()
    keyboard = Vt100Input(screen)
    output = Vt100_Output.from_pty(paper, "xterm-256color")
    for name, (shape, tokens, times) in SHAPES.items():
        torch.manual_seed(0)
        model = GPT(GPTConfig(bias=True, **shape)).eval()
        words = cast(Tokenizer, Words(shape["vocab_size"]))
        sampler = Sampler.of(pack(model, torch.float32), words)
        config = SamplingConfig(seed=1, max_new_tokens=tokens)
        bare(sampler, config)
        pairs = [
            (bare(sampler, config), *shown(sampler, config, keyboard, output))
            for _ in range(rounds * times)
        ]
        alone, whole, inside = (statistics.median(column) for column in zip(*pairs, strict=True))
        more = statistics.median(pair[1] / pair[0] for pair in pairs) - 1
        best, best_shown = (min(column) for column in list(zip(*pairs, strict=True))[:2])
        print(
            f"{name}: bare {alone * 1e6:.0f} µs a token, shown {whole * 1e6:.0f} µs; "
            f"by difference {more:+.1%}, of the fastest {best_shown / best - 1:+.1%}; "
            f"inside {inside * 1e6:.1f} µs = {inside / alone:.1%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
