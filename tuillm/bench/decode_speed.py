"""How fast tokens come, one at a time with a cache, beside what the memory allows.

Decoding a token reads every weight once, so that the memory's bandwidth is its limit.
"""

from collections.abc import Iterable, Iterator, Mapping

from tuillm.bench.engines import Engine
from tuillm.bench.turns import Program
from tuillm.config.gpt_config import GPTConfig
from tuillm.model.kernel_choice import weights_read


def decode_programs(
    engines: Iterable[Engine], config: GPTConfig, tokens: int, bandwidth: Mapping[int, float]
) -> Iterator[Program]:
    """Yield each engine on each number of threads that `bandwidth` (bytes a second) knows."""
    read = weights_read(config)
    for engine in engines:
        for threads, rate in bandwidth.items():
            yield Program(
                "decode",
                engine.program,
                engine.dtype,
                threads,
                "tokens/s",
                lambda engine=engine: 1 / engine.decode(tokens),  # type: ignore[misc]
                rate / (read * engine.item_bytes),
            )
