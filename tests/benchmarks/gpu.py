"""One script for a GPU: training and decoding of GPT-2's shapes, beside plain PyTorch.

Prints tokens/s and MFU of training steps (ours, and an eager loop as nanoGPT's, with fused AdamW,
eager and compiled), and tokens/s of decoding beside what the memory's bandwidth allows (ours,
transformers, and a loop with a static cache, compiled with CUDA graphs, as gpt-fast's). All take
turns; medians. On a CPU it runs whole at a small shape.
    python tests/benchmarks/gpu.py [--rounds N] [--device DEVICE] [--small]
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["TUILLM_HOME"] = tempfile.mkdtemp(prefix="tuillm-gpu-")

import torch
import torch.nn.functional as F

import tuillm  # noqa: F401
from tuillm.bench.bench_model import random_folder
from tuillm.config import build_train
from tuillm.config.gpt_config import GPTConfig
from tuillm.convert.transformers_model import open_model
from tuillm.generation.context import Context
from tuillm.model import pack, read_model
from tuillm.model.kernel_choice import weights_read
from tuillm.store.paths import demo_book
from tuillm.training import Trainer
from tuillm.training.hardware import matmul_flops, tune_process

SMALL = GPTConfig(1024, 128, 4, 4, 128, 0.0, True, True)
TRAINED = GPTConfig(50_304, 1024, 12, 12, 768, 0.0, True, True)
DECODED = GPTConfig(50_257, 1024, 48, 25, 1600, 0.0, True, True)
PROMPT, TOKENS = 16, 48


def wait(device):
    """Until everything that was asked of a GPU is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def turns(programs, rounds):
    """Call each in turn; return the median of each."""
    found = {name: [] for name in programs}
    for _ in range(rounds):
        for name, once in programs.items():
            found[name].append(once())
    return {name: statistics.median(values) for name, values in found.items()}


def timed(step, per_step, device, steps=10, warm=3) -> Callable[[], float]:
    """Tokens a second of so many steps, after a few."""
    for _ in range(warm):
        step()

    def once():
        wait(device)
        begin = time.perf_counter()
        for _ in range(steps):
            step()
        wait(device)
        return steps * per_step / (time.perf_counter() - begin)

    return once


def our_training(config, batch, device, dtype, compiled):
    """A step of our trainer with AdamW, at random ids of the shape's vocabulary."""
    settings: dict[str, Any] = dict(
        corpus=str(demo_book()),
        tokenizer="char",
        n_layer=config.n_layer,
        n_head=config.n_head,
        n_embd=config.n_embd,
        block_size=config.block_size,
        batch_size=batch,
        dropout=0.0,
        optimizer="adamw",
        device=device.type,
        dtype=dtype,
        compile=compiled,
    )
    trainer = Trainer(config=build_train(settings))
    trainer.prepare()
    trainer.setup.learner.train()
    return trainer


def plain_training(shape, batch, device, dtype, compiled):
    """A step of nanoGPT's kind: autocast, flash attention, fused AdamW."""
    from tuillm.model import GPT

    model: Any = GPT(shape).to(device).train()
    model.init_weights("random", torch.Generator().manual_seed(0)) if device.type == "cpu" else None
    fused = device.type == "cuda"
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.95), fused=fused)
    forward: Any = torch.compile(model) if compiled else model
    kind = getattr(torch, dtype)

    def step():
        ids = torch.randint(shape.vocab_size, (batch, shape.block_size + 1), device=device)
        with torch.autocast(device.type, kind, enabled=kind != torch.float32):
            logits = forward(ids[:, :-1])
            loss = F.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def train(shape, batch, device, dtype, rounds):
    """Tokens/s and MFU of training steps."""
    flops = matmul_flops(device, getattr(torch, dtype))
    size = f"{shape.n_layer} layers, {shape.n_embd} wide"
    print(f"training {size}, {batch} x {shape.block_size}, {dtype}")
    print(f"matrices {flops / 1e12:.2f} TFLOP/s measured")
    programs, costs = {}, {}
    for compiled in ("off", "on"):
        trainer = our_training(shape, batch, device, dtype, compiled)
        setup, own = trainer.setup, trainer.model.config
        name = f"tuillm, compile {compiled}"
        costs[name] = own.flops_per_token(setup.window)
        programs[name] = timed(
            lambda trainer=trainer: trainer.take_step(1.0), setup.tokens_per_step, device
        )
    own = trainer.model.config
    for way in ("eager", "compiled"):
        name = f"plain loop, {way}"
        costs[name] = own.flops_per_token(own.block_size)
        step = plain_training(own, batch, device, dtype, way == "compiled")
        programs[name] = timed(step, batch * own.block_size, device)
    for name, rate in turns(programs, rounds).items():
        print(f"  {name:<22} {rate:12,.0f} tokens/s  MFU {rate * costs[name] / flops:.2f}")


class StaticDecoder:
    """One token at a time over a cache of fixed size: a program that a CUDA graph can hold."""

    def __init__(self, model, device):
        config = self.config = model.config
        self.model, self.device = model, device
        each = config.n_embd // config.n_head
        size = (config.n_layer, 2, 1, config.n_head, config.block_size, each)
        self.store = torch.zeros(size, device=device, dtype=model.wte.weight.dtype)
        mode = "reduce-overhead" if device.type == "cuda" else None
        self.step = torch.compile(self._step, mode=mode)

    def _step(self, token, position, mask):
        model, C = self.model, self.config.n_embd
        x = model.wte(token) + model.wpe(position)  # [1, 1, C]
        for layer, block in enumerate(model.h):
            qkv = block.attn.c_attn(block.ln_1(x)).view(1, 1, 3, self.config.n_head, -1)
            q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
            self.store[layer, 0].index_copy_(2, position[0], k)
            self.store[layer, 1].index_copy_(2, position[0], v)
            keys, values = self.store[layer]
            y = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
            x = x + block.attn.c_proj(y.transpose(1, 2).reshape(1, 1, C))
            x = x + block.mlp(block.ln_2(x))
        return model.lm_head(model.ln_f(x))[:, -1].argmax(-1, keepdim=True)

    @torch.inference_mode()
    def seconds(self, tokens):
        token = torch.zeros(1, 1, dtype=torch.int64, device=self.device)
        positions = torch.arange(self.config.block_size, device=self.device)
        wait(self.device)
        begin = time.perf_counter()
        for at in range(PROMPT, PROMPT + tokens):
            position = positions[at : at + 1][None]
            token = self.step(token, position, (positions <= at)[None, None, None]).clone()
        wait(self.device)
        return time.perf_counter() - begin


def decode(shape, device, dtype, rounds):
    """Tokens/s of decoding beside the memory's limit."""
    kind = getattr(torch, dtype)
    big = torch.ones(100_000_000, device=device)
    rate = big.nbytes * timed(big.sum, 1, device)()
    limit = rate / (weights_read(shape) * kind.itemsize)
    with tempfile.TemporaryDirectory() as temporary:
        folder = random_folder(Path(temporary), shape)
        ours = pack(read_model(folder), kind, device)
        static = StaticDecoder(read_model(folder).to(device, kind).eval(), device)
        theirs = open_model(folder, kind).to(device)

        @torch.inference_mode()
        def context():
            window = Context(ours)
            logits, _ = window.read(list(range(PROMPT)))
            wait(device)
            begin = time.perf_counter()
            for _ in range(TOKENS):
                logits, _ = window.advance([int(logits.argmax())])
            return TOKENS / (time.perf_counter() - begin)

        def transformers():
            ids = torch.zeros(1, PROMPT, dtype=torch.int64, device=device)
            options = dict(do_sample=False, pad_token_id=0, eos_token_id=None)
            begin = time.perf_counter()
            theirs.generate(ids, min_new_tokens=TOKENS, max_new_tokens=TOKENS, **options)
            wait(device)
            return TOKENS / (time.perf_counter() - begin)

        programs = {
            "tuillm": context,
            "transformers": transformers,
            "static cache, compiled": lambda: TOKENS / static.seconds(TOKENS),
        }
        for once in programs.values():
            once()
        size = f"{shape.n_layer} layers, {shape.n_embd} wide"
        print(f"decoding {size}, {dtype}: limit {limit:.1f} tokens/s")
        for name, speed in turns(programs, rounds).items():
            print(f"  {name:<22} {speed:10.1f} tokens/s  {speed / limit:.2f} of the limit")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--small", action="store_true", help="small shapes, as on a CPU")
    options = parser.parse_args()
    device = torch.device(options.device)
    small, dtype = options.small or device.type == "cpu", "bfloat16"
    if device.type == "cpu":
        dtype = "float32"
    tune_process()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}")
    train(SMALL if small else TRAINED, 8 if small else 16, device, dtype, options.rounds)
    decode(SMALL if small else DECODED, device, dtype, options.rounds)


if __name__ == "__main__":
    main()
