"""A model of ours as a GGUF file, by llama.cpp's names and in its layout.

Knows tensors, and a vocabulary as llama.cpp wants it told; how a tokenizer becomes one is
`export_model`'s business. Tensors are written one after another, so that a model which lies mapped
in its file is never in memory as a whole.
"""

import errno
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuillm.errors import TuillmError, UsageError
from tuillm.model.gpt import GPT

if TYPE_CHECKING:
    from gguf import GGUFWriter

NORMAL, CONTROL, ADDED, UNUSED, BYTE = 1, 3, 4, 5, 6  # kinds of tokens, by GGUF's numbers
DTYPES = ("f32", "f16", "bf16", "q8_0")
# numbers that share a scale in llama.cpp's int8, and the bytes they take together
_BLOCK, _BLOCK_BYTES = 32, 34
_MULTIPLE = 256  # llama.cpp rounds a context up to a multiple of these, and looks them all up
_PARTS = {
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}
_ENDS = {"wte": "token_embd", "wpe": "position_embd", "ln_f": "output_norm", "lm_head": "output"}


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer as llama.cpp wants it told: by id the tokens and their kinds.

    `model` is 'gpt2' (pieces of bytes, joined by `merges`) or 'llama' (characters, and bytes for
    all others). `chat_template` is a Jinja program, or "".
    """

    model: str
    tokens: list[str]
    kinds: list[int]
    merges: list[str]
    eot: int
    chat_template: str = ""


def write_gguf(
    model: GPT, vocabulary: Vocabulary, path: Path, name: str, dtype: str = "f32"
) -> None:
    """Write a model as one GGUF file. `dtype` is that of the matrices: f32, f16, bf16 or q8_0.

    Where a model has no biases they are zeros; positions are padded to a multiple of 256 with
    the last one. A vocabulary of one entry more than the model has adds an end of text that is
    as unlikely as the rarest token. Raises TuillmError for a model that llama.cpp cannot
    compute, UsageError for another dtype, OSError when the disk refuses.
    """
    from gguf import GGMLQuantizationType, GGUFWriter

    check_for_gguf(model, dtype)
    writer = GGUFWriter(path, "gpt2")
    _describe(writer, model, name, dtype)
    _add_vocabulary(writer, vocabulary)
    exact, short = GGMLQuantizationType.F32, GGMLQuantizationType[dtype.upper()]
    more = _rarest(model) if len(vocabulary.tokens) > model.config.vocab_size else []
    tensors = list(_tensors(model, more))
    for label, tensor in tensors:
        kind = short if _is_matrix(label) else exact
        size = bytes_of(tensor.numel(), kind.name)
        # the kind decides; of uint8 the writer would expect a shape in bytes
        writer.add_tensor_info(
            label, tuple(tensor.shape), np.dtype(np.float32), size, raw_dtype=kind
        )
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for label, tensor in tensors:
            kind = short if _is_matrix(label) else exact
            writer.write_tensor_data(_stored(tensor, kind.name))
    except OSError as error:  # numpy tells no reason where a disk takes only part of an array
        raise OSError(error.errno or errno.EIO, error.strerror or "it took only a part") from None
    finally:
        writer.close()


def check_for_gguf(model: GPT, dtype: str) -> None:
    """Raise TuillmError or UsageError for what cannot be written as GGUF."""
    if dtype not in DTYPES:
        raise UsageError(f"dtype cannot be {dtype!r}", "allowed: " + ", ".join(DTYPES))
    if dtype == "q8_0" and model.config.n_embd % _BLOCK:
        raise TuillmError(
            f"q8_0 takes {_BLOCK} numbers at once, and the model's width is {model.config.n_embd}",
            "allowed here: f32, f16, bf16",
        )
    if not model.config.n_layer:
        raise TuillmError(
            "llama.cpp computes no model without layers, as bigram models are",
            "export it with --to hf",
        )


def bytes_of(numbers: int, dtype: str) -> int:
    """Return the bytes that so many numbers of a matrix take in a file of `dtype`."""
    name = dtype.lower()
    if name == "q8_0":
        return numbers // _BLOCK * _BLOCK_BYTES
    return numbers * (4 if name == "f32" else 2)


def padded(block_size: int) -> int:
    """Return how many positions a file holds for a context of `block_size`."""
    return math.ceil(block_size / _MULTIPLE) * _MULTIPLE


def _describe(writer: "GGUFWriter", model: GPT, name: str, dtype: str) -> None:
    from gguf import LlamaFileType

    config = model.config
    kinds = {
        "f32": LlamaFileType.ALL_F32,
        "f16": LlamaFileType.MOSTLY_F16,
        "bf16": LlamaFileType.MOSTLY_BF16,
        "q8_0": LlamaFileType.MOSTLY_Q8_0,
    }
    writer.add_name(name)
    writer.add_file_type(kinds[dtype])
    writer.add_context_length(padded(config.block_size))
    writer.add_embedding_length(config.n_embd)
    writer.add_feed_forward_length(4 * config.n_embd)
    writer.add_block_count(config.n_layer)
    writer.add_head_count(config.n_head)
    writer.add_layer_norm_eps(config.norm_eps)


def _add_vocabulary(writer: "GGUFWriter", vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre("gpt-2" if vocabulary.model == "gpt2" else "default")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.kinds)
    if vocabulary.model == "gpt2":
        writer.add_token_merges(vocabulary.merges)
    else:
        writer.add_token_scores([0.0] * len(vocabulary.tokens))
        writer.add_unk_token_id(vocabulary.eot)  # bytes stand for what is unknown
    writer.add_bos_token_id(vocabulary.eot)
    writer.add_eos_token_id(vocabulary.eot)
    if vocabulary.chat_template:
        writer.add_chat_template(vocabulary.chat_template)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)


def _tensors(model: GPT, more: list[int]) -> Iterator[tuple[str, Tensor]]:
    """Yield all tensors under llama.cpp's names; linear weights are [out, in] there as here.

    The rows `more` of the vocabulary come once again at its end.
    """
    for name, module in model.named_modules():
        if name == "lm_head" and model.config.tie_weights:
            continue
        weight, bias = (getattr(module, part, None) for part in ("weight", "bias"))
        if not isinstance(weight, Tensor):
            continue
        label, weight = _label(name), weight.detach()
        if more and name in ("wte", "lm_head"):
            weight = torch.cat([weight, weight[more]])
        if name == "wpe":
            rest = padded(len(weight)) - len(weight)
            weight = torch.cat([weight, weight[-1:].expand(rest, -1)])
        yield f"{label}.weight", weight
        if name not in ("wte", "wpe", "lm_head"):
            zeros = torch.zeros(len(weight))
            yield f"{label}.bias", zeros if bias is None else bias.detach()


@torch.inference_mode()
def _rarest(model: GPT) -> list[int]:
    """Return the id that a model finds least likely behind the others, as a list of one."""
    before = torch.arange(min(model.config.vocab_size, _MULTIPLE))[:, None]
    return [int(model.eval()(before)[:, 0].log_softmax(-1).mean(0).argmin())]


def _label(name: str) -> str:
    if name in _ENDS:
        return _ENDS[name]
    _, layer, part = name.split(".", 2)
    return f"blk.{layer}.{_PARTS[part]}"


def _is_matrix(label: str) -> bool:
    """Whether a tensor may be stored in fewer bits: llama.cpp adds the others up in f32."""
    return label.endswith(".weight") and "norm" not in label and label != "position_embd.weight"


def _stored(tensor: Tensor, kind: str) -> NDArray[np.generic]:
    """Return a tensor as the numpy array whose bytes go into the file."""
    tensor = tensor.cpu().float()
    if kind == "Q8_0":
        from gguf import GGMLQuantizationType
        from gguf.quants import quantize

        blocks: NDArray[np.generic] = quantize(
            tensor.contiguous().numpy(), GGMLQuantizationType.Q8_0
        )
        return blocks
    if kind == "BF16":  # numpy knows no bfloat16
        return tensor.bfloat16().contiguous().view(torch.int16).numpy()
    return (tensor.half() if kind == "F16" else tensor).contiguous().numpy()
