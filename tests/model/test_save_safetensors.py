"""Files of tensors are those that the library writes, and need no second copy in memory."""

import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from tuillm.model.save_safetensors import LazyTensor, save_tensors

SAVING = """
import resource, sys
from pathlib import Path
from tuillm.config.gpt_config import GPTConfig
from tuillm.model import GPT, write_model
model = GPT(GPTConfig(1000, 64, 8, 8, 1024, 0.0, True, True))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
write_model(model, Path(sys.argv[1]), None)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(4 * model.parameter_count, 1024 * grown)
"""


def test_the_file_is_the_one_the_library_writes(tmp_path):
    """Byte by byte, for all types that a checkpoint has, empty and single values among them."""
    torch.manual_seed(0)
    tensors = {
        "b.weight": torch.randn(3, 5),
        "a.weight": torch.randn(7).to(torch.bfloat16),
        "half": torch.randn(2, 2).half(),
        "rng": torch.get_rng_state(),
        "step": torch.tensor(7.0),
        "count": torch.tensor([3]),
        "none": torch.zeros(0, 4),
        "int8": torch.randint(-128, 127, (9,), dtype=torch.int8),
        "flag": torch.tensor([True, False]),
        "wide": torch.randn(2, dtype=torch.float64),
    }
    save_file(tensors, tmp_path / "theirs", metadata={"format": "pt"})
    save_tensors(tensors, tmp_path / "ours", {"format": "pt"})
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_tensors_may_be_turned_and_made_late(tmp_path):
    """What is read is what was meant, whatever its strides; another shape than told is refused."""
    whole = torch.arange(12.0).reshape(3, 4)
    late = LazyTensor((4, 3), torch.float32, whole.t)
    save_tensors({"turned": whole.t(), "late": late, "part": whole[:, 1:3]}, tmp_path / "file")
    read = load_file(tmp_path / "file")
    assert torch.equal(read["turned"], whole.t()) and torch.equal(read["late"], whole.t())
    assert torch.equal(read["part"], whole[:, 1:3])
    with pytest.raises(ValueError, match="was to be"):
        save_tensors({"late": LazyTensor((4, 4), torch.float32, whole.t)}, tmp_path / "file")


def test_a_disk_that_takes_little_at_a_time(tmp_path):
    """A write may be partial, as into a pipe: all of it arrives."""
    os.mkfifo(tmp_path / "pipe")
    tensors = {"a": torch.randn(300_000)}
    with (
        (tmp_path / "arrived").open("wb") as file,
        subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=file),
    ):
        save_tensors(tensors, tmp_path / "pipe")
    save_tensors(tensors, tmp_path / "file")
    assert (tmp_path / "arrived").read_bytes() == (tmp_path / "file").read_bytes()


@pytest.mark.slow
def test_a_model_is_written_without_a_second_copy(tmp_path):
    """Of 400 MB of weights a tenth more is in memory while they are written: the largest tensor."""
    done = subprocess.run(
        [sys.executable, "-c", SAVING, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    weights, grown = map(int, done.stdout.split())
    assert weights > 400_000_000 and grown < weights / 10
