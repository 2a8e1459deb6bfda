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
    """The shape of a model; names as in TrainConfig.

    GPT-2 computes the tanh approximation of GELU; models of today's nanoGPT the exact one.
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
    exact_gelu: bool = False

    @property
    def parameter_count(self) -> int:
        """The number of parameters, a tied head counted once."""
        C = self.n_embd
        norm = C * (1 + self.bias)
        matrices = 12 * C * C  # q, k, v and their projection; C -> 4C -> C
        biases = 9 * C * self.bias
        head = 0 if self.tie_weights else self.vocab_size * C
        embeddings = (self.vocab_size + self.block_size) * C
        return embeddings + self.n_layer * (matrices + biases + 2 * norm) + norm + head

    def flops_per_token(self, window: int, frozen: bool = False) -> int:
        """Operations to learn one token, forward and backward, in windows of so many.

        6 per weight and 12 L C T for attention (PaLM, appendix B); looking up a position is none.
        Weights that are `frozen` cost 4: nobody asks for their gradients.
        """
        weights = self.parameter_count - self.block_size * self.n_embd
        return (4 if frozen else 6) * weights + 12 * self.n_layer * self.n_embd * window
