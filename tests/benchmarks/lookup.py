"""What lookup decoding is worth: with a book known by heart, with unrelated text, at GPT-2's shape.

    python tests/benchmarks/lookup.py [MODEL] [DRAFT]

MODEL is a model of the registry that knows its text by heart, with the text in the cache and the
file it was trained on readable; without one the preset `heart` learns 40 KB of tinyshakespeare,
which takes minutes. DRAFT is a model that drafts for it. With and without drafts take turns, first
one and then the other; the figures are medians of the ratios of pairs, plain decoding being 1.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from tuillm.bench.bench_model import random_folder
from tuillm.config import SamplingConfig
from tuillm.generation import Sampler
from tuillm.generation.context import Context
from tuillm.generation.draft_tokens import ConversationLookup
from tuillm.generation.sampling import sample
from tuillm.generation.speculative import Speculation
from tuillm.generation.thread_count import adapt
from tuillm.model import pack, read_model
from tuillm.store.processor import processor_name
from tuillm.text.training_text import corpus_of

TEXT = Path(__file__).parents[3] / "shared" / "data" / "tinyshakespeare.txt"
UNRELATED = ("The tachyon relay 7:", "import numpy as", "Zwei Drittel der", "Receipt no. 4471\n")
TOKENS, PROMPTS = 200, 8
MODES = ("off", "auto")


def by_heart(folder):
    """Train a model that knows 40 KB by heart; return its name."""
    from tuillm import Trainer

    text = folder / "book.txt"
    text.write_text(TEXT.read_text(encoding="utf-8")[:40_000], encoding="utf-8")
    return Trainer(corpus=str(text), name="book", preset="heart").run().path


def pace(sampler, prompt, lookup, settings):
    """Tokens a second of one reply, from its first token on."""
    times = [
        time.perf_counter()
        for _ in sampler.stream(prompt, lookup=lookup, max_new_tokens=TOKENS, **settings)
    ]
    return (len(times) - 1) / (times[-1] - times[0])


def compare(label, sampler, prompts, settings):
    """Print how much faster replies are with lookup, and what of the drafts was accepted."""
    before = sampler.speculation.drafted, sampler.speculation.accepted
    ratios, plain = [], []
    for number, prompt in enumerate(prompts):
        speed = {
            lookup: pace(sampler, prompt, lookup, settings | {"seed": number})
            for lookup in (MODES if number % 2 else MODES[::-1])
        }
        ratios.append(speed["auto"] / speed["off"])
        plain.append(speed["off"])
    drafted = sampler.speculation.drafted - before[0]
    accepted = sampler.speculation.accepted - before[1]
    print(
        f"{label}: {statistics.median(ratios):.2f} x plain decoding "
        f"({min(ratios):.2f} to {max(ratios):.2f}; plain {statistics.median(plain):.0f} tokens/s), "
        f"{accepted:,} of {drafted:,} drafted tokens accepted",
        flush=True,
    )


def heart(name, draft):
    """A model and its own book, at several temperatures, and text that is not in the book."""
    sampler = Sampler(name, draft=draft)
    store = corpus_of(sampler.entry).corpus.store
    text = store.text(0, 1 << 20)
    step = len(text) // (2 * PROMPTS)
    prompts = [text[at : at + 80] for at in range(step, len(text) - 2000, step)][: 2 * PROMPTS]
    print(f"{sampler.model.config.parameter_count:,} parameters, {sampler.precision}")
    compare("its book, greedy", sampler, prompts, {"temperature": 0})
    compare("its book, temperature 0.8", sampler, prompts, {})
    hot = {"temperature": 3.0, "top_k": 0}
    compare("unrelated prompts, temperature 3", Sampler(name, draft=draft), UNRELATED * 4, hot)


def gpt2_costs(model, dtype):
    """Print what a step of T tokens costs beside one of a single token."""
    context, seconds = Context(model), {}
    context.read(list(range(200)))
    for _ in range(7):
        for size in (1, 2, 4, 8, 16):
            context.truncate(200)
            begun = time.perf_counter()
            context.advance([5], draft=range(6, 5 + size))
            seconds.setdefault(size, []).append(time.perf_counter() - begun)
    one = statistics.median(seconds[1])
    costs = ", ".join(f"{size}: {statistics.median(s) / one:.2f}" for size, s in seconds.items())
    print(f"GPT-2's shape, {dtype}: a step is {one * 1000:.1f} ms; of T tokens {costs}", flush=True)


def gpt2_unrelated(model, dtype, rounds=8, count=60):
    """Print what lookup costs where each token is drawn at random, at GPT-2's shape.

    Twice in a reply three tokens of the prompt come again, and what follows them is another one.
    """
    context = Context(model)
    speculation = Speculation(context, [ConversationLookup()], exact=dtype == "float32")
    prompt, no_ids = list(range(200, 264)), torch.empty(1, 0, dtype=torch.int64)
    again = {place + step: prompt[place + step] for place in (15, 40) for step in range(3)}
    ratios = []
    for number in range(rounds):
        seconds = {}
        for lookup in MODES if number % 2 else MODES[::-1]:
            config = SamplingConfig(temperature=1.0, lookup=lookup)
            generator = [torch.Generator().manual_seed(number)]
            logits, _ = context.read(prompt)
            speculation.begin()
            begun = time.perf_counter()
            for index in range(count):
                token = int(sample(logits, config, no_ids, generator))
                logits, _ = speculation.advance(again.get(index, token), 0, config)
            seconds[lookup] = time.perf_counter() - begun
            context.drop_ahead()
        ratios.append(seconds["off"] / seconds["auto"])
    print(
        f"GPT-2's shape, {dtype}, unrelated text: {statistics.median(ratios):.3f} x plain decoding "
        f"({min(ratios):.2f} to {max(ratios):.2f}), {speculation.words}",
        flush=True,
    )


def main():
    """Print the figures of a model with its book, and of GPT-2's shape with random weights."""
    adapt()
    print(f"{processor_name()}, {torch.get_num_threads()} threads")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if len(sys.argv) < 2:
            os.environ["TUILLM_HOME"] = str(folder / "home")
        name, draft, *_ = [*sys.argv[1:], None, None]
        heart(name or by_heart(folder), draft)
        (shape := folder / "gpt2").mkdir()
        random_folder(shape)
        for dtype in ("float32", "bfloat16"):
            model = pack(read_model(shape), getattr(torch, dtype))
            with torch.inference_mode():
                gpt2_costs(model, dtype)
                gpt2_unrelated(model, dtype)


if __name__ == "__main__":
    main()
