"""How fast a prompt is read, all its tokens at once, beside what matrix products allow.

Each weight is read once for all tokens, so that the rate of matrix products is the limit.
"""

from collections.abc import Iterable, Iterator, Mapping

from tuillm.bench.engines import Engine
from tuillm.bench.turns import Program
from tuillm.config.gpt_config import GPTConfig

LONGEST = 512  # tokens of the prompt, where the context has so many


def prefill_programs(
    engines: Iterable[Engine],
    config: GPTConfig,
    threads: Iterable[int],
    matmul: Mapping[str, float],
    all_threads: int,
) -> Iterator[Program]:
    """Yield each engine on each number of threads.

    `matmul` are operations a second by precision on `all_threads`; int8 has no limit there.
    """
    tokens = min(LONGEST, config.block_size)
    work = prefill_flops(config, tokens)
    counts = tuple(threads)
    for engine in engines:
        rate = matmul.get(engine.dtype)
        for count in counts:
            yield Program(
                "prefill",
                engine.program,
                engine.dtype,
                count,
                "tokens/s",
                lambda engine=engine: tokens / engine.prefill(tokens),  # type: ignore[misc]
                rate / work * tokens if rate and count == all_threads else None,
            )


def prefill_flops(config: GPTConfig, tokens: int) -> int:
    """Operations to read so many tokens, with the logits of the last one.

    2 per weight of the blocks' matrices and token, 4 H D for each pair of a token and one that it
    looks at in each layer, 2 per weight of the head.
    """
    pairs = tokens * (tokens + 1) // 2
    blocks = 2 * config.matrices_count * tokens + 4 * config.n_layer * config.q_width * pairs
    return blocks + 2 * config.n_embd * config.vocab_size
