"""What the model tests share: random models of our own."""

import pytest
import torch


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
