"""A GGUF file, written: what it tells of a model and its tokenizer, and its tensors.

Knows llama.cpp's keys and the layout of the file
(https://github.com/ggml-org/ggml/blob/master/docs/gguf.md); how a tokenizer becomes a `Vocabulary`
is `gguf_vocab`'s business, and which tensors there are is that of `gguf_tensors`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tuillm.config.families import family_of
from tuillm.config.gpt_config import GPTConfig
from tuillm.convert.gguf_names import CHAT_TEMPLATE, HEAD_WIDTH_KEYS, PREFIX, SHAPE_KEYS
from tuillm.convert.gguf_pieces import Pieces
from tuillm.convert.gguf_roles import TokenRoles
from tuillm.convert.gguf_tensors import WrittenTensor, padded

if TYPE_CHECKING:
    from gguf import GGUFWriter

_ALIGNMENT = 32  # of each tensor's first byte, where a file does not say
# in the name of a model: llama.cpp wants it to have the tokens of that one
_TAKEN_NAME = re.compile("(phi)-?(3)", re.IGNORECASE)


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer as llama.cpp wants it told: how it comes to pieces, and all tokens by id.

    `ends` are the ids that end a reply, that of a text first, at most three. `chat_template` is a
    Jinja program, or "". `notes` are sentences on what is not the same there.
    """

    pieces: Pieces
    tokens: list[str]
    kinds: list[int]
    ends: tuple[int, ...]
    roles: TokenRoles
    chat_template: str = ""
    notes: tuple[str, ...] = ()


def write_gguf(
    path: Path,
    name: str,
    config: GPTConfig,
    vocabulary: Vocabulary,
    tensors: Sequence[WrittenTensor],
    dtype: str,
) -> None:
    """Write one GGUF file; `dtype` is that of its matrices.

    Tensors are written one after another. Raises OSError when the disk refuses, TuillmError for
    values that do not fit into a type.
    """
    from gguf import GGMLQuantizationType, GGUFWriter

    writer = GGUFWriter(path, config.family)
    _add_shape(writer, config)
    _add_general(writer, name, dtype)
    _add_vocabulary(writer, vocabulary)
    for each in tensors:
        # the kind decides; of uint8 the writer would expect a shape in bytes
        kind = GGMLQuantizationType[each.kind]
        writer.add_tensor_info(
            each.name, each.shape, np.dtype(np.float32), each.size, raw_dtype=kind
        )
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
    finally:
        writer.close()
    with path.open("ab") as file:
        for each in tensors:
            file.write(bytes(-file.tell() % _ALIGNMENT))
            for part in each.parts():
                file.write(part.data)
        file.write(bytes(-file.tell() % _ALIGNMENT))


def _add_shape(writer: "GGUFWriter", config: GPTConfig) -> None:
    """Tell the shape, as a `config.json` has it, under llama.cpp's keys."""
    told = family_of(config).config_json(config)
    told |= {"n_inner": config.inner_width, "head_dim": config.head_width}
    told |= {"n_positions": padded(config.block_size)}
    for key, name in SHAPE_KEYS[config.family].items():
        add = writer.add_float32 if isinstance(told[name], float) else writer.add_uint32
        add(f"{config.family}.{key}", told[name])
    for key in HEAD_WIDTH_KEYS if config.rotary else ():
        writer.add_uint32(f"{config.family}.{key}", config.head_width)


def _add_general(writer: "GGUFWriter", name: str, dtype: str) -> None:
    from gguf import GGML_QUANT_VERSION, LlamaFileType

    kinds = {
        "f32": LlamaFileType.ALL_F32,
        "f16": LlamaFileType.MOSTLY_F16,
        "bf16": LlamaFileType.MOSTLY_BF16,
        "q8_0": LlamaFileType.MOSTLY_Q8_0,
    }
    writer.add_name(_TAKEN_NAME.sub(r"\1 \2", name))
    writer.add_file_type(kinds[dtype])
    if dtype == "q8_0":
        writer.add_quantization_version(GGML_QUANT_VERSION)


def _add_vocabulary(writer: "GGUFWriter", vocabulary: Vocabulary) -> None:
    pieces, roles = vocabulary.pieces, vocabulary.roles
    writer.add_tokenizer_model(pieces.model)
    writer.add_tokenizer_pre(pieces.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.kinds)
    if pieces.scores is None:
        writer.add_token_merges(pieces.merges)
    else:
        lowest = min(pieces.scores.values(), default=1.0) - 1
        ids = range(len(vocabulary.tokens))
        writer.add_token_scores([pieces.scores.get(id, lowest) for id in ids])
    eos, eot, eom = (*vocabulary.ends, None, None)[:3]
    # llama.cpp has defaults, which would be any token of ours
    unknown = eos if roles.unknown is None and pieces.scores is not None else roles.unknown
    named = {
        "bos": eos if roles.bos is None else roles.bos,
        "eos": eos,
        "eot": eot,
        "eom": eom,
        "unknown": unknown,
        "padding": roles.padding,
    }
    for role, id in named.items():
        if id is not None and id < len(vocabulary.tokens):
            writer.add_uint32(f"{PREFIX}{role}_token_id", id)
    writer.add_add_bos_token(roles.adds_bos)
    writer.add_add_eos_token(roles.adds_eos)
    writer.add_add_space_prefix(pieces.adds_blank)
    if vocabulary.chat_template:
        writer.add_string(CHAT_TEMPLATE, vocabulary.chat_template)
