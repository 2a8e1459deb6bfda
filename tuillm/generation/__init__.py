"""From a model and a prompt to text: one sampling pipeline, one Sampler that streams tokens.

Knows models and tokenizers; knows no terminal.
"""

from tuillm.generation.sampler import Sampler, Token

__all__ = ["Sampler", "Token"]
