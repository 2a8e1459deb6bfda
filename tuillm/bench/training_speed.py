"""How fast training goes: whole steps of our trainer, beside a loop in plain PyTorch.

Both learn the bundled book in the same shape, with the same tokens and dropout, eagerly. Knows no
run folder: nothing is evaluated, saved or published.
"""

import time
from collections.abc import Callable, Iterator, Mapping

import torch

from tuillm.bench.bench_record import OURS
from tuillm.bench.eager_loop import EagerLoop
from tuillm.bench.turns import Program
from tuillm.config import build_train
from tuillm.model.precision import has_fast_bfloat16
from tuillm.store.paths import demo_book
from tuillm.training import Trainer
from tuillm.training.hardware import tune_process

PEER = "PyTorch loop"
_STEPS, _WARM = 10, 3
_COMMON: dict[str, object] = dict(corpus=str(demo_book()), device="cpu", compile="off")
# nanoGPT's shape for a CPU, and the preset `tiny`, with its own optimizer and with AdamW
_SHAPES: dict[str, dict[str, object]] = {
    "nanoGPT": dict(
        tokenizer="char",
        n_layer=4,
        n_head=4,
        n_embd=128,
        block_size=64,
        batch_size=12,
        dropout=0.0,
        optimizer="adamw",
    ),
    "tiny, adamw": dict(preset="tiny", optimizer="adamw"),
    "tiny, muon": dict(preset="tiny", optimizer="muon"),
}


def training_programs(
    dtypes: tuple[str, ...], threads: int, matmul: Mapping[str, float], peers: bool
) -> Iterator[Program]:
    """Yield our trainer in each shape and precision, and the loop where its optimizer is AdamW.

    `matmul` are operations a second by precision: the share of them is the MFU. int8 does not
    train, and bfloat16 is left out where the processor has no units for it. Sets what a training
    process sets, see `tune_process`, which holds for both.
    """
    tune_process()
    for dtype in ("float32", "bfloat16"):
        if dtype not in dtypes or (dtype == "bfloat16" and not has_fast_bfloat16()):
            continue
        for name, settings in _SHAPES.items():
            trainer = Trainer(config=build_train(_COMMON | settings | {"dtype": dtype}))
            trainer.prepare()
            trainer.setup.learner.train()
            shape, per_step = trainer.model.config, trainer.setup.tokens_per_step
            limit = matmul[dtype] / shape.flops_per_token(trainer.setup.window)
            ways: dict[str, Callable[[], object]] = {OURS: _ours(trainer)}
            if peers and settings["optimizer"] == "adamw":
                kind = getattr(torch, dtype)
                loop = EagerLoop(shape, trainer.tokens.train, trainer.config.batch_size, kind)
                ways[PEER] = loop.step
            for program, step in ways.items():
                once = _timed(step, per_step)
                yield Program(
                    "train", program, f"{name}, {dtype}", threads, "tokens/s", once, limit
                )


def _ours(trainer: Trainer) -> Callable[[], object]:
    return lambda: trainer.take_step(1.0)


def _timed(step: Callable[[], object], tokens: int) -> Callable[[], float]:
    """Return what takes some steps and returns the tokens a second; a few are taken now."""
    for _ in range(_WARM):
        step()

    def once() -> float:
        begin = time.perf_counter()
        for _ in range(_STEPS):
            step()
        return _STEPS * tokens / (time.perf_counter() - begin)

    return once
