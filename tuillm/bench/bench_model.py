"""The model that is measured where none is named, and the prompt that any model is given.

It has GPT-2's shape and random weights: how fast a model is depends on its shape alone. Writes a
model folder; measures nothing.
"""

from pathlib import Path

import torch

from tuillm.config.gpt_config import GPTConfig
from tuillm.model import GPT, write_model
from tuillm.text import Tokenizer, make_tokenizer
from tuillm.text.tiktoken_tokenizer import TiktokenTokenizer

GPT2_SHAPE = GPTConfig(50_257, 1024, 12, 12, 768, 0.0, True, True)
# the prompt's length in tokens before decoding, as short as a question
PROMPT = 16
# entries that are learned; the rest of a vocabulary can be written and read, and occurs nowhere
_LEARNED = 300


def random_folder(folder: Path, shape: GPTConfig = GPT2_SHAPE) -> Path:
    """Write a model of this shape with random weights and a tokenizer into a folder; return it."""
    torch.manual_seed(0)
    model = GPT(shape)
    with torch.no_grad():
        for values in model.parameters():
            values.normal_(0.0, 0.02) if values.dim() == 2 else values.fill_(0.5)
    tokenizer = _tokenizer_of(shape.vocab_size)
    write_model(model, folder, tokenizer.eot)
    tokenizer.save(folder, shape.block_size)
    return folder


def _tokenizer_of(entries: int) -> Tokenizer:
    """Return a byte-level tokenizer of so many ids, the last of which ends a text."""
    learned = min(_LEARNED, entries)
    spec = make_tokenizer("bpe", ["a small text, only to have a tokenizer"], learned).spec
    vocab = spec["model"]["vocab"]
    size = len(vocab)
    for number in range(entries - 1 - size):
        vocab[f"Ġ{number}Ġ"] = size + number
    spec["added_tokens"][0]["id"] = entries - 1
    return TiktokenTokenizer(spec)


def prompt_of(tokens: int, vocab_size: int) -> list[int]:
    """Return so many ids, all of them within a vocabulary."""
    return [(100 + each) % vocab_size for each in range(tokens)]
