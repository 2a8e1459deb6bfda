"""The compiled library as Python calls it: the structures and the one function of `forward.c`.

All pointers are addresses of memory that the caller keeps alive. Knows no tensors.
"""

import ctypes
from ctypes import POINTER, Structure, byref, c_float, c_int32, c_void_p
from pathlib import Path

KINDS = {"float32": 0, "bfloat16": 1, "int8": 2}
LANES = 16  # rows of a block of weights
STRETCH = 256  # positions of a block of the KV cache
GROUP = 64  # columns are padded to a multiple of it


class Matrix(Structure):
    """A weight [rows, cols], cols padded to GROUP, in blocks of LANES rows; its scales and bias."""

    _fields_ = [
        ("kind", c_int32),
        ("rows", c_int32),
        ("cols", c_int32),
        ("data", c_void_p),
        ("scales", c_void_p),
        ("bias", c_void_p),
    ]


class Norm(Structure):
    """A norm's gain and bias [C]; the bias may be None, and the gain of one there is not."""

    _fields_ = [("gain", c_void_p), ("bias", c_void_p)]


class Layer(Structure):
    """A block: attention, with or without norms of its heads, then the perceptron."""

    _fields_ = [
        ("ln_1", Norm),
        ("c_attn", Matrix),
        ("c_proj", Matrix),
        ("q_norm", Norm),
        ("k_norm", Norm),
        ("ln_2", Norm),
        ("c_fc", Matrix),
        ("c_out", Matrix),
    ]


class Model(Structure):
    """A whole model; `embedding` and `head` may be the same matrix, `positions` None."""

    _fields_ = [
        ("n_layer", c_int32),
        ("n_head", c_int32),
        ("kv_heads", c_int32),
        ("head_dim", c_int32),
        ("width", c_int32),
        ("inner", c_int32),
        ("vocab", c_int32),
        ("exact_gelu", c_int32),
        ("rms_norm", c_int32),
        ("gated", c_int32),
        ("eps", c_float),
        ("layers", POINTER(Layer)),
        ("embedding", POINTER(Matrix)),
        ("head", POINTER(Matrix)),
        ("positions", c_void_p),
        ("ln_f", Norm),
    ]


class GivenCache(Structure):
    """A KV cache of which `length` positions are filled, and the addresses of its blocks.

    Each holds STRETCH positions of all layers: [n_layer, 2, batch, K, STRETCH, D padded to LANES],
    in bfloat16 where it is `half`, else in float32.
    """

    _fields_ = [
        ("blocks", POINTER(c_void_p)),
        ("half", c_int32),
        ("batch", c_int32),
        ("length", c_int32),
    ]


class Library:
    """The functions of the compiled file."""

    def __init__(self, path: Path) -> None:
        """Load it; raises OSError where it cannot be."""
        self._forward = ctypes.CDLL(str(path)).tuillm_forward
        self._forward.argtypes = (
            *(POINTER(Model), POINTER(GivenCache)),
            *(c_int32, c_int32, c_void_p, c_void_p, c_void_p, c_void_p, c_int32),
        )
        self._forward.restype = c_int32

    def forward(
        self,
        model: Model,
        cache: GivenCache,
        new: int,
        last: int,
        ids: int,
        turn: tuple[int, int] | None,
        logits: int,
        threads: int,
    ) -> None:
        """Read `new` ids of each row; write the logits of the `last` of them.

        `ids` is the address of int64 [batch, new], `logits` that of float32 [batch, last, V], and
        `turn` those of the cosines and sines [new, D / 2] of rotary positions. Raises MemoryError,
        and IndexError for an id that the vocabulary does not have.
        """
        angles = turn or (None, None)
        code = self._forward(byref(model), byref(cache), new, last, ids, *angles, logits, threads)
        if code == -2:
            raise IndexError(f"ids are 0 to {model.vocab - 1}")
        if code:
            raise MemoryError("no memory for a forward pass")


__all__ = [
    "GROUP",
    "KINDS",
    "LANES",
    "STRETCH",
    "GivenCache",
    "Layer",
    "Library",
    "Matrix",
    "Model",
    "Norm",
]
