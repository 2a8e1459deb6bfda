"""`python -m tuillm.model.check_native LIBRARY`: whether it computes what PyTorch does.

Ends with 0 if so. A process of its own: a library for another processor would end it.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from tuillm.config.gpt_config import GPTConfig
from tuillm.model.gpt import GPT
from tuillm.model.native_gpt import NativeGPT
from tuillm.native.library import KINDS, Library

# GPT-2's arithmetic, and all that other families compute otherwise
_SHAPES = (
    GPTConfig(300, 320, 2, 4, 128),
    GPTConfig(
        300,
        320,
        2,
        4,
        128,
        bias=False,
        n_kv_head=2,
        head_dim=48,
        n_inner=200,
        rms_norm=True,
        gated_mlp=True,
        qkv_bias=True,
        qk_norm=True,
        rope_theta=1e4,
    ),  # fmt: skip
)
# of the spread of the logits
_TOLERANCE = {"float32": 1e-4, "bfloat16": 0.05, "int8": 0.3}


def differences(library: Library) -> Iterator[tuple[str, float]]:
    """Each precision with the largest difference of a logit from PyTorch's, of their spread."""
    with torch.inference_mode():
        for shape in _SHAPES:
            model, generator = GPT(shape).eval(), torch.Generator().manual_seed(0)
            idx = torch.randint(0, 300, (2, 300), generator=generator)
            for values in model.parameters():
                values.normal_(0, 0.1 if values.dim() == 2 else 0.5, generator=generator)
            want = model(idx)
            for dtype in KINDS:
                got = NativeGPT.of(library, shape, model.state_dict(), dtype)(idx)
                yield dtype, float((got - want).abs().max() / want.std())


def main() -> None:
    """End with 1 and a line where a precision is not computed as it should be."""
    for dtype, difference in differences(Library(Path(sys.argv[1]))):
        if not difference <= _TOLERANCE[dtype]:
            sys.exit(f"error: {dtype} logits differ by {difference:.2g} of their spread")


if __name__ == "__main__":
    main()
