"""Settings, declared once: defaults, ranges and sentences, from which every front end draws.

Also what can be told of a model without its tensors: its shape, and the headers of its files.
Knows nothing of torch, of folders or of screens.
"""

from tuillm.config.fields import Setting, settings_of, settings_table
from tuillm.config.resolve import build_sampling, build_train, preset_values, read_toml
from tuillm.config.sampling_config import SamplingConfig
from tuillm.config.train_config import TrainConfig
from tuillm.config.training_presets import PRESETS, Preset

__all__ = [
    "PRESETS",
    "Preset",
    "SamplingConfig",
    "Setting",
    "TrainConfig",
    "build_sampling",
    "build_train",
    "preset_values",
    "read_toml",
    "settings_of",
    "settings_table",
]
