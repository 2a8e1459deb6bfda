"""The shape of a model in numbers, and what follows from it without building one.

Knows counts; knows neither tensors nor texts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

# logits that are computed at once, where all of a text's would fill the memory: 32 MB in float32
LOGITS_AT_ONCE = 8_000_000
# bytes of logits that are kept at most for a head that learns on a CPU, where the head's gradient
# takes less; and of those that are computed at once where they would be more
_KEPT_LOGITS, LOGITS_PIECE = 1_000_000_000, 250_000_000
# rows of a model's width, of which a block makes five: 60 MB in float32
_WIDTHS_AT_ONCE = 3_000_000
# parameters from which on a model is large: its weights no longer stay in a processor's caches
LARGE_MODEL = 30_000_000


def windows_at_once(window: int, vocab_size: int, width: int) -> int:
    """How many windows without gradients are computed side by side; 1 at least.

    Neither their logits, of `vocab_size` entries a token, nor what a block of so wide a model makes
    of them takes much more than a hundred megabytes.
    """
    return max(1, min(LOGITS_AT_ONCE // vocab_size, _WIDTHS_AT_ONCE // width) // window)


def keeps_logits(tokens: int, vocab_size: int, width: int, size: int) -> bool:
    """Whether logits of `size` bytes each are kept until the backward pass on a CPU.

    Else the gradient of the head takes their place, [vocab_size, width] in float32.
    """
    instead = 4 * vocab_size * width + LOGITS_PIECE
    return tokens * vocab_size * size <= max(_KEPT_LOGITS, instead)


@dataclass(frozen=True)
class Parameter:
    """A parameter of a model: its name in GPT and its size, [out, in] for linear layers.

    `parts` are the rows of the layers that lie one below the other in it: queries, keys and
    values, a gate and the layer beside it; all of its rows where it is one.
    """

    name: str
    shape: tuple[int, ...]
    parts: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many numbers it has."""
        return prod(self.shape)

    @property
    def matrix(self) -> bool:
        """Whether it is a matrix, or several, and neither a bias nor a norm's weight."""
        return len(self.shape) == 2

    @property
    def kinds(self) -> tuple[int, ...]:
        """The rows of its parts, said once where all have as many: what a layout is told by."""
        return self.parts[:1] if len(set(self.parts)) == 1 else self.parts

    @property
    def in_block(self) -> bool:
        """Whether it belongs to a block of a model."""
        return self.name.startswith("h.")


@dataclass(frozen=True)
class GPTConfig:
    """The shape of a model, and which of the known ways each of its parts computes.

    The sizes are named as in TrainConfig. The defaults are GPT-2's arithmetic; what today's models
    do otherwise are switches, which the file of a family in `config.families` sets from its
    `config.json`. Numbers of 0 mean what GPT-2 does.
    """

    vocab_size: int
    block_size: int
    n_layer: int
    n_head: int
    n_embd: int
    dropout: float = 0.0
    bias: bool = True
    tie_weights: bool = True
    norm_eps: float = 1e-5
    exact_gelu: bool = False  # instead of GELU's tanh approximation
    family: str = "gpt2"  # whose names its folder has
    n_kv_head: int = 0  # heads of keys and values, each for a group of heads; 0: one a head
    head_dim: int = 0  # width of a head; 0: n_embd / n_head
    n_inner: int = 0  # width inside the MLP; 0: 4 n_embd
    rms_norm: bool = False  # RMSNorm instead of LayerNorm
    gated_mlp: bool = False  # down(silu(gate) * up) instead of a GELU between two layers
    qkv_bias: bool = False  # biases on q, k and v alone
    qk_norm: bool = False  # RMSNorm on each head of q and k
    rope_theta: float = 0.0  # base of rotary positions; 0: learned positions
    # Llama 3's scaling of rotary positions; `rope_original` 0: none
    rope_factor: float = 1.0
    rope_low: float = 1.0
    rope_high: float = 4.0
    rope_original: int = 0

    @property
    def kv_heads(self) -> int:
        """How many heads of keys and values there are."""
        return self.n_kv_head or self.n_head

    @property
    def head_width(self) -> int:
        """The width of a head."""
        return self.head_dim or self.n_embd // self.n_head

    @property
    def q_width(self) -> int:
        """The width of all heads side by side."""
        return self.n_head * self.head_width

    @property
    def kv_width(self) -> int:
        """The width of all heads of keys, or of values, side by side."""
        return self.kv_heads * self.head_width

    @property
    def qkv_width(self) -> int:
        """The width of what attention is computed from: queries, keys and values."""
        return self.q_width + 2 * self.kv_width

    @property
    def inner_width(self) -> int:
        """The width inside the MLP."""
        return self.n_inner or 4 * self.n_embd

    @property
    def rotary(self) -> bool:
        """Whether positions are rotations, instead of learned vectors."""
        return self.rope_theta > 0

    @property
    def position_parameters(self) -> int:
        """How many parameters are learned positions."""
        return 0 if self.rotary else self.block_size * self.n_embd

    @property
    def parameter_count(self) -> int:
        """The number of parameters, a tied head counted once."""
        return sum(each.count for each in self.outer_parameters()) + self.blocks_count

    @property
    def blocks_count(self) -> int:
        """The number of parameters of all blocks."""
        return self.n_layer * sum(each.count for each in self.block_parameters())

    @property
    def matrices_count(self) -> int:
        """The number of parameters of the matrices of all blocks."""
        return self.n_layer * sum(each.count for each in self.block_parameters() if each.matrix)

    def parameters(self) -> Iterator[Parameter]:
        """Yield all parameters that GPT makes of this shape, a tied head once."""
        yield from self.outer_parameters()
        block = self.block_parameters()
        for layer in range(self.n_layer):
            for each in block:
                yield Parameter(f"h.{layer}.{each.name}", each.shape, each.parts)

    def block_parameters(self) -> list[Parameter]:
        """Return the parameters of a block, with their names inside it."""
        C, D, inner = self.n_embd, self.head_width, self.inner_width
        qkv = (self.q_width, self.kv_width, self.kv_width)
        head_norms = ("attn.q_norm", "attn.k_norm") if self.qk_norm else ()
        return [
            *self._norm("ln_1"),
            *_linear("attn.c_attn", qkv, C, self.bias or self.qkv_bias),
            *_linear("attn.c_proj", (C,), self.q_width, self.bias),
            *(_vector(f"{name}.weight", D) for name in head_norms),
            *self._norm("ln_2"),
            *_linear("mlp.c_fc", (inner,) * (1 + self.gated_mlp), C, self.bias),
            *_linear("mlp.c_proj", (C,), inner, self.bias),
        ]

    def outer_parameters(self) -> list[Parameter]:
        """Return the parameters outside the blocks: the tables, the last norm, an untied head."""
        tables = [("wte", self.vocab_size)]
        if not self.rotary:
            tables.append(("wpe", self.block_size))
        if not self.tie_weights:
            tables.append(("lm_head", self.vocab_size))
        found = [each for name, rows in tables for each in _linear(name, (rows,), self.n_embd)]
        return [*found, *self._norm("ln_f")]

    def flops_per_token(self, window: int, frozen: bool = False) -> int:
        """Operations to learn one token, forward and backward, in windows of so many.

        6 per weight and 12 L H D T for attention (PaLM, appendix B); looking up a position or a
        token is none. Weights that are `frozen` cost 4: nobody asks for their gradients.
        """
        weights = self.parameter_count - self.position_parameters
        if not self.tie_weights:
            weights -= self.vocab_size * self.n_embd
        return (4 if frozen else 6) * weights + 12 * self.n_layer * self.q_width * window

    def _norm(self, name: str) -> list[Parameter]:
        kinds = ("weight", "bias") if self.bias and not self.rms_norm else ("weight",)
        return [_vector(f"{name}.{kind}", self.n_embd) for kind in kinds]


def _vector(name: str, length: int) -> Parameter:
    return Parameter(name, (length,), (length,))


def _linear(name: str, parts: tuple[int, ...], columns: int, bias: bool = False) -> list[Parameter]:
    weight = Parameter(f"{name}.weight", (sum(parts), columns), parts)
    return [weight, *([Parameter(f"{name}.bias", (sum(parts),), parts)] if bias else [])]
