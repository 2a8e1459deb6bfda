"""Models are as readable as other files, whatever the library that writes them thinks."""

import errno
import os
import resource

import pytest
import torch
from safetensors.torch import load_file

from tuillm.model.save_safetensors import save_tensors
from tuillm.store.export_folder import export_model


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


def test_a_disk_that_refuses_tensors_is_an_os_error(tmp_path):
    """What safetensors calls an error of its own is what the disk said, and of which file."""
    path = tmp_path / "a.safetensors"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError) as caught:
            save_tensors({"a": torch.zeros(1000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))


def test_an_exported_model_can_be_read_by_others(add_model, tmp_path, readable):
    """Even where the registry's own file is private, as older versions left it."""
    add_model("ant").joinpath("model.safetensors").chmod(0o600)
    export_model("ant", tmp_path / "out")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()}
    assert modes["model.safetensors"] == readable
