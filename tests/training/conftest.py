"""One thread for the tiny trainings here: two would wait for each other on a busy machine."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """This process, and the workers it starts, compute with a single thread."""
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
