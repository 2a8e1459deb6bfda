"""A GPT that is computed by the native library: called like `GPT`, for decoding alone.

Knows how the library is called; how the weights lie is the business of `native_layout`.
"""

import ctypes
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from tuillm.config.context_memory import cache_item_bytes
from tuillm.config.gpt_config import LOGITS_AT_ONCE, GPTConfig
from tuillm.model.chunked_loss import IGNORED
from tuillm.model.kv_cache import BlockCache, Cache, huge_memory
from tuillm.model.native_layout import Layout, rounded
from tuillm.model.rotary import Rotary
from tuillm.native.library import GROUP, KINDS, GivenCache, Layer, Library, Matrix, Model, Norm

# tokens of a call: work memory stays small, and Ctrl-C ends it in between; and the fewest of which
# logits are computed at once
_AT_ONCE, _LEAST = 512, 64


class NativeGPT:
    """`model(idx [B, T], cache) -> logits [B, T, V]` in float32; see `GPT.forward`.

    Takes its weights from a block of memory in the order of `Layout`.
    """

    def __init__(self, library: Library, layout: Layout, memory: Tensor) -> None:
        self.config = layout.config
        self.dtype = torch.int8 if layout.dtype == "int8" else getattr(torch, layout.dtype)
        self.device = torch.device("cpu")
        self.kernel, self.packed_dtype = "native", layout.dtype
        # on how many threads it is fastest, None: not known; and on how many it is computed,
        # None: on those of PyTorch
        self.threads: int | None = None
        self.run_threads: int | None = None
        self.training = False
        self.half_cache = cache_item_bytes(self.config, layout.dtype) == 2
        self._library, self._memory = library, memory
        self._tensors = layout.tensors(memory)
        self._model = _structure(self.config, layout.dtype, self._tensors)
        self._rotary = Rotary(self.config) if self.config.rotary else None

    @classmethod
    def of(
        cls, library: Library, config: GPTConfig, weights: Mapping[str, Tensor], dtype: str
    ) -> "NativeGPT":
        """Return a model of weights by their names in `GPT`, packed in `dtype`."""
        layout = Layout(config, dtype)
        memory = huge_memory(layout.size)
        layout.fill(memory, weights)
        return cls(library, layout, memory)

    def __call__(self, idx: Tensor, cache: Cache | None = None, last: int = 0) -> Tensor:
        """Return logits [B, T, V], or of the `last` positions alone, as `GPT.forward` does."""
        B, T = idx.shape
        last = last or T
        cache = cache or self.new_cache(B)
        if cache.length + T > self.config.block_size:
            raise ValueError(
                f"{cache.length + T} positions, but block_size is {self.config.block_size}"
            )
        idx = idx.to(torch.int64).contiguous()
        step = max(1, _AT_ONCE // B)
        if T <= step:
            return self._forward(idx, cache, last)
        found = [
            self._forward(part.contiguous(), cache, min(part.shape[1], max(0, last - left)))
            for part, left in _parts(idx, step)
        ]
        return torch.cat(found, 1)

    def new_cache(self, batch: int = 1) -> BlockCache:
        """Return an empty cache for so many sequences."""
        return BlockCache(self.config, batch, half=self.half_cache)

    def loss(self, idx: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy in nats per token, as `GPT.loss` does."""
        B, T = idx.shape
        wanted = F.pad(targets, (T - targets.shape[1], 0), value=IGNORED)  # [B, T]
        step = max(_LEAST, LOGITS_AT_ONCE // (self.config.vocab_size * B))
        cache, total = self.new_cache(B), torch.zeros(())
        for ids, part in zip(idx.split(step, 1), wanted.split(step, 1), strict=True):
            logits = self(ids, cache).flatten(0, 1)
            total += F.cross_entropy(logits, part.flatten(), ignore_index=IGNORED, reduction="sum")
        return total / (wanted != IGNORED).sum()

    def eval(self) -> "NativeGPT":
        """Return itself: it does not train."""
        return self

    def train(self, mode: bool = True) -> "NativeGPT":
        """Return itself; raises ValueError for True, since it cannot train."""
        if mode:
            raise ValueError("a packed model cannot train")
        return self

    def _forward(self, idx: Tensor, cache: Cache, last: int) -> Tensor:
        B, T = idx.shape
        start = cache.length
        if not isinstance(cache, BlockCache) or not cache.suits(self.config, B):
            raise ValueError(f"this cache is not one of {B} sequences of this model")
        blocks = cache.addresses(start + T)
        logits = torch.empty(B, last, self.config.vocab_size)
        given = GivenCache(blocks, cache.half, B, start)
        # held until the call is over: another thread may meanwhile have the table grow
        table = self._rotary.table(start, start + T, self.device) if self._rotary else None
        rope = (table[0].data_ptr(), table[1].data_ptr()) if table else None
        threads = self.run_threads or torch.get_num_threads()
        self._library.forward(
            self._model, given, T, last, idx.data_ptr(), rope, logits.data_ptr(), threads
        )
        cache.length += T
        return logits


def _parts(idx: Tensor, step: int) -> list[tuple[Tensor, int]]:
    """Ids in parts of `step` positions, each with how many come behind it."""
    T = idx.shape[1]
    return [(idx[:, at : at + step], max(0, T - at - step)) for at in range(0, T, step)]


def _structure(config: GPTConfig, dtype: str, tensors: dict[str, Tensor]) -> Model:
    def address(name: str) -> int | None:
        return tensors[name].data_ptr() if name in tensors else None

    def matrix(name: str, rows: int, columns: int) -> Matrix:
        scales, bias = address(f"{name}.scales"), address(f"{name}.bias")
        return Matrix(KINDS[dtype], rows, rounded(columns, GROUP), address(name), scales, bias)

    def norm(name: str) -> Norm:  # without a gain where the model has none of the name
        return Norm(address(name), address(f"{name}.bias"))

    C, inner = config.n_embd, config.inner_width
    layers = (Layer * max(1, config.n_layer))()
    for number in range(config.n_layer):
        at = f"h.{number}"
        layers[number] = Layer(
            norm(f"{at}.ln_1"),
            matrix(f"{at}.attn.c_attn", config.qkv_width, C),
            matrix(f"{at}.attn.c_proj", C, config.q_width),
            norm(f"{at}.attn.q_norm"),
            norm(f"{at}.attn.k_norm"),
            norm(f"{at}.ln_2"),
            matrix(f"{at}.mlp.c_fc", inner * (1 + config.gated_mlp), C),
            matrix(f"{at}.mlp.c_proj", C, inner),
        )
    embedding = matrix("wte", config.vocab_size, C)
    head = embedding if config.tie_weights else matrix("lm_head", config.vocab_size, C)
    return Model(
        config.n_layer,
        config.n_head,
        config.kv_heads,
        config.head_width,
        C,
        inner,
        config.vocab_size,
        config.exact_gelu,
        config.rms_norm,
        config.gated_mlp,
        config.norm_eps,
        layers,
        ctypes.pointer(embedding),
        ctypes.pointer(head),
        address("wpe"),
        norm("ln_f"),
    )
