"""Is the forecast of a context true? The memory that its keys and values take, beside what is said.

    python tests/benchmarks/context_memory.py [--shapes smollm2,qwen3] [--positions 8192]
        [--dtypes float32,bfloat16] [--layers N] [--plain]

Each case is a process of its own: random weights in a shape, packed as for a chat, read a prompt
of so many ids. Memory is how much more of its own pages the process has at most while it reads than
before, after a prompt of 600 ids was read into a cache that is gone. `--plain` is without the
native library, `--layers` with fewer layers than the model has.
"""

import argparse
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from tuillm.config.context_memory import cache_item_bytes, context_bytes
from tuillm.config.gpt_config import GPTConfig

_GATED: dict[str, Any] = dict(bias=False, rms_norm=True, gated_mlp=True)
SHAPES = {
    "smollm2": GPTConfig(
        vocab_size=49_152, block_size=8192, n_layer=30, n_head=9, n_kv_head=3, n_embd=576,
        head_dim=64, n_inner=1536, rope_theta=1e5, family="llama", **_GATED,
    ),
    "qwen3": GPTConfig(
        vocab_size=151_936, block_size=40_960, n_layer=28, n_head=16, n_kv_head=8, n_embd=1024,
        head_dim=128, n_inner=3072, rope_theta=1e6, family="qwen3", qk_norm=True, **_GATED,
    ),
}  # fmt: skip


def measure(shape: str, layers: int, positions: int, dtype: str) -> None:
    """Print what one case takes, in a process of its own."""
    import torch

    from tuillm.generation.context import Context
    from tuillm.model import pack
    from tuillm.model.gpt import GPT
    from tuillm.model.malloc import allow_tuning
    from tuillm.native.compile_process import compile_once

    allow_tuning()
    plain = os.environ.get("TUILLM_NATIVE") == "0"
    if not plain:
        compile_once()
    config = replace(SHAPES[shape], n_layer=layers or SHAPES[shape].n_layer)
    with torch.no_grad():
        made = GPT(config)
        for parameter in made.parameters():
            parameter.normal_(0, 0.02)
    model = pack(made, getattr(torch, dtype), kernel="plain" if plain else "native")
    del made
    context = Context(model)
    ids = torch.randint(config.vocab_size, (positions,)).tolist()
    Context(model).read(ids[:600])  # what any prompt takes, however long
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    begun = time.monotonic()
    with torch.inference_mode():
        context.read(ids)
    seconds = time.monotonic() - begun
    taken = _status("VmHWM") - before
    item = cache_item_bytes(config, dtype) if not plain else 4
    told = context_bytes(config, positions, item)
    print(
        f"{shape:<8} {config.n_layer:>2} layers  {positions:>6,} positions  {dtype:<8} "
        f"{model.kernel:<6}  said {told / 1e6:6.0f} MB  taken {taken / 1e6:6.0f} MB"
        f"  cache {context._cache.bytes / 1e6:6.0f} MB  {seconds:5.0f} s",
        flush=True,
    )


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name))) * 1024


def main() -> None:
    """Measure each case, one after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--positions", default="8192")
    parser.add_argument("--dtypes", default="float32,bfloat16")
    parser.add_argument("--layers", type=int, default=0)
    parser.add_argument("--plain", action="store_true")
    given = parser.parse_args()
    native = "0" if given.plain else "1"
    for shape in given.shapes.split(","):
        for dtype in given.dtypes.split(","):
            for positions in given.positions.split(","):
                case = [shape, str(given.layers), positions, dtype]
                command = [sys.executable, __file__, "--one", *case]
                subprocess.run(command, env=os.environ | {"TUILLM_NATIVE": native}, check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        measure(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
    else:
        main()
