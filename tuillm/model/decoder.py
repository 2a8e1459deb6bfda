"""From a model folder to a model that decodes: packed weights from the cache, or packed now.

Knows folders, precisions and kernels; knows no tokenizer.
"""

from pathlib import Path

import torch

from tuillm.model.hf_folder import read_config, read_model
from tuillm.model.kernel_choice import choose_kernel
from tuillm.model.native_gpt import NativeGPT
from tuillm.model.packed_cache import pack_into_cache, packed_weights
from tuillm.model.packing import Decoder, pack
from tuillm.native.compiled import library


def load_decoder(folder: Path, dtype: torch.dtype, device: torch.device) -> Decoder:
    """Return the model of a folder, ready to decode in `dtype` on `device`.

    Raises TuillmError for a damaged folder and UsageError for a precision that is not to be had.
    """
    on_cpu, name = device.type == "cpu", str(dtype).removeprefix("torch.")
    native = library() if on_cpu else None
    if native is not None:
        kernel = choose_kernel(read_config(folder), name)
        if kernel is not None and kernel.make is None:
            weights = folder / "model.safetensors"
            kept = packed_weights(weights, name)
            if kept is None:
                model = read_model(folder, head_apart=True)
                kept = pack_into_cache(weights, model, name)
                if kept is None:
                    return pack(model, dtype, device, kernel.name)
            return NativeGPT(native, *kept)
    return pack(read_model(folder, head_apart=on_cpu), dtype, device)
