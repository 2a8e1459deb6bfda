"""The weights of a folder in Hugging Face's layout, in whichever of its kinds of files.

`model.safetensors`, the same in several parts, or the older `pytorch_model.bin`. Knows files and
which of them to take; what the tensors are called is `model`'s business.
"""

from pathlib import Path

from torch import Tensor

from tuillm.errors import TuillmError
from tuillm.formats.bounded_read import INDEX_BYTES
from tuillm.model import GPT, read_config
from tuillm.model.hf_folder import model_from_tensors
from tuillm.model.mmap_safetensors import map_tensors
from tuillm.model.torch_files import Pickled
from tuillm.store.files import read_json

_WHOLE, _PARTS, _OLDER = "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"


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
    if (folder / _PARTS).exists():
        return _parts(folder / _PARTS)
    if (folder / _OLDER).exists():
        return [folder / _OLDER]
    raise TuillmError(f"{folder} has no weights", f"wanted: {_WHOLE} or {_OLDER}")


def _parts(index: Path) -> list[Path]:
    """Return the files an index names, all of them in its own folder."""
    named = read_json(index, INDEX_BYTES).get("weight_map")
    names = set(named.values()) if isinstance(named, dict) else set()
    if not names or any(not isinstance(name, str) or Path(name).name != name for name in names):
        raise TuillmError(f"{index} is damaged: it names no files")
    missing = [name for name in sorted(names) if not (index.parent / name).exists()]
    if missing:
        raise TuillmError(f"{index.parent / missing[0]} is missing")
    return [index.parent / name for name in sorted(names)]
