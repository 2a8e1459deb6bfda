"""What this machine can do at best: read memory, and multiply matrices in each precision.

Knows no model. Decoding a token reads every weight once, so that memory bandwidth limits it;
prefill and training multiply matrices.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import torch

from tuillm.store.processor import processor_name
from tuillm.training.hardware import matmul_flops

_CPU = torch.device("cpu")
# far more than any cache holds
_BYTES = 400_000_000
_TRIES, _MOMENTS = 5, 4


@dataclass(frozen=True)
class Machine:
    """`bandwidth` in bytes a second by number of threads, `matmul` in operations by precision."""

    processor: str
    threads: int
    memory: int
    torch: str
    capability: str
    bandwidth: dict[int, float]
    matmul: dict[str, float]

    @property
    def fingerprint(self) -> str:
        """What results have to have in common to be compared."""
        return f"{self.processor}, {self.threads} threads, torch {self.torch} {self.capability}"

    def bandwidth_on(self, threads: int) -> float:
        """The bandwidth on so many threads; where it was not measured that of the next higher."""
        higher = [count for count in self.bandwidth if count >= threads]
        return self.bandwidth[min(higher, default=self.threads)]


def measure_machine() -> Machine:
    """Measure in some seconds; the number of threads is as before when it returns."""
    most = torch.get_num_threads()
    try:
        bandwidth = {count: _bandwidth(count) for count in sorted({1, most})}
    finally:
        torch.set_num_threads(most)
    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    # the best of some moments: what else the machine does is none of its limits
    rates = [{name: _matmul(kind) for name, kind in kinds.items()} for _ in range(_MOMENTS)]
    return Machine(
        processor=processor_name(),
        threads=most,
        memory=psutil.virtual_memory().total,
        torch=torch.__version__,
        capability=torch.backends.cpu.get_cpu_capability(),
        bandwidth=bandwidth,
        matmul={name: max(rate[name] for rate in rates) for name in kinds},
    )


def _matmul(dtype: torch.dtype) -> float:
    """Operations a second of the fastest matrix product, of a small one and a large one."""
    side = 2048
    a, b = (torch.ones(side, side, dtype=dtype) for _ in range(2))
    begin = time.perf_counter()
    torch.nn.functional.linear(a, b)
    return max(matmul_flops(_CPU, dtype), 2 * side**3 / (time.perf_counter() - begin))


def _bandwidth(threads: int) -> float:
    """Bytes a second that a product of a large matrix and a vector reads, or a sum."""
    torch.set_num_threads(threads)
    columns = 4096
    matrix = torch.ones(_BYTES // (4 * columns), columns)
    vector = torch.ones(columns)
    ways: list[Callable[[], object]] = [lambda: matrix.mv(vector), matrix.sum]
    return matrix.nbytes / min(map(_fastest, ways))


def _fastest(work: Callable[[], object]) -> float:
    times = []
    for _ in range(_TRIES):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)
