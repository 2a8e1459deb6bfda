"""Model folders without torch, and other processes that really run."""

import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from safetensors.numpy import save_file

from tuillm.store.files import write_json
from tuillm.store.models import ModelCard, publish


@pytest.fixture
def add_model():
    """A function that publishes a tiny, whole model folder under a name and returns its path."""

    def add(name, *, replace=False, **card):
        with publish(name, ModelCard(**card), replace=replace) as folder:
            write_json(folder / "config.json", {"n_layer": 2, "n_positions": 8})
            write_json(folder / "tokenizer.json", {"model": {}})
            weights = {"wte": np.arange(12, dtype=np.float32)}
            save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        return folder.parent / name

    return add


@pytest.fixture
def other_process():
    """A function that runs Python code in another process until the block ends.

    The code prints one line when it is ready, and the process ends when its stdin closes.
    """

    @contextmanager
    def run(code="print('ready')"):
        wait = "; import sys; sys.stdout.flush(); sys.stdin.read()"
        process = subprocess.Popen(
            [sys.executable, "-c", code.replace("\n", ";") + wait],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        try:
            assert process.stdout.readline().strip(), "the other process did not start"
            yield process
        finally:
            process.communicate(timeout=20)

    return run
