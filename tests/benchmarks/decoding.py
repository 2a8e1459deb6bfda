"""What the KV cache is worth at GPT-2's shape with random weights: tuillm with and without it.

    python tests/benchmarks/decoding.py [ROUNDS] [SHAPE]

Against transformers, and against the memory's limit: `tuillm bench`.
"""

import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from tuillm.bench.bench_model import GPT2_SHAPE, PROMPT, prompt_of, random_folder
from tuillm.generation.context import Context
from tuillm.model import pack, read_model

SHAPES = {"gpt2": (12, 12, 768), "gpt2-medium": (24, 16, 1024), "gpt2-xl": (48, 25, 1600)}


def without_cache(model, prompt, tokens, last):
    """Seconds for all tokens when each one is computed from the whole text.

    With `last` the head runs on the last position only, else on all, as `model(idx)` does.
    """
    ids = list(prompt)
    with torch.inference_mode():
        begin = time.perf_counter()
        for _ in range(tokens):
            ids.append(int(model(torch.tensor([ids]), last=last)[0, -1].argmax()))
        return time.perf_counter() - begin


def with_cache(model, prompt, tokens):
    """Seconds for all tokens with the cache, prefill included."""
    with torch.inference_mode():
        begin = time.perf_counter()
        context = Context(model)
        logits, _ = context.read(prompt)
        for _ in range(tokens - 1):
            logits, _ = context.advance([int(logits.argmax())])
        int(logits.argmax())
        return time.perf_counter() - begin


def main():
    """Compare tuillm with and without its cache."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    layers, heads, width = SHAPES[sys.argv[2] if len(sys.argv) > 2 else "gpt2"]
    shape = replace(GPT2_SHAPE, n_layer=layers, n_head=heads, n_embd=width)
    prompt = prompt_of(PROMPT, shape.vocab_size)
    with tempfile.TemporaryDirectory() as temporary:
        folder = random_folder(Path(temporary), shape)
        for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
            mine, plain = pack(read_model(folder), dtype), read_model(folder).to(dtype).eval()
            for words, model, last in (
                ("plain model(idx), no cache", plain, False),
                ("packed model(idx), no cache", mine, False),
                ("packed, last position only, no cache", mine, True),
            ):
                pairs = [
                    (with_cache(mine, prompt, 100), without_cache(model, prompt, 100, last))
                    for _ in range(rounds)
                ]
                a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
                print(
                    f"{name}: 100 tokens with cache {a:.2f} s, {words} {b:.2f} s, "
                    f"ratio {statistics.median(p[1] / p[0] for p in pairs):.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
