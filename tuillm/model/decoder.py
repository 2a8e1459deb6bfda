"""From a model folder to a model that decodes: packed weights from the cache, or packed now.

Knows folders, precisions and kernels; knows no tokenizer.
"""

from pathlib import Path

import torch

from tuillm.model.hf_folder import read_config, read_model, read_weights
from tuillm.model.kernel_choice import choose_kernel, remembered
from tuillm.model.native_gpt import NativeGPT
from tuillm.model.packed_cache import is_worth_keeping, pack_into_cache, packed_weights
from tuillm.model.packing import Decoder, pack, pack_weights
from tuillm.native.compiled import library


def load_decoder(folder: Path, dtype: torch.dtype, device: torch.device) -> Decoder:
    """Return the model of a folder, ready to decode in `dtype` on `device`.

    Raises TuillmError for a damaged folder and UsageError for a precision that is not to be had.
    """
    if device.type != "cpu":
        return pack(read_model(folder, as_stored=True), dtype, device)
    name = str(dtype).removeprefix("torch.")
    model = _kept(folder, name) or pack_weights(read_weights(folder), dtype)
    known = remembered(model.config, name)
    if known and known.kernel == model.kernel:
        model.threads = known.threads
    return model


def _kept(folder: Path, dtype: str) -> NativeGPT | None:
    """The model with packed weights from the cache, or packed into it; None: not worth keeping."""
    native = library()
    config, weights = read_config(folder), folder / "model.safetensors"
    kernel = choose_kernel(config, dtype) if native else None
    if native is None or kernel is None or kernel.make is not None:
        return None
    kept = packed_weights(weights, config, dtype)
    if kept is None and is_worth_keeping(weights):
        kept = pack_into_cache(weights, read_weights(folder), dtype)
    return NativeGPT(native, *kept) if kept else None
