"""`python -m tuillm.model.check_native LIBRARY`: whether it computes what PyTorch does.

Ends with 0 if so. A process of its own: a library for another processor would end it.
"""

import sys
from pathlib import Path

import torch

from tuillm.config.gpt_config import GPTConfig
from tuillm.model.gpt import GPT
from tuillm.model.native_gpt import NativeGPT
from tuillm.native.library import KINDS, Library

# of the spread of the logits
_TOLERANCE = {"float32": 1e-4, "bfloat16": 0.05, "int8": 0.3}


def differences(library: Library) -> dict[str, float]:
    """The largest difference of a logit from PyTorch's, of their spread, by precision."""
    model = GPT(GPTConfig(300, 24, 2, 4, 128, 0.0, True, True)).eval()
    generator = torch.Generator().manual_seed(0)
    idx = torch.randint(0, 300, (2, 21), generator=generator)
    found = {}
    with torch.inference_mode():
        for values in model.parameters():
            values.normal_(0, 0.1 if values.dim() == 2 else 0.5, generator=generator)
        want = model(idx)
        for dtype in KINDS:
            got = NativeGPT.of(library, model, dtype)(idx)
            found[dtype] = float((got - want).abs().max() / want.std())
    return found


def main() -> None:
    """End with 1 and a line where a precision is not computed as it should be."""
    for dtype, difference in differences(Library(Path(sys.argv[1]))).items():
        if not difference <= _TOLERANCE[dtype]:
            sys.exit(f"error: {dtype} logits differ by {difference:.2g} of their spread")


if __name__ == "__main__":
    main()
