"""Models that leave the registry as they are: a folder that transformers and the hub take.

Knows folders and cards; other formats are `convert`'s business.
"""

import os
from pathlib import Path

from tuillm.errors import TuillmError
from tuillm.store.copy_files import copy_files
from tuillm.store.files import new_folder, write_text
from tuillm.store.hub.base_model import base_of
from tuillm.store.model_card import README, model_readme
from tuillm.store.paths import models_dir
from tuillm.store.run_checkpoints import resolve_model


def export_model(name: str, target: Path) -> None:
    """Copy a model's folder to `target`, where transformers can load it without us.

    A model card `README.md` is laid beside it. `target` may be an empty folder; raises
    TuillmError when it holds anything, and when the model is unknown or damaged or holds links
    that lead out of its folder.
    """
    model = resolve_model(name)
    refuse_if_filled(target)
    with new_folder(target) as folder:
        copy_files(model.path, folder)
        if not (folder / README).exists():
            write_text(folder / README, model_readme(model, base_of(model)))


def refuse_if_filled(target: Path) -> None:
    """Raise TuillmError where there is anything but an empty folder, or within the registry."""
    if Path(os.path.realpath(target)).is_relative_to(os.path.realpath(models_dir())):
        raise TuillmError(
            f"{target} lies in the registry of models",
            "name a folder outside; a copy under another name: tuillm cp",
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise TuillmError(f"{target} is there already", "name a new or an empty folder")
