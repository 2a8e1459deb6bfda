"""From a model and a prompt to text: one sampling pipeline, one Sampler that streams tokens.

Knows models and tokenizers; knows no terminal.
"""

from tuillm.user_paths import name_temp_dir

name_temp_dir()  # before torch is imported

from tuillm.generation.sampler import Sampler, Token  # noqa: E402

__all__ = ["Sampler", "Token"]
