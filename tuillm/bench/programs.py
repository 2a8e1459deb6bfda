"""The programs whose decoding is measured: tuillm in each precision, and transformers.

Each is made from the same model folder. Other programs take part where they are installed.
"""

import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch

from tuillm.bench.decode_speed import PROMPT, Program
from tuillm.config.gpt_config import GPTConfig
from tuillm.convert.transformers_model import open_model
from tuillm.generation.context import Context
from tuillm.model import GPT, Decoder, pack, read_config, read_model, write_model
from tuillm.model.kernels import can_decode_int8

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


def programs_for(
    folder: Path, dtypes: tuple[str, ...], threads: tuple[int, ...], peers: bool
) -> Iterator[Program]:
    """Yield tuillm in each precision on so many threads, then other programs as they are there."""
    read = _parameters_read(read_config(folder))
    for dtype in dtypes:
        if dtype == "int8" and not can_decode_int8():
            continue
        ours = _Ours(pack(read_model(folder), getattr(torch, dtype)))
        for count in threads:
            yield Program("tuillm", dtype, count, read * _ITEM_BYTES[dtype], ours)
    if peers and find_spec("transformers"):
        for dtype in (each for each in dtypes if each != "int8"):
            theirs = _Transformers(folder, dtype)
            for count in threads:
                yield Program("transformers", dtype, count, read * _ITEM_BYTES[dtype], theirs)


def _parameters_read(config: GPTConfig) -> int:
    """What is read for a token: all weights but the tables of positions and, untied, of tokens."""
    read = config.parameter_count - config.block_size * config.n_embd
    return read if config.tie_weights else read - config.vocab_size * config.n_embd


class _Ours:
    """A packed model that decodes as a chat does."""

    def __init__(self, model: Decoder) -> None:
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
    """transformers' `generate` on the same folder, timed from the first token on."""

    def __init__(self, folder: Path, dtype: str) -> None:
        self._model = open_model(folder, getattr(torch, dtype))

    def __call__(self, tokens: int) -> float:
        prompt, arrivals = _prompt(self._model.config.vocab_size), _Arrivals()
        self._model.generate(
            torch.tensor([prompt]),
            max_new_tokens=tokens + 1,
            min_new_tokens=tokens + 1,
            do_sample=False,
            pad_token_id=0,
            eos_token_id=None,
            streamer=arrivals,
        )
        first, last = arrivals.times[1], arrivals.times[-1]  # before them comes the prompt
        return (last - first) / tokens


class _Arrivals:
    """A streamer, as transformers has them, that notes when each token came."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: object) -> None:
        """Note the time of the prompt, or of a token."""
        self.times.append(time.perf_counter())

    def end(self) -> None:
        """There is nothing to close."""


def _prompt(entries: int) -> list[int]:
    return [each % entries for each in PROMPT]
