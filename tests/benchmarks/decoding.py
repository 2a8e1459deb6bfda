"""Decoding speed at GPT-2's shape with random weights: tuillm against transformers `generate`.

Both decode greedily, one token at a time with a KV cache, from the same 16-token prompt.
    python tests/benchmarks/decoding.py [ROUNDS] [SHAPE]
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from tuillm.generation.context import Context
from tuillm.model import pack, read_model

SHAPES = {"gpt2": (12, 12, 768), "gpt2-medium": (24, 16, 1024), "gpt2-xl": (48, 25, 1600)}
TOKENS = 64


def make_folder(shape, folder):
    """Write a GPT-2 of random weights in the hub's layout."""
    layers, heads, width = SHAPES[shape]
    torch.manual_seed(0)
    config = GPT2Config(n_layer=layers, n_head=heads, n_embd=width)
    GPT2LMHeadModel(config).save_pretrained(folder)


def ours(model, prompt, tokens):
    """Seconds a token with the cache, prefill left out."""
    with torch.inference_mode():
        context = Context(model)
        logits, _ = context.read(prompt)
        begin = time.perf_counter()
        for _ in range(tokens):
            logits, _ = context.advance([int(logits.argmax())])
        return (time.perf_counter() - begin) / tokens


def theirs(model, prompt, tokens):
    """Seconds a token of transformers' generate, prefill left out by difference."""
    idx = torch.tensor([prompt])
    settings = dict(do_sample=False, pad_token_id=0, eos_token_id=None)

    def run(count):
        begin = time.perf_counter()
        model.generate(idx, max_new_tokens=count, min_new_tokens=count, **settings)
        return time.perf_counter() - begin

    return (run(tokens + 1) - run(1)) / tokens


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
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    shape = sys.argv[2] if len(sys.argv) > 2 else "gpt2"
    prompt = list(range(1000, 1016))
    with tempfile.TemporaryDirectory() as place:
        make_folder(shape, place)
        for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
            mine = pack(read_model(Path(place)), dtype)
            peer = AutoModelForCausalLM.from_pretrained(place, dtype=dtype)
            pairs = []
            for _ in range(rounds):
                pairs.append((ours(mine, prompt, TOKENS), theirs(peer, prompt, TOKENS)))
            a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(pair[1] / pair[0] for pair in pairs)
            print(
                f"{shape} {name}: tuillm {1 / a:.1f} tokens/s, transformers {1 / b:.1f}, "
                f"ratio {ratio:.2f}",
                flush=True,
            )
            plain = read_model(Path(place)).to(dtype).eval()
            for words, model, last in (
                ("plain model(idx), no cache", plain, False),
                ("packed model(idx), no cache", mine, False),
                ("packed, last position only, no cache", mine, True),
            ):
                pairs = [
                    (with_cache(mine, prompt, 100), without_cache(model, prompt, 100, last))
                    for _ in range(min(rounds, 3))
                ]
                a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
                print(
                    f"{shape} {name}: 100 tokens with cache {a:.2f} s, {words} {b:.2f} s, "
                    f"ratio {statistics.median(p[1] / p[0] for p in pairs):.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
