"""How a run is cut to its text, and what it takes: window, dropout, memory, disk.

Pure functions of numbers, so that a forecast needs neither torch nor a model.
"""

from tuillm.config import TrainConfig
from tuillm.config.shape import GPTConfig

# below this many training tokens, drop that share
_DROPOUTS = ((60_000, 0.3), (150_000, 0.2), (300_000, 0.1))
_LOGITS_AT_ONCE = 8_000_000
_PROGRAM = 400_000_000  # Python, torch and the kernels it compiles, measured
_FILES = 20_000_000


def window_for(wanted: int, length: int, what: str = "block_size shrinks") -> tuple[int, str]:
    """The tokens seen at once, fewer for texts too short to hold four windows; and that in words.

    `length` counts the training tokens; the words are "" where nothing shrinks.
    """
    fitting = max(1, min(wanted, (length - 1) // 4))
    note = f"the text has only {length:,} tokens: {what} from {wanted} to {fitting}"
    return fitting, note if fitting < wanted else ""


def dropout_for(config: TrainConfig, length: int) -> tuple[float, str]:
    """The share to drop: what is set, else by how often a short text will be seen again.

    Measured on one book of 80 KB: without dropout the held-out loss turns after five
    seconds, with 0.3 it falls for the whole minute and ends lower.
    """
    if config.dropout is not None:
        return config.dropout, ""
    share = next((share for limit, share in _DROPOUTS if length < limit), 0.0)
    return share, f"the text has only {length:,} tokens: dropout is {share}" if share else ""


def windows_at_once(window: int, vocab_size: int) -> int:
    """How many windows an evaluation takes side by side."""
    return max(1, _LOGITS_AT_ONCE // (window * vocab_size))


def memory_needed(
    shape: GPTConfig, config: TrainConfig, window: int, text_bytes: int, val_tokens: int,
    parameters: int,
) -> dict[str, int]:
    """Estimate the bytes a run has in memory at its peak, part by part; their sum is the need.

    With P parameters, B T tokens in a micro-batch, width C, H heads, L blocks, V entries:
      program      a constant: Python, torch, kernels
      text         the text twice: as it is, and while it is hashed
      weights      10 P: as drawn, as moved into the optimizer's buffer (the allocator keeps the
                   first), and in bfloat16
      gradients    4 P
      optimizer    8 P: AdamW's two moments; Muon's momentum and the work on a third of the rest
      activations  B T (L (64 C, and 20 H T with dropout) + 12 C) in float32, in bfloat16
                   B T (L (40 C + 4 H T) + 12 C); whichever is more where dtype is auto
      logits       12 B T V: logits, their softmax and its gradient
      evaluation   60 C + 8 V for each token measured at once
    They add up because glibc gives back little of what one phase has used. Measured peaks of
    whole processes, from `tiny` to GPT-2's shape, were 0.7 to 1.0 times the sum.
    """
    C, V = shape.n_embd, shape.vocab_size
    tokens = config.batch_size * window
    measured = min(val_tokens, window * windows_at_once(window, V))
    return {
        "program": _PROGRAM,
        "text": 2 * text_bytes,
        "weights": 10 * parameters,
        "gradients": 4 * parameters,
        "optimizer": 8 * parameters,
        "activations": tokens * (shape.n_layer * _block_bytes(shape, config, window) + 12 * C),
        "logits": 12 * tokens * V,
        "evaluation": measured * (60 * C + 8 * V),
    }


def disk_needed(parameters: int) -> int:
    """Estimate the bytes a run writes at most: two checkpoints, one while it replaces the other.

    4 per parameter in `best`, in its successor and in the published model; 12, with the
    optimizer's moments, in `last` and in its successor.
    """
    return 36 * parameters + _FILES


def _block_bytes(shape: GPTConfig, config: TrainConfig, window: int) -> int:
    """What one block keeps of one token for the backward pass."""
    C, scores = shape.n_embd, shape.n_head * window
    if config.device == "cuda":
        scores = 0  # fused attention keeps none
    dropped = bool(shape.dropout)
    float32 = (64 + 8 * dropped) * C + 20 * scores * dropped
    bfloat16 = (36 + 4 * dropped) * C + 2 * scores * (1 + dropped)
    by_dtype = {"float32": float32, "bfloat16": bfloat16}
    return by_dtype.get(config.dtype, max(float32, bfloat16))
