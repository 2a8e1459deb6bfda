"""What a run has in memory at its peak, part by part, from numbers alone.

A forecast needs neither torch nor a model. Knows the shapes of all families and what training
keeps of them; decides nothing.
"""

from dataclasses import replace
from math import prod

from tuillm.config import TrainConfig
from tuillm.config.families import family_of
from tuillm.config.gpt_config import (
    LOGITS_AT_ONCE,
    LOGITS_PIECE,
    GPTConfig,
    keeps_logits,
    windows_at_once,
)
from tuillm.config.lora_layers import lora_parts
from tuillm.training.auto_settings import adapter_parameters, eval_window

_PROGRAM = 290_000_000  # Python, torch and the kernels it compiles, measured
# what the loss works with in pieces: logits, their softmax, and copies for the products, measured
_LOGITS_WORK = 120_000_000
_FLOAT32, _LOWER = 4, 2
# windows from here on are cut into blocks of half as many queries, see `model.attention`
_LONG = 512
_LAYERS = frozenset(("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"))


def memory_needed(
    shape: GPTConfig,
    config: TrainConfig,
    window: int,
    text_bytes: int,
    val_tokens: int,
    parameters: int,
    *,
    recompute: bool = False,
    copied: int = 0,
) -> dict[str, int]:
    """Estimate the bytes a run has in memory at its peak, part by part; their sum is the need.

    With P parameters, of which A learn (all, or LoRA's) and `copied` are read as copies (see
    `copied_parameters`), B T tokens in a micro-batch, width C, L blocks, V entries, and e bytes of
    a number in products (4 in float32, 2 otherwise):
      program      a constant: Python, torch, kernels
      text         the text twice: as it is, and while it is hashed
      weights      8 P: as drawn, as moved into the optimizer's buffer (the allocator keeps the
                   first); 4 P where they are read from a mapped file, and what copies were more
                   than activations, which use their memory again; 2 P more in bfloat16; with
                   LoRA 4 P, the mapped ones or two packed in bfloat16 beside the copies
      gradients    4 A
      optimizer    8 A: AdamW's two moments; Muon's momentum and the work on a third of the rest
      average      4 A where the weights are averaged
      teachers     4 P each, and 8 B T V for their predictions
      activations  B T (L `block_bytes` + 12 C); blocks that are computed again keep 4 C each, and
                   one of them all of it
      logits       12 B T V: logits, their softmax and its gradient; where they are many e B T V
                   and the head's gradient e V C, at most (4 + e) V C and a piece of logits on
                   CPUs; 4 B T V on GPUs; next to nothing under a head that does not learn
      evaluation   `_passing_bytes` for each token measured at once, and 8 for each of its logits
                   where these are few: what that is more than activations and logits, whose memory
                   it uses again
    Where dtype is auto, whichever precision needs more. Checkpoints are written tensor by tensor.
    Pages of mapped files are left out: the system takes them back as it likes.
    `tests/benchmarks/forecast_truth.py` holds it against whole processes.
    """
    C, V = shape.n_embd, shape.vocab_size
    tokens = config.batch_size * window
    width = eval_window(shape.block_size, window)
    measured = min(val_tokens, width * windows_at_once(width, V, C))
    evaluated = measured * _passing_bytes(shape) + min(8 * measured * V, _LOGITS_WORK)
    learning = adapter_parameters(shape, config) if config.lora else parameters
    logits = _logits_bytes(shape, config, tokens)
    block = tokens * block_bytes(shape, config, window)
    activations = shape.n_layer * block
    if recompute:
        activations = shape.n_layer * tokens * 4 * C + block
    activations += tokens * 12 * C
    weights = parameters * _weight_bytes(config)
    if not config.lora:
        weights += max(0, 4 * copied - activations)
    elif config.dtype != "float32":
        weights += 4 * copied
    return {
        "program": _PROGRAM,
        "text": 2 * text_bytes,
        "weights": weights,
        "gradients": 4 * learning,
        "optimizer": 8 * learning,
        "average": 4 * learning if config.ema else 0,
        "teachers": _teacher_bytes(config, parameters, tokens * V),
        "activations": activations,
        "logits": logits,
        "evaluation": max(0, evaluated - activations - logits),
    }


def copied_parameters(shape: GPTConfig, stored: int) -> int:
    """Return how many parameters of a folder are copied when it is read, and not mapped.

    Those that the family has in several parts; all where its file has numbers of `stored` bytes
    that are not float32's.
    """
    if stored != _FLOAT32:
        return shape.parameter_count
    tensors = family_of(shape).tensors(shape)
    return sum(prod(named.shape) for named in tensors if len(named.parts) > 1)


def block_bytes(shape: GPTConfig, config: TrainConfig, window: int) -> int:
    """Return the bytes that one block keeps of one token for the backward pass.

    Inputs of layers that learn, what goes into norms, what attention and the MLP's activation
    need. Where dtype is auto, whichever precision needs more.
    """
    sizes = {"float32": (_FLOAT32,), "auto": (_FLOAT32, _LOWER)}.get(config.dtype, (_LOWER,))
    layers = _learning_layers(shape, config)
    fused = config.device == "cuda"
    return max(
        _norms_bytes(shape, layers, size)
        + _attention_bytes(shape, layers, size, window, fused)
        + _mlp_bytes(shape, layers, size)
        for size in sizes
    )


def _learning_layers(shape: GPTConfig, config: TrainConfig) -> frozenset[str]:
    """The linear layers of a block whose inputs are asked for: all, or those with adapters."""
    if not config.lora:
        return _LAYERS
    parts = lora_parts(replace(shape, n_layer=1), config.lora_targets)
    return frozenset(part.layer.removeprefix("h.0.") for part in parts)


def _norms_bytes(shape: GPTConfig, layers: frozenset[str], size: int) -> int:
    """The stream before both norms, and behind them where that goes into a layer that learns."""
    inputs = ("attn.c_attn" in layers) + ("mlp.c_fc" in layers)
    return (2 * _FLOAT32 + inputs * size) * shape.n_embd


def _attention_bytes(
    shape: GPTConfig, layers: frozenset[str], size: int, window: int, fused: bool
) -> int:
    """Queries, keys and values of all heads, what comes out, and maybe weights of attention.

    Where heads are rotated, normalised or grouped they are `apart` from what the projection made.
    PyTorch's fused attention is given views of that, which so stays as a whole where values are
    not repeated; both ways by products copy: tuillm's own, on CPUs in bfloat16, and PyTorch's in
    float32 with dropout.
    """
    q, kv, drops = shape.q_width, shape.kv_width, bool(shape.dropout)
    apart = shape.rotary or shape.qk_norm or q != kv
    products = not fused and (size == _LOWER or drops)
    kept = 3 * q * size
    if apart and q == kv and not products:
        kept += (shape.qkv_width - q) * size  # values are a view of all
    elif shape.qk_norm:
        kept += shape.qkv_width * size if size == _FLOAT32 else (q + kv) * _FLOAT32
    if not products:
        kept += q * size
    if "attn.c_proj" in layers and (apart or products):
        kept += q * size
    if drops:
        kept += shape.n_embd * size
    return kept + (shape.n_head * _score_bytes(window, drops, size) if products else 0)


def _score_bytes(window: int, drops: bool, size: int) -> int:
    """What is kept of a head's weights of attention for one query, on an average.

    In float32 the weights, the share of dropout and their product; tuillm's own has blocks of
    queries in long windows, each of which looks at no later key, and makes the product again.
    """
    if size == _FLOAT32:
        return 12 * window
    seen = window
    if window >= _LONG:
        half = _LONG // 2
        starts = range(0, window, half)
        ends = [min(start + half, window) for start in starts]
        seen = sum((end - at) * end for at, end in zip(starts, ends, strict=True)) // window
    return _LOWER * (1 + drops) * seen


def _mlp_bytes(shape: GPTConfig, layers: frozenset[str], size: int) -> int:
    """What goes into the activation, which a gate keeps as well, and what comes out of it."""
    inside = 3 if shape.gated_mlp else 1
    inside += "mlp.c_proj" in layers
    return (inside * shape.inner_width + shape.n_embd * bool(shape.dropout)) * size


def _passing_bytes(shape: GPTConfig) -> int:
    """What a token takes at most that goes forward through a block, and leaves nothing behind.

    The stream before and behind, and what is widest: the MLP's inside or all that attention has.
    """
    inside = shape.inner_width * (2 + 2 * shape.gated_mlp)
    heads = 2 * shape.qkv_width + shape.q_width
    return _FLOAT32 * (3 * shape.n_embd + max(inside, heads))


def _teacher_bytes(config: TrainConfig, parameters: int, logits: int) -> int:
    return config.teachers * 4 * parameters + (8 * logits if config.teachers else 0)


def _weight_bytes(config: TrainConfig) -> int:
    if config.lora:
        return 4
    return (4 if config.init_from else 8) + (0 if config.dtype == "float32" else 2)


def _logits_bytes(shape: GPTConfig, config: TrainConfig, tokens: int) -> int:
    """What the loss of so many tokens holds; see `model.chunked_loss` for many logits."""
    entries = shape.vocab_size
    if tokens * entries < LOGITS_AT_ONCE:
        return 12 * tokens * entries
    if config.lora:
        return _LOGITS_WORK
    if config.device == "cuda":
        return _LOGITS_WORK + _FLOAT32 * tokens * entries
    size, width = _LOWER if config.dtype in ("bfloat16", "float16") else _FLOAT32, shape.n_embd
    if keeps_logits(tokens, entries, width, size):
        return _LOGITS_WORK + size * entries * (tokens + width)
    return _LOGITS_WORK + LOGITS_PIECE + (_FLOAT32 + size % _FLOAT32) * entries * width
