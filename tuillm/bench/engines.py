"""What computes a model folder in one precision: tuillm, transformers, and llama.cpp.

Each decodes greedily and reads prompts, timed alike. Other programs take part where they are
installed; one that fails is told of and left out. Knows folders; knows no measure.
"""

import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import torch

from tuillm.bench.bench_model import PROMPT, prompt_of
from tuillm.bench.llama_cpp import llama_engine
from tuillm.config.gpt_config import GPTConfig
from tuillm.convert.transformers_model import open_model
from tuillm.errors import one_line
from tuillm.generation.context import Context
from tuillm.model import Decoder, pack, read_config, read_model
from tuillm.model.kernel_choice import ITEM_BYTES
from tuillm.model.kernels import can_decode_int8
from tuillm.native.compile_process import compile_once


class Engine(Protocol):
    """A model that is loaded; it computes on as many threads as torch is set to.

    `item_bytes` are those of a weight.
    """

    program: str
    dtype: str
    item_bytes: float

    def decode(self, tokens: int) -> float:
        """Return the seconds a token that decoding so many takes, one by one behind a prompt."""

    def prefill(self, tokens: int) -> float:
        """Return the seconds that reading a prompt of so many tokens takes, to its last logits."""


def load_engines(
    folder: Path,
    dtypes: tuple[str, ...],
    peers: bool,
    scratch: Path,
    note: Callable[[str], None] = lambda words: None,
) -> Iterator[Engine]:
    """Yield tuillm in each precision, then other programs as they are there, each warmed up.

    `scratch` is a folder for their files. `note` is told why a program takes no part. Compiles the
    native library first, if it is missing.
    """
    compile_once(wait=120.0)
    for dtype in dtypes:
        if dtype == "int8" and not can_decode_int8():
            note("int8 is left out: neither a C compiler nor PyTorch has a kernel for it")
            continue
        yield _warm(_Ours(folder, dtype))
    if not peers:
        return
    makers: list[tuple[str, Callable[[str], Engine | None]]] = [
        ("llama.cpp", lambda dtype: llama_engine(folder, dtype, scratch))
    ]
    if find_spec("transformers"):
        makers.insert(0, ("transformers", lambda dtype: _transformers(folder, dtype)))
    for name, make in makers:
        for dtype in dtypes:
            try:
                if engine := make(dtype):
                    yield _warm(engine)
            except Exception as error:  # of another program: whatever it raises
                words = one_line(f"{type(error).__name__}: {error}")
                note(f"{name} takes no part in {dtype}: {words:.300}")


def _warm(engine: Engine) -> Engine:
    engine.decode(1)
    return engine


class _Ours:
    """A packed model that reads and decodes through a Context, as replies are computed."""

    program = "tuillm"

    def __init__(self, folder: Path, dtype: str) -> None:
        self.dtype, self.item_bytes = dtype, float(ITEM_BYTES[dtype])
        self._model: Decoder = pack(read_model(folder), getattr(torch, dtype))
        self._config: GPTConfig = self._model.config

    def decode(self, tokens: int) -> float:
        with torch.inference_mode():
            context = Context(self._model)
            logits, _ = context.read(prompt_of(PROMPT, self._config.vocab_size))
            begin = time.perf_counter()
            for _ in range(tokens):
                logits, _ = context.advance([int(logits.argmax())])
            return (time.perf_counter() - begin) / tokens

    def prefill(self, tokens: int) -> float:
        prompt = prompt_of(tokens, self._config.vocab_size)
        with torch.inference_mode():
            context = Context(self._model)
            begin = time.perf_counter()
            context.read(prompt)
            return time.perf_counter() - begin


def _transformers(folder: Path, dtype: str) -> "_Transformers | None":
    return None if dtype == "int8" else _Transformers(folder, dtype)


class _Transformers:
    """transformers' `generate` on the same folder, timed from the first token on."""

    program = "transformers"

    def __init__(self, folder: Path, dtype: str) -> None:
        self.dtype, self.item_bytes = dtype, float(ITEM_BYTES[dtype])
        self._model = open_model(folder, getattr(torch, dtype))
        self._entries = read_config(folder).vocab_size

    def decode(self, tokens: int) -> float:
        arrivals = _Arrivals()
        self._model.generate(
            torch.tensor([prompt_of(PROMPT, self._entries)]),
            max_new_tokens=tokens + 1,
            min_new_tokens=tokens + 1,
            do_sample=False,
            pad_token_id=0,
            eos_token_id=None,
            streamer=arrivals,
        )
        first, last = arrivals.times[1], arrivals.times[-1]  # before them comes the prompt
        return (last - first) / tokens

    def prefill(self, tokens: int) -> float:
        idx = torch.tensor([prompt_of(tokens, self._entries)])
        with torch.inference_mode():
            begin = time.perf_counter()
            self._model(idx, use_cache=True, logits_to_keep=1)
            return time.perf_counter() - begin


class _Arrivals:
    """A streamer, as transformers has them, that notes when each token came."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: object) -> None:
        """Note the time of the prompt, or of a token."""
        self.times.append(time.perf_counter())

    def end(self) -> None:
        """There is nothing to close."""
