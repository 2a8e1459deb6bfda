"""Models that go out: as a folder for transformers, as one GGUF file, or with what ollama wants.

Nothing half-written is ever seen under the name asked for.
"""

import re
import shutil
from dataclasses import dataclass
from errno import ENOSPC
from pathlib import Path

from tuillm.convert.gguf import Vocabulary, bytes_of, check_for_gguf, padded, write_gguf
from tuillm.convert.gguf_vocab import vocabulary_of
from tuillm.convert.ollama import modelfile
from tuillm.errors import TuillmError, UsageError, did_you_mean
from tuillm.model import GPT, read_config, read_model
from tuillm.store.chat_template import mode_of
from tuillm.store.export_folder import export_model, refuse_if_filled
from tuillm.store.files import disk_error, new_file, new_folder, write_text
from tuillm.store.registry import Model
from tuillm.store.run_checkpoints import resolve_model
from tuillm.text import load_tokenizer

FORMATS = ("hf", "gguf", "ollama")


@dataclass(frozen=True)
class Exported:
    """What was written where, and what a person should know of it."""

    path: Path
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
        return Exported(target)
    if to not in FORMATS:
        raise UsageError(
            f"there is no format {to!r}", did_you_mean(to, FORMATS, ", ".join(FORMATS))
        )
    found, dtype = resolve_model(name), dtype or "f32"
    path = target
    if to == "ollama":
        refuse_if_filled(target)
    else:
        path = target if target.suffix == ".gguf" else target / f"{_plain(found.name)}.gguf"
        if path.exists():
            raise TuillmError(f"{path} is there already", "name another, or remove it first")
    model, vocabulary = _prepared(found, dtype)
    _refuse_if_full(path, model, dtype)
    if to == "gguf":
        with new_file(path) as file:
            write_gguf(model, vocabulary, file, _plain(found.name), dtype)
    else:
        with new_folder(target) as folder:
            name = _plain(found.name)  # it stands in the Modelfile
            write_gguf(model, vocabulary, folder / f"{name}.gguf", name, dtype)
            write_text(
                folder / "Modelfile",
                modelfile(mode_of(found), f"{name}.gguf", model.config.block_size),
            )
    return Exported(path, _notes(model))


def _plain(name: str) -> str:
    """A folder's name, which need not be one of ours, as every program can read it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip(".-") or "model"


def _prepared(found: Model, dtype: str) -> tuple[GPT, Vocabulary]:
    """Return weights and vocabulary; whatever speaks against the file is raised here."""
    family = read_config(found.path).family
    if family != "gpt2":
        raise TuillmError(
            f"{found.name} is a {family}, and tuillm writes GGUF files of GPT-2s only",
            f"llama.cpp's convert_hf_to_gguf.py reads its folder: {found.path}",
        )
    model, tokenizer = read_model(found.path), load_tokenizer(found.path)
    check_for_gguf(model, dtype)
    size = model.config.vocab_size
    vocabulary = vocabulary_of(tokenizer, size)
    if len(vocabulary.tokens) > size + (tokenizer.eot is None):
        raise TuillmError(
            f"{found.path} is damaged: its tokenizer has {tokenizer.n_vocab:,} "
            f"entries, its weights only {size:,}"
        )
    return model, vocabulary


def _refuse_if_full(path: Path, model: GPT, dtype: str) -> None:
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    needed = bytes_of(model.parameter_count, dtype)
    if folder.is_dir() and shutil.disk_usage(folder).free < needed:
        raise disk_error(OSError(ENOSPC, ""), path)


def _notes(model: GPT) -> tuple[str, ...]:
    size, notes = model.config.block_size, []
    if padded(size) != size:
        notes.append(
            f"it has learned {size} positions; llama.cpp would go on to {padded(size)}, "
            f"where its output is noise: keep prompt and reply within {size} tokens"
        )
    if model.config.exact_gelu:
        notes.append(
            "llama.cpp computes GPT-2's tanh approximation of this model's exact GELU: "
            "its figures differ a little"
        )
    return tuple(notes)
