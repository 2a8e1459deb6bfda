"""The shape of a model in numbers, and what follows from it without building one.

Knows counts; knows neither tensors nor texts.
"""

from dataclasses import dataclass

# logits that are computed at once, where all of a text's would fill the memory: 32 MB in float32
LOGITS_AT_ONCE = 8_000_000
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
        C, D, inner = self.n_embd, self.head_width, self.inner_width
        norm = C if self.rms_norm else C * (1 + self.bias)
        matrices = C * (self.qkv_width + self.q_width) + C * inner * (2 + self.gated_mlp)
        biases = (self.qkv_width + 2 * C + inner * (1 + self.gated_mlp)) * self.bias
        biases += self.qkv_width * self.qkv_bias
        layer = matrices + biases + 2 * norm + 2 * D * self.qk_norm
        head = 0 if self.tie_weights else self.vocab_size * C
        return self.vocab_size * C + self.position_parameters + self.n_layer * layer + norm + head

    def flops_per_token(self, window: int, frozen: bool = False) -> int:
        """Operations to learn one token, forward and backward, in windows of so many.

        6 per weight and 12 L C T for attention (PaLM, appendix B); looking up a position is none.
        Weights that are `frozen` cost 4: nobody asks for their gradients.
        """
        weights = self.parameter_count - self.position_parameters
        return (4 if frozen else 6) * weights + 12 * self.n_layer * self.q_width * window
