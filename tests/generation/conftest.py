"""What the generation tests share: a small random talker."""

import pytest
import torch

from tuillm.generation import Sampler
from tuillm.model import GPT, GPTConfig
from tuillm.text.new_tokenizer import make_tokenizer


@pytest.fixture
def talker():
    """Make a Sampler of a random model over the letters: fluent nonsense, far from uniform."""

    def make(seed=0, **shape):
        tokenizer = make_tokenizer("char", ["abcdefghijklmnopqrstuvwxyz \n"])
        defaults = dict(block_size=32, n_layer=2, n_head=2, n_embd=32, bias=True)
        model = GPT(GPTConfig(vocab_size=tokenizer.n_vocab, **(defaults | shape)))
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(0, 0.35, generator=generator)
        return Sampler.of(model.eval(), tokenizer)

    return make
