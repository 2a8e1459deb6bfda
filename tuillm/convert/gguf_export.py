"""A model folder as one GGUF file: looked at as a whole, then written tensor by tensor.

The other direction is `gguf_import`. Knows folders and what a person should know of a file; what
stands in it is the business of the `gguf_*` modules beside it.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from tuillm.config.gpt_config import GPTConfig
from tuillm.convert.gguf import Vocabulary, write_gguf
from tuillm.convert.gguf_roles import roles_of
from tuillm.convert.gguf_tensors import WrittenTensor, gguf_tensors, padded
from tuillm.convert.gguf_vocab import vocabulary_of
from tuillm.model import GPT, read_model
from tuillm.model.hf_folder import read_weights
from tuillm.text import load_tokenizer

_AT_ONCE = 256
_HEADER_BYTES = 1 << 20


@dataclass(frozen=True)
class GGUFExport:
    """A model that can be written as a GGUF file; no tensor has been converted yet."""

    config: GPTConfig
    vocabulary: Vocabulary
    tensors: list[WrittenTensor]
    dtype: str

    @property
    def size(self) -> int:
        """The bytes that the file takes, its header at least as large as it is."""
        tokens = sum(len(token.encode()) + 16 for token in self.vocabulary.tokens)
        merges = sum(len(merge.encode()) + 8 for merge in self.vocabulary.pieces.merges)
        return sum(each.size for each in self.tensors) + tokens + merges + _HEADER_BYTES

    @property
    def notes(self) -> list[str]:
        """What a person should know of the file, in sentences."""
        size, notes = self.config.block_size, list(self.vocabulary.notes)
        if not self.config.rotary and padded(size) != size:
            notes.append(
                f"it has learned {size} positions; llama.cpp would go on to {padded(size)}, "
                f"where its output is noise: keep prompt and reply within {size} tokens"
            )
        if self.config.exact_gelu:
            notes.append(
                "llama.cpp computes GPT-2's tanh approximation of this model's exact GELU: "
                "its figures differ a little"
            )
        kinds = [each.kind for each in self.tensors]
        if self.dtype == "q8_0" and (longer := kinds.count("F16")):
            notes.append(
                f"{longer} of its {longer + kinds.count('Q8_0')} matrices are f16: "
                "q8_0 takes rows of a multiple of 32 numbers"
            )
        return notes

    def write(self, path: Path, name: str) -> None:
        """Write the file, which says that it is called `name`.

        Raises OSError when the disk refuses, TuillmError for values that do not fit into a type.
        """
        write_gguf(path, name, self.config, self.vocabulary, self.tensors, self.dtype)


def open_for_gguf(folder: Path, dtype: str = "f32") -> GGUFExport:
    """Return the model of a folder as it can be written; `dtype` is that of the matrices.

    It is f32, f16, bf16 or q8_0. Where a GPT-2 has no biases they are zeros; its positions are
    padded to a multiple of 256 with the last one. A tokenizer without an end gets one that is as
    unlikely as the rarest token. Raises TuillmError for a damaged folder, for a model that
    llama.cpp does not compute and a tokenizer to whose ids it would not come, UsageError for
    another dtype.
    """
    weights, tokenizer = read_weights(folder), load_tokenizer(folder)
    rows = weights.config.vocab_size
    gguf_tensors(weights, dtype)  # what cannot be written is refused before all else
    tokenizer.refuse_beyond(rows, folder)
    vocabulary = vocabulary_of(tokenizer, rows, roles_of(folder, tokenizer))
    more = _rarest(read_model(folder)) if len(vocabulary.tokens) > rows else []
    return GGUFExport(weights.config, vocabulary, gguf_tensors(weights, dtype, more), dtype)


@torch.inference_mode()
def _rarest(model: GPT) -> list[int]:
    """Return the id that a model finds least likely behind the others, as a list of one."""
    before = torch.arange(min(model.config.vocab_size, _AT_ONCE))[:, None]
    return [int(model.eval()(before)[:, 0].log_softmax(-1).mean(0).argmin())]
