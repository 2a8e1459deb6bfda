"""What the model tests share: transformers as the oracle, and random models of our own."""

import warnings

import pytest
import torch


@pytest.fixture(scope="session")
def transformers():
    """The library whose GPT-2 ours must equal; its import may warn, our tests may not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import transformers
        from transformers import AutoModelForCausalLM, GPT2LMHeadModel  # noqa: F401
    return transformers


@pytest.fixture
def scrambled():
    """Give a module's parameters random values, biases and norms too; returns the module."""

    def scramble(module, seed=0):
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.normal_(0, 0.3, generator=generator)
        return module.eval()

    return scramble
