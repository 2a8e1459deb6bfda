"""The weights of a folder in Hugging Face's layout, in whichever of its kinds of files.

`model.safetensors`, the same in several parts, or the older `pytorch_model.bin`. Knows files and
which of them to take; what the tensors are called is `model`'s business.
"""

from pathlib import Path

from torch import Tensor

from tuillm.errors import TuillmError
from tuillm.formats.safetensors_header import read_header
from tuillm.formats.safetensors_index import INDEX, joined_tensors, read_index
from tuillm.model import GPT, read_config
from tuillm.model.hf_folder import model_from_tensors
from tuillm.model.mmap_safetensors import map_tensors
from tuillm.model.torch_files import Pickled

_WHOLE, _OLDER = "model.safetensors", "pytorch_model.bin"


def read_folder_model(folder: Path, weights: Path | None = None) -> GPT:
    """Return the model of a folder, from the file `weights` if it is given.

    Weights keep the precision that they are stored in.

    Raises TuillmError for another architecture, and for files that are missing, damaged, unsafe
    or do not fit the folder's config.json.
    """
    config = read_config(folder)
    paths = [weights] if weights else _weight_files(folder)
    tensors: dict[str, Tensor] = {}
    for path in paths:
        tensors |= map_tensors(path) if path.suffix == ".safetensors" else _pickled(path)
    return model_from_tensors(
        config, tensors, f"{paths[0]} does not fit its config.json", strict=True, as_stored=True
    )


def _pickled(path: Path) -> dict[str, Tensor]:
    file = Pickled(path)
    return file.tensors(file.values)


def _weight_files(folder: Path) -> list[Path]:
    if (folder / _WHOLE).exists():
        return [folder / _WHOLE]
    if (folder / INDEX).exists():
        return _parts(folder / INDEX)
    if (folder / _OLDER).exists():
        return [folder / _OLDER]
    raise TuillmError(f"{folder} has no weights", f"wanted: {_WHOLE} or {_OLDER}")


def _parts(index: Path) -> list[Path]:
    """Return the files an index names, all of them in its own folder, once they fit it."""
    named = read_index(index)
    paths = [index.parent / name for name in sorted(set(named.values()))]
    for path in paths:
        if not path.exists():
            raise TuillmError(f"{path} is missing")
    headers = {path.name: read_header(path) for path in paths}
    joined_tensors(named, headers, str(index))
    return paths
