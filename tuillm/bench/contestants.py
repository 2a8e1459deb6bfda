"""The programs that decode in a race: tuillm in each precision, and transformers.

Each is made from the same model folder. Other programs take part where they are installed.
"""

import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch

from tuillm.bench.decode_speed import PROMPT, Contestant
from tuillm.config.gpt_config import GPTConfig
from tuillm.convert.transformers_model import open_model
from tuillm.generation.context import Context
from tuillm.model import GPT, pack, read_model, write_model
from tuillm.model.packing import can_int8

GPT2_SHAPE = GPTConfig(50_257, 1024, 12, 12, 768, 0.0, True, True)
_ITEM_BYTES = {"float32": 4, "bfloat16": 2, "int8": 1}


def random_folder(folder: Path, shape: GPTConfig = GPT2_SHAPE) -> Path:
    """Write a model of this shape with random weights into a folder; return it."""
    torch.manual_seed(0)
    model = GPT(shape)
    with torch.no_grad():
        for values in model.parameters():
            values.normal_(0.0, 0.02) if values.dim() == 2 else values.fill_(0.5)
    write_model(model, folder, None)
    return folder


def contestants(
    folder: Path, dtypes: tuple[str, ...], threads: tuple[int, ...], peers: bool
) -> Iterator[Contestant]:
    """Yield tuillm in each precision on so many threads, then other programs as they are there."""
    for dtype in dtypes:
        if dtype == "int8" and not can_int8():
            continue
        model = pack(read_model(folder), getattr(torch, dtype))
        for count in threads:
            yield Contestant("tuillm", dtype, count, _bytes(model, dtype), _Ours(model))
    if peers and find_spec("transformers"):
        for dtype in (each for each in dtypes if each != "int8"):
            theirs = _Transformers(folder, dtype)
            for count in threads:
                size = _bytes(read_model(folder), dtype)
                yield Contestant("transformers", dtype, count, size, theirs)


def _bytes(model: GPT, dtype: str) -> int:
    """What is read of weights for a token: all but the table of positions, and the head once."""
    config = model.config
    read = config.parameter_count - config.block_size * config.n_embd
    if not config.tie_weights:
        read -= config.vocab_size * config.n_embd
    return read * _ITEM_BYTES[dtype]


class _Ours:
    """A packed model that decodes as a chat does."""

    def __init__(self, model: GPT) -> None:
        self._model = model

    def __call__(self, tokens: int) -> float:
        with torch.inference_mode():
            context = Context(self._model)
            logits, _ = context.read(_prompt(self._model.config.vocab_size))
            begin = time.perf_counter()
            for _ in range(tokens):
                logits, _ = context.advance([int(logits.argmax())])
            return (time.perf_counter() - begin) / tokens


class _Transformers:
    """transformers' `generate` on the same folder; prefill is left out by difference."""

    def __init__(self, folder: Path, dtype: str) -> None:
        self._model = open_model(folder, getattr(torch, dtype))

    def __call__(self, tokens: int) -> float:
        return (self._seconds(tokens + 1) - self._seconds(1)) / tokens

    def _seconds(self, count: int) -> float:
        prompt = _prompt(self._model.config.vocab_size)
        begin = time.perf_counter()
        self._model.generate(
            torch.tensor([prompt]),
            max_new_tokens=count,
            min_new_tokens=count,
            do_sample=False,
            pad_token_id=0,
            eos_token_id=None,
        )
        return time.perf_counter() - begin


def _prompt(entries: int) -> list[int]:
    return [each % entries for each in PROMPT]
