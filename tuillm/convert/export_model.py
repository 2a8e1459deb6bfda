"""Models that go out: as a folder for transformers, as one GGUF file, or with what ollama wants.

Nothing half-written is ever seen under the name asked for.
"""

import re
import shutil
from dataclasses import dataclass
from errno import ENOSPC
from pathlib import Path

from tuillm.convert.gguf_export import GGUFExport, open_for_gguf
from tuillm.convert.ollama import chat_of, context_of, modelfile
from tuillm.errors import TuillmError, UsageError, did_you_mean
from tuillm.store.export_folder import export_model, refuse_if_filled
from tuillm.store.files import disk_error, new_file, new_folder, write_text
from tuillm.store.model_sampling import model_sampling
from tuillm.store.run_checkpoints import resolve_model

FORMATS = ("hf", "gguf", "ollama")


@dataclass(frozen=True)
class Exported:
    """What was written where, under which name, and what a person should know of it."""

    path: Path
    name: str
    notes: tuple[str, ...] = ()


def export(name: str, target: Path, to: str = "hf", dtype: str | None = None) -> Exported:
    """Write the model `name` to `target` as `to`: hf, gguf or ollama.

    hf and ollama make a new folder; gguf the file NAME.gguf in a folder, or the file itself where
    the target is called so. `dtype` (f32, f16, bf16, q8_0; None is f32) is for the last two. Raises
    TuillmError when the target is there already, for an unknown or damaged model, for one that
    the format cannot hold, and when the disk refuses; UsageError for another format or dtype.
    """
    if to == "hf" and dtype is not None:
        raise UsageError("hf keeps the weights as they are", "--dtype is for gguf and ollama")
    if to == "hf":
        export_model(name, target)
        return Exported(target, name)
    if to not in FORMATS:
        raise UsageError(
            f"there is no format {to!r}", did_you_mean(to, FORMATS, ", ".join(FORMATS))
        )
    found = resolve_model(name)
    path = target
    if to == "ollama":
        refuse_if_filled(target)
    else:
        path = target if target.suffix == ".gguf" else target / f"{_plain(found.name)}.gguf"
        if path.exists():
            raise TuillmError(f"{path} is there already", "name another, or remove it first")
    opened = open_for_gguf(found.path, dtype or "f32")
    _refuse_if_full(path, opened)
    name, notes = _plain(found.name), opened.notes
    if to == "gguf":
        with new_file(path) as file:
            opened.write(file, name)
    else:
        chat = chat_of(found, opened.vocabulary)
        notes += [*chat.notes, *_context_notes(opened)]
        with new_folder(target) as folder:
            opened.write(folder / f"{name}.gguf", name)
            sampling = model_sampling(found.path)
            lines = modelfile(chat, f"{name}.gguf", opened.config, sampling)
            write_text(folder / "Modelfile", lines)
    return Exported(path, name, tuple(notes))


def _plain(name: str) -> str:
    """A folder's name, which need not be one of ours, as every program can read it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip(".-") or "model"


def _refuse_if_full(path: Path, opened: GGUFExport) -> None:
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if folder.is_dir() and shutil.disk_usage(folder).free < opened.size:
        raise disk_error(OSError(ENOSPC, ""), path)


def _context_notes(opened: GGUFExport) -> list[str]:
    whole, kept = opened.config.block_size, context_of(opened.config)
    if kept == whole:
        return []
    return [f"num_ctx in the Modelfile is {kept:,} of the model's {whole:,} tokens, to save memory"]
