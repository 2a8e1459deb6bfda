"""A GGUF file as a Hugging Face folder: configuration, weights, tokenizer and chat template.

Knows which files a folder has and in which order they are made; what stands in them is the business
of the `gguf_*` modules beside it. The weights are written one tensor after the other.
"""

import errno
import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from tuillm.config.families import family_of, shape_of_config
from tuillm.config.gpt_config import GPTConfig
from tuillm.convert.gguf_names import POSITIONS
from tuillm.convert.gguf_reading import GGUFFile, read_gguf
from tuillm.convert.gguf_shape import shape_of_gguf
from tuillm.convert.gguf_tokenizer import GGUFTokenizer, tokenizer_of_gguf
from tuillm.convert.gguf_weights import PLAIN, hf_tensors, kinds_of, written_dtype
from tuillm.errors import TuillmError
from tuillm.formats.bounded_read import VOCABULARY_BYTES
from tuillm.formats.jinja_chat import TEMPLATE_FILE
from tuillm.model.save_safetensors import LazyTensor, save_tensors
from tuillm.store.files import disk_error


@dataclass(frozen=True)
class GGUFModel:
    """A model in a GGUF file that has been looked at, and not been dequantised yet."""

    file: GGUFFile
    config: GPTConfig
    tokenizer: GGUFTokenizer
    tensors: dict[str, LazyTensor]
    dtype: torch.dtype

    def write_texts(self, folder: Path) -> None:
        """Write all but the weights into a folder.

        Raises TuillmError for a vocabulary that tuillm could not read again, DiskError where there
        is no room for the weights, OSError as the disk does.
        """
        _refuse_if_full(folder, self.tensors)
        vocabulary = json.dumps(self.tokenizer.spec, ensure_ascii=False).encode()
        if len(vocabulary) > VOCABULARY_BYTES:
            raise TuillmError(
                f"the vocabulary of {self.file.path} is too large: {len(vocabulary):,} bytes as "
                f"tokenizer.json, where {VOCABULARY_BYTES:,} are the most there can be"
            )
        config, generation = self._configs()
        _write_json(folder / "config.json", config)
        _write_json(folder / "generation_config.json", generation)
        settings = self.tokenizer.config | {"model_max_length": self.config.block_size}
        _write_json(folder / "tokenizer_config.json", settings)
        (folder / "tokenizer.json").write_bytes(vocabulary)
        if self.tokenizer.chat_template:
            template = self.tokenizer.chat_template
            (folder / TEMPLATE_FILE).write_text(template, encoding="utf-8", newline="")

    def write_weights(self, folder: Path) -> None:
        """Write `model.safetensors`, one tensor after the other; raises OSError."""
        save_tensors(self.tensors, folder / "model.safetensors", {"format": "pt"})

    @property
    def notes(self) -> list[str]:
        """What was left out or assumed, in sentences."""
        notes = [_dtype_note(self.file, self.dtype)]
        positions = self.file.tensors.get(POSITIONS)
        if positions is not None and (padding := positions.shape[0] - self.config.block_size):
            notes.append(f"its last {padding} positions repeat one another and were left out")
        return [note for note in (*notes, *self.tokenizer.notes) if note]

    def _configs(self) -> tuple[dict[str, object], dict[str, object]]:
        """Return the contents of `config.json` and `generation_config.json`."""
        ends, bos = self.tokenizer.ends, self.tokenizer.bos
        end = ends[0] if ends else None
        found = family_of(self.config).config_json(self.config)
        if shape_of_config(found, self.file.path) != self.config:
            raise TuillmError(
                f"{self.file.path} has a shape that a {self.config.family} of Hugging Face cannot"
            )
        dtype = str(self.dtype).removeprefix("torch.")
        config = found | {"bos_token_id": bos, "eos_token_id": end, "dtype": dtype}
        several = list(ends) if len(ends) > 1 else end
        return config, {"bos_token_id": bos, "eos_token_id": several, "pad_token_id": end}


def open_gguf_model(path: Path) -> GGUFModel:
    """Return the model in a GGUF file, checked as a whole; no weights are made yet.

    Raises TuillmError for a file that is damaged, claims more than a model has, or holds what
    tuillm does not compute.
    """
    file = read_gguf(path)
    config = shape_of_gguf(file)
    tokenizer = tokenizer_of_gguf(file, config.vocab_size)
    dtype = written_dtype(file)
    return GGUFModel(file, config, tokenizer, hf_tensors(file, config, dtype), dtype)


def write_gguf_folder(path: Path, folder: Path) -> list[str]:
    """Write the model of a GGUF file into an empty folder as Hugging Face has it.

    Returns what a person should know of it, in sentences. Nothing is written where the file is
    refused with TuillmError; OSError and DiskError tell what the disk refused.
    """
    model = open_gguf_model(path)
    model.write_texts(folder)
    model.write_weights(folder)
    return model.notes


def _refuse_if_full(folder: Path, tensors: dict[str, LazyTensor]) -> None:
    needed = sum(math.prod(each.shape) * each.dtype.itemsize for each in tensors.values())
    if shutil.disk_usage(folder).free < needed + VOCABULARY_BYTES:
        raise disk_error(OSError(errno.ENOSPC, ""), folder)


def _dtype_note(file: GGUFFile, dtype: torch.dtype) -> str:
    """Say how the weights are written where that is not how they are stored."""
    kinds = kinds_of(file)
    if len(kinds) == 1 and PLAIN.get(kinds[0]) == dtype:
        return ""
    return (
        f"its weights, stored as {' and '.join(kinds)}, were written as "
        f"{str(dtype).removeprefix('torch.')}, which holds them exactly"
    )


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
