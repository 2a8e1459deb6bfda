"""llama.cpp as a program to compare with: through llama-cpp-python, or a `llama-bench` binary.

Its GGUF file is written from the same model folder: F32, BF16, and Q8_0 for int8. Knows these two
ways into llama.cpp; neither has to be installed.
"""

import json
import shutil
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tuillm.bench.bench_model import PROMPT, prompt_of
from tuillm.convert.gguf_export import open_for_gguf
from tuillm.convert.gguf_tensors import padded
from tuillm.errors import TuillmError, one_line
from tuillm.model import read_config

_KINDS = {"float32": "f32", "bfloat16": "bf16", "int8": "q8_0"}
# Q8_0 has 34 bytes for 32 weights
_ITEM_BYTES: dict[str, float] = {"float32": 4, "bfloat16": 2, "int8": 34 / 32}
_BATCH = 512  # llama.cpp's own number of tokens computed at once
_PATIENCE = 600.0


def llama_engine(folder: Path, dtype: str, scratch: Path) -> "LlamaPython | LlamaBench | None":
    """Return llama.cpp with the model of a folder in a precision; None where it is not installed.

    Writes a GGUF file into `scratch`. Raises TuillmError for a model that llama.cpp cannot compute,
    and whatever llama.cpp raises.
    """
    binary = shutil.which("llama-bench")
    if not find_spec("llama_cpp") and not binary:
        return None
    file = scratch / f"{dtype}.gguf"
    open_for_gguf(folder, _KINDS[dtype]).write(file, "bench")
    if find_spec("llama_cpp"):
        return LlamaPython(file, dtype, read_config(folder).block_size)
    assert binary
    return LlamaBench(binary, file, dtype)


class LlamaPython:
    """llama.cpp's own calls through llama-cpp-python, without the layers above them."""

    program = "llama.cpp"

    def __init__(self, file: Path, dtype: str, block_size: int) -> None:
        import llama_cpp

        self.dtype, self.item_bytes = dtype, _ITEM_BYTES[dtype]
        self._calls: Any = llama_cpp
        self._llama = llama_cpp.Llama(
            str(file), n_ctx=padded(block_size), n_batch=_BATCH, n_gpu_layers=0, verbose=False
        )
        self._entries: int = self._llama.n_vocab()

    def decode(self, tokens: int) -> float:
        """Return the seconds a token, greedily, behind a prompt."""
        self._begin()
        token = self._read(prompt_of(PROMPT, self._entries))
        begin = time.perf_counter()
        for _ in range(tokens):
            token = self._read([token])
        return (time.perf_counter() - begin) / tokens

    def prefill(self, tokens: int) -> float:
        """Return the seconds that a prompt takes."""
        ids = prompt_of(tokens, self._entries)
        self._begin()
        begin = time.perf_counter()
        for start in range(0, tokens, _BATCH):
            self._read(ids[start : start + _BATCH])
        return time.perf_counter() - begin

    def _begin(self) -> None:
        """Forget all that was read, and compute on as many threads as torch does."""
        calls, context = self._calls, self._llama.ctx
        threads = torch.get_num_threads()
        calls.llama_set_n_threads(context, threads, threads)
        calls.llama_memory_clear(calls.llama_get_memory(context), True)

    def _read(self, ids: list[int]) -> int:
        """Read ids behind those before; return the likeliest id to follow."""
        calls, context = self._calls, self._llama.ctx
        array = (calls.llama_token * len(ids))(*ids)
        failed = calls.llama_decode(context, calls.llama_batch_get_one(array, len(ids)))
        if failed:
            raise TuillmError(f"llama_decode returned {failed}")
        logits = calls.llama_get_logits_ith(context, -1)
        return int(np.ctypeslib.as_array(logits, (self._entries,)).argmax())


class LlamaBench:
    """The binary `llama-bench`, a process a turn; it loads, warms up, and times itself.

    It decodes from an empty context and draws no token, so that it does a little less.
    """

    program = "llama.cpp"

    def __init__(self, binary: str, file: Path, dtype: str) -> None:
        self.dtype, self.item_bytes = dtype, _ITEM_BYTES[dtype]
        self._command = [binary, "-m", str(file), "-ngl", "0", "-r", "1", "-o", "json"]

    def decode(self, tokens: int) -> float:
        """Return the seconds a token."""
        return 1 / self._tokens_per_sec("-p", "0", "-n", str(tokens))

    def prefill(self, tokens: int) -> float:
        """Return the seconds that a prompt takes."""
        return tokens / self._tokens_per_sec("-p", str(tokens), "-n", "0")

    def _tokens_per_sec(self, *words: str) -> float:
        command = [*self._command, "-t", str(torch.get_num_threads()), *words]
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no word"])[-1]
            raise TuillmError(f"llama-bench ended with {done.returncode}: {one_line(last):.200}")
        return tokens_per_sec_in(done.stdout)


def tokens_per_sec_in(output: str) -> float:
    """Return the tokens a second of the one test that `llama-bench -o json` was asked for.

    It prints a list with an object a test, whose `avg_ts` is that rate. Raises TuillmError for
    anything else.
    """
    try:
        (test,) = json.loads(output)
        rate = float(test["avg_ts"])
    except (ValueError, TypeError, LookupError) as error:
        raise TuillmError(
            f"llama-bench printed no result: {type(error).__name__}", "tuillm bench --no-peers"
        ) from None
    if not 0 < rate < 1e12:
        raise TuillmError(f"llama-bench printed a rate of {rate}", "tuillm bench --no-peers")
    return rate
