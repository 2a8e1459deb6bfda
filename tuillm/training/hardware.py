"""What this machine trains best with, and how fast it multiplies. Knows no model."""

import os
import time
from contextlib import AbstractContextManager, nullcontext

import psutil
import torch

from tuillm.config.gpt_config import LARGE_MODEL
from tuillm.model.malloc import allow_tuning, keep_freed_memory
from tuillm.model.precision import gpu_has_bfloat16, has_fast_bfloat16
from tuillm.store.paths import cache_dir

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_SIDE, _SLOW = 768, 0.2
# what PyTorch says where an allocation on the processor fails; on a GPU it has an exception
_REFUSED = ("can't allocate memory", "not enough memory", "out of memory")


def tune_process() -> None:
    """Set what makes training faster and is a whole process's: a worker does, a library never.

    Denormal numbers count as zero, freed memory is kept for the next step, and compiled code lies
    in our cache.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_dir() / "torchinductor"))
    torch.set_flush_denormal(True)
    allow_tuning()
    keep_freed_memory()


def choose_train_dtype(wanted: str, device: torch.device) -> torch.dtype:
    """Return the precision of matrix products in training; weights stay in float32.

    `auto` is bfloat16 where the hardware has it, on other CUDA devices float16, else float32.
    """
    if wanted != "auto":
        return _DTYPES[wanted]
    if device.type == "cuda":
        return torch.bfloat16 if gpu_has_bfloat16(device) else torch.float16
    fast = device.type == "cpu" and has_fast_bfloat16()
    return torch.bfloat16 if fast else torch.float32


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Return the context in which forward passes run."""
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype)


def use_bf16_shadow(device: torch.device, dtype: torch.dtype, parameters: int) -> bool:
    """Whether matrices are to be kept in bfloat16 beside float32, see `model.linear`."""
    return device.type == "cpu" and dtype == torch.bfloat16 and parameters >= LARGE_MODEL


def eval_dtype(dtype: torch.dtype, parameters: int, device: torch.device) -> torch.dtype:
    """The precision to evaluate and sample in: float32, for large models that of training.

    Never float16 on a CPU, which has no units for it.
    """
    if device.type == "cpu" and dtype == torch.float16:
        return torch.float32
    return dtype if parameters >= LARGE_MODEL else torch.float32


def memory_of(device: torch.device) -> tuple[int, int]:
    """The bytes that are free and those there are, where a model on this device would lie."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)
    memory = psutil.virtual_memory()
    return memory.available, memory.total + psutil.swap_memory().total


def matmul_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Return the operations per second of a square matrix product, measured in some 50 ms."""
    side = 4096 if device.type == "cuda" else _SIDE
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(6):
        begin = time.perf_counter()
        a @ b
        if device.type != "cpu":
            torch.zeros(1, device=device).item()  # wait for the device
        best = min(best, time.perf_counter() - begin)
        if best > _SLOW:  # one is enough
            break
    return 2 * side**3 / best


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that an allocation was refused, whatever the device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(
        words in str(error).lower() for words in _REFUSED
    )
