"""Models are as readable as other files, whatever the library that writes them thinks."""

import errno
import os

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from tuillm.model.saving import disk_errors, save_tensors
from tuillm.store.export import export_model


@pytest.fixture(params=[0o022, 0o077])
def readable(request):
    """The mode of a new file while this umask holds."""
    before = os.umask(request.param)
    yield 0o666 & ~request.param
    os.umask(before)


def test_tensors_are_written_like_any_new_file(tmp_path, readable):
    """The umask decides who can read them, the first time and when they are written over."""
    path = tmp_path / "a.safetensors"
    for number in (1.0, 2.0):
        save_tensors({"a": torch.tensor([number])}, path, {"format": "pt"})
        assert path.stat().st_mode & 0o777 == readable
    assert load_file(path)["a"].tolist() == [2.0]


@pytest.mark.parametrize(("told", "number"), [
    ("I/O error: No space left on device (os error 28)", errno.ENOSPC),
    ("I/O error: Input/output error (os error 5)", errno.EIO),
])
def test_a_disk_that_refuses_tensors_is_an_os_error(told, number):
    """What safetensors calls an error of its own is what the disk said."""
    with pytest.raises(OSError) as caught, disk_errors():
        raise SafetensorError(told)
    assert caught.value.errno == number


def test_an_exported_model_can_be_read_by_others(add_model, tmp_path, readable):
    """Even where the registry's own file is private, as older versions left it."""
    add_model("ant").joinpath("model.safetensors").chmod(0o600)
    export_model("ant", tmp_path / "out")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()}
    assert modes["model.safetensors"] == readable
