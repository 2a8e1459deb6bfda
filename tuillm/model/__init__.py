"""The GPT itself: architecture, KV cache, packed weights, and the Hugging Face folder layout.

Knows tensors and shapes; knows neither text nor training nor the registry.
"""

from tuillm.config.gpt_config import GPTConfig
from tuillm.model.decoder import load_decoder
from tuillm.model.gpt import GPT
from tuillm.model.hf_folder import read_config, read_model, write_model
from tuillm.model.kv_cache import KVCache
from tuillm.model.native_gpt import NativeGPT
from tuillm.model.packing import Decoder, pack
from tuillm.model.precision import choose_device, choose_dtype

__all__ = [
    "GPT",
    "Decoder",
    "GPTConfig",
    "KVCache",
    "NativeGPT",
    "choose_device",
    "choose_dtype",
    "load_decoder",
    "pack",
    "read_config",
    "read_model",
    "write_model",
]
