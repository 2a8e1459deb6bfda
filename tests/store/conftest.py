"""Model folders without torch."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from tuillm.store.card import ModelCard
from tuillm.store.files import write_json
from tuillm.store.registry import publish


@pytest.fixture
def add_model():
    """A function that publishes a tiny, whole model folder under a name and returns its path."""

    def add(name, *, replace=False, **card):
        with publish(name, ModelCard(**card), replace=replace) as folder:
            shape = dict(n_layer=0, n_head=1, n_embd=2, n_positions=8, vocab_size=6)
            write_json(folder / "config.json", {"model_type": "gpt2"} | shape)
            write_json(folder / "tokenizer.json", {"model": {}})
            weights = {
                "wte.weight": np.arange(12, dtype=np.float32).reshape(6, 2),
                "wpe.weight": np.zeros((8, 2), np.float32),
                "ln_f.weight": np.ones(2, np.float32),
            }
            save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        return folder.parent / name

    return add
