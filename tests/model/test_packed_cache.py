"""Packed weights of large models are kept, mapped at the next start, packed again if in doubt."""

import json
import os
from dataclasses import replace

import pytest
import torch

from tuillm.model import GPT, GPTConfig, NativeGPT, load_decoder, packed_cache, write_model
from tuillm.model.packed_cache import packed_files, packed_weights

SHAPE = GPTConfig(300, 48, 2, 4, 128, 0.0, True, True)
CPU, IDX = torch.device("cpu"), torch.arange(40)[None]
DTYPES = ["float32", "bfloat16", "int8"]


@pytest.fixture(autouse=True)
def small_is_worth_it(monkeypatch, native_library):
    """Let the cache keep models of any size."""
    if native_library is None:
        pytest.skip("no C compiler")
    monkeypatch.setattr(packed_cache, "_WORTH_KEEPING", 0)


@pytest.fixture
def folder(tmp_path):
    """A model folder of random weights."""
    return write(tmp_path / "model", 0)


def write(folder, seed, shape=SHAPE):
    """Write a random model; return its folder."""
    folder.mkdir(exist_ok=True)
    model, generator = GPT(shape), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for values in model.parameters():
            values.normal_(0, 0.1, generator=generator)
    write_model(model, folder, None)
    return folder


@torch.inference_mode()
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_second_start_maps_what_the_first_packed(folder, home, dtype, monkeypatch):
    """The same logits to the last bit, without a look at the weights."""
    first = load_decoder(folder, getattr(torch, dtype), CPU)(IDX)
    assert len(packed_files()) == 1
    monkeypatch.setattr("tuillm.model.decoder.read_model", None)
    again = load_decoder(folder, getattr(torch, dtype), CPU)
    assert isinstance(again, NativeGPT) and torch.equal(again(IDX), first)


@torch.inference_mode()
def test_other_weights_are_another_file(folder, home, tmp_path):
    """A model trained further in its place, and one of the same size and time elsewhere."""
    first = load_decoder(folder, torch.float32, CPU)(IDX)
    times = os.stat(folder / "model.safetensors")
    other = write(tmp_path / "other", 1)
    os.utime(other / "model.safetensors", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert not torch.equal(load_decoder(other, torch.float32, CPU)(IDX), first)
    write(folder, 2)
    assert not torch.equal(load_decoder(folder, torch.float32, CPU)(IDX), first)


@torch.inference_mode()
def test_another_config_is_another_model(folder, home):
    """Weights that are kept are used for the shape that config.json has now."""
    first = load_decoder(folder, torch.float32, CPU)(IDX)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"n_head": 2}))
    again = load_decoder(folder, torch.float32, CPU)
    assert again.config.n_head == 2 and not torch.equal(again(IDX), first)


@torch.inference_mode()
@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff" * 5000])
def test_a_damaged_file_is_packed_again(folder, home, damage):
    """A cache may lose anything: nothing that is cut short or no such file is computed with."""
    first = load_decoder(folder, torch.float32, CPU)(IDX)
    packed_files()[0].write_bytes(damage)
    assert packed_weights(folder / "model.safetensors", SHAPE, "float32") is None
    assert torch.equal(load_decoder(folder, torch.float32, CPU)(IDX), first)
    assert packed_weights(folder / "model.safetensors", SHAPE, "float32") is not None


def test_what_is_not_used_makes_room(folder, home, tmp_path, monkeypatch):
    """The one not used for longest goes first; one that has no room at all is not kept."""
    load_decoder(folder, torch.float32, CPU)
    size = packed_files()[0].stat().st_size
    others = [write(tmp_path / f"other{number}", number) for number in (1, 2)]
    monkeypatch.setattr(packed_cache, "_MOST", int(2.5 * size))
    load_decoder(others[0], torch.float32, CPU)
    first, second = packed_files()
    os.utime(second, (1, 1))
    load_decoder(folder, torch.float32, CPU)  # used again
    load_decoder(others[1], torch.float32, CPU)
    assert first in packed_files() and second not in packed_files()
    monkeypatch.setattr(packed_cache, "_MOST", size // 2)
    large = write(tmp_path / "large", 4, replace(SHAPE, n_layer=3))
    assert isinstance(load_decoder(large, torch.float32, CPU), NativeGPT)
    assert len(packed_files()) == 2


@torch.inference_mode()
def test_a_disk_that_refuses_costs_nothing_but_time(folder, home, monkeypatch):
    """Without room in the cache the model is packed into memory."""
    first = load_decoder(folder, torch.float32, CPU)(IDX)
    packed_files()[0].unlink()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert torch.equal(load_decoder(folder, torch.float32, CPU)(IDX), first)
    assert packed_files() == []
    assert not [path for path in (home / "cache" / "packed").rglob("*") if path.is_file()]


@torch.inference_mode()
def test_the_file_may_be_deleted_while_it_is_in_use(folder, home):
    """What is mapped stays."""
    load_decoder(folder, torch.float32, CPU)
    model = load_decoder(folder, torch.float32, CPU)
    packed_files()[0].unlink()
    assert torch.isfinite(model(IDX)).all()
