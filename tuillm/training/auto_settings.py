"""How a run is cut to its text, and what it takes: window, dropout, looks, memory, disk.

Pure functions of numbers, so that a forecast needs neither torch nor a model.
"""

from tuillm.config import TrainConfig
from tuillm.config.gpt_config import LOGITS_AT_ONCE, GPTConfig, windows_at_once
from tuillm.config.lora_layers import adapter_size
from tuillm.training.schedule import EVAL_SHARE, EVALUATIONS

# below this many training tokens, drop that share of activations; less beside token dropout
_DROPOUTS = ((60_000, 0.3), (150_000, 0.2), (300_000, 0.1))
_DROPOUTS_BESIDE = ((60_000, 0.1),)
# from so many parameters for each training token on, replace that share of the tokens
_TOKEN_DROPOUTS = ((20.0, 0.2), (1.5, 0.1))
_PROGRAM = 270_000_000  # Python, torch and the kernels it compiles, measured
_FILES = 20_000_000
_TURNED = 120_000_000
_ANYWAY, _MOST_ANYWAY = 4 * 10**9, 4096  # parameters times tokens, and tokens
_CAREFUL = 0.8
# of the time for evaluations, what samples take; and the tokens that a sample has anyway
_SAMPLES = 0.2
_LEAST_SAMPLE, _MOST_SAMPLE = 8, 40


def window_for(wanted: int, length: int, what: str = "block_size shrinks") -> tuple[int, str]:
    """The tokens seen at once, fewer for texts too short to hold four windows; and that in words.

    `length` counts the training tokens; the words are "" where nothing shrinks.
    """
    fitting = max(1, min(wanted, (length - 1) // 4))
    note = f"the text has only {length:,} tokens: {what} from {wanted} to {fitting}"
    return fitting, note if fitting < wanted else ""


def dropout_for(config: TrainConfig, length: int) -> tuple[float, str]:
    """The share to drop: what is set, else by how often a short text will be seen again.

    Measured on one book of 80 KB: without dropout the validation loss turns after five
    seconds, with 0.3 it falls for the whole minute and ends lower.
    """
    if config.dropout is not None:
        return config.dropout, ""
    shares = _DROPOUTS if config.token_dropout == 0 else _DROPOUTS_BESIDE
    share = next((share for limit, share in shares if length < limit), 0.0)
    return share, f"the text has only {length:,} tokens: dropout is {share}" if share else ""


def token_dropout_for(config: TrainConfig, parameters: int, length: int) -> tuple[float, str]:
    """The share of tokens to replace: what is set, else by the parameters for each of `length`.

    Measured on tinyshakespeare (docs/training.md): with 3 and with 9 parameters for each training
    token a tenth; on its first 100 KB, with 40, a fifth and some dropout of activations.
    """
    if config.token_dropout is not None:
        return config.token_dropout, ""
    per_token = parameters / max(length, 1)
    share = next((share for least, share in _TOKEN_DROPOUTS if per_token >= least), 0.0)
    note = (
        f"there are {per_token:.0f} parameters for each token of the text: {share:.0%} of the "
        "tokens that are read are replaced by random ones"
    )
    return share, note if share > _TOKEN_DROPOUTS[-1][1] else ""


def min_eval_tokens(parameters: int) -> int:
    """The tokens that an evaluation may look at whatever its share: a tenth of a second's work."""
    return min(_MOST_ANYWAY, _ANYWAY // max(parameters, 1))


def min_sample_tokens(parameters: int) -> int:
    """The tokens that a sample has whatever its share: well under a tenth of a second's work."""
    return min(max(_LEAST_SAMPLE, _ANYWAY // (4 * max(parameters, 1))), _MOST_SAMPLE)


def eval_token_count(
    config: TrainConfig, held_out: int, parameters: int, window: int, step: float, token: float
) -> int:
    """How many of the `held_out` tokens each evaluation looks at, in whole windows.

    All of them, or a half, a quarter... so that all evaluations together, with their samples,
    take EVAL_SHARE of the run at most. `step` is the seconds of a step (0 where only the clock
    counts), `token` those of a token in an evaluation; some are left for a machine that becomes
    busier.
    """
    share = 1 - _SAMPLES if config.sample_tokens else 1
    affordable = share * _seconds_each(config, step) / token
    measured = held_out
    while measured > max(affordable, min_eval_tokens(parameters), window):
        measured //= 2
    return held_out if measured == held_out else max(measured // window, 1) * window


def sample_token_count(config: TrainConfig, parameters: int, step: float, token: float) -> int:
    """How many tokens the sample at each evaluation has, but for the last, which has them all.

    `sample_tokens`, or fewer where samples would take more than their part of EVAL_SHARE. `step`
    is the seconds of a step (0 where only the clock counts), `token` those of a sampled token.
    """
    affordable = int(_SAMPLES * _seconds_each(config, step) / token)
    return min(config.sample_tokens, max(affordable, min_sample_tokens(parameters)))


def _seconds_each(config: TrainConfig, step: float) -> float:
    """The seconds that one evaluation with its sample may take, given those of a step."""
    limits = [step * config.max_steps] if config.max_steps else []
    limits += [60 * config.minutes] if config.minutes else []
    seconds = min(limits)
    times = EVALUATIONS if not config.eval_interval else seconds / step / config.eval_interval
    return _CAREFUL * EVAL_SHARE * seconds / max(times, 1)


def eval_tokens_note(measured: int, held_out: int) -> str:
    """Says that only a part of the held-out text is looked at, or is ""."""
    if measured >= held_out:
        return ""
    return (
        f"losses are of {measured:,} of the {held_out:,} tokens to measure on, spread evenly "
        f"over them: all evaluations are to take at most {EVAL_SHARE:.0%} of the run"
    )


def adapter_parameters(shape: GPTConfig, config: TrainConfig) -> int:
    """The number of parameters that learn in a run with LoRA."""
    return adapter_size(shape, config.lora_targets, config.lora_rank)


def memory_needed(
    shape: GPTConfig,
    config: TrainConfig,
    window: int,
    text_bytes: int,
    val_tokens: int,
    parameters: int,
    *,
    recompute: bool = False,
) -> dict[str, int]:
    """Estimate the bytes a run has in memory at its peak, part by part; their sum is the need.

    With P parameters, of which A learn (all, or LoRA's), B T tokens in a micro-batch, width C,
    H heads, L blocks, V entries:
      program      a constant: Python, torch, kernels
      text         the text twice: as it is, and while it is hashed
      weights      8 P: as drawn, as moved into the optimizer's buffer (the allocator keeps the
                   first); 4 P where they are read from a mapped file; 2 P more in bfloat16; with
                   LoRA 4 P, two packed copies in bfloat16 or the mapped ones
      gradients    4 A
      optimizer    8 A: AdamW's two moments; Muon's momentum and the work on a third of the rest
      average      4 A where the weights are averaged
      teachers     4 P each, and 8 B T V for their predictions
      activations  B T (L (64 C, and 20 H T with dropout) + 12 C) in float32, in bfloat16
                   B T (L (40 C + 4 H T) + 12 C); whichever is more where dtype is auto. Blocks
                   that are computed again keep 4 C each, and one of them all of it
      logits       12 B T V: logits, their softmax and its gradient; 4 B T V where they are many,
                   and next to nothing under a head that does not learn
      evaluation   20 C for each token measured at once, and 8 for each of its logits: what that
                   is more than activations and logits, whose memory it uses again
    Checkpoints are written tensor by tensor. Pages of mapped files are left out: the system takes
    them back as it likes. `tests/benchmarks/forecast_truth.py` holds it against whole processes.
    """
    C, V = shape.n_embd, shape.vocab_size
    tokens = config.batch_size * window
    measured = min(val_tokens, window * windows_at_once(window, V, C))
    learning = adapter_parameters(shape, config) if config.lora else parameters
    block, kept = _block_bytes(shape, config, window), shape.n_layer
    blocks = kept * 4 * C + block if recompute else kept * block
    activations, logits = tokens * (blocks + 12 * C), _logits_bytes(tokens, V, config.lora)
    return {
        "program": _PROGRAM,
        "text": 2 * text_bytes,
        "weights": parameters * _weight_bytes(config),
        "gradients": 4 * learning,
        "optimizer": 8 * learning,
        "average": 4 * learning if config.ema else 0,
        "teachers": _teacher_bytes(config, parameters, tokens * V),
        "activations": activations,
        "logits": logits,
        "evaluation": max(0, measured * (20 * C + 8 * V) - activations - logits),
    }


def disk_needed(config: TrainConfig, parameters: int, learning: int | None = None) -> int:
    """Estimate the bytes a run writes at most: two checkpoints, one while it replaces the other.

    4 per parameter in `best`, in its successor and in the published model; 12, with the
    optimizer's moments, in `last` and in its successor, and there 4 more for each teacher, and
    where weights are averaged. With `learning` only so many learn, and `last` also holds the
    weights that their adapters change: at most 4 more per parameter.
    """
    learned = parameters if learning is None else learning
    more = 8 * (config.teachers * parameters + (learned if config.ema else 0))
    if learning is None:
        return 36 * parameters + more + _FILES
    return 28 * parameters + 24 * learning + more + _FILES


def _teacher_bytes(config: TrainConfig, parameters: int, logits: int) -> int:
    return config.teachers * 4 * parameters + (8 * logits if config.teachers else 0)


def _weight_bytes(config: TrainConfig) -> int:
    if config.lora:
        return 4
    return (4 if config.init_from else 8) + (0 if config.dtype == "float32" else 2)


def _logits_bytes(tokens: int, entries: int, frozen: bool) -> int:
    """What the loss of so many tokens holds; see model.head for what it does with many."""
    if tokens * entries < LOGITS_AT_ONCE:
        return 12 * tokens * entries
    return _TURNED + (0 if frozen else 4 * tokens * entries)


def _block_bytes(shape: GPTConfig, config: TrainConfig, window: int) -> int:
    """What one block keeps of one token for the backward pass."""
    C, scores = shape.n_embd, shape.n_head * window
    if config.device == "cuda":
        scores = 0  # fused attention keeps none
    dropped = bool(shape.dropout)
    float32 = (64 + 8 * dropped) * C + 20 * scores * dropped
    bfloat16 = (36 + 4 * dropped) * C + 2 * scores * (1 + dropped)
    by_dtype = {"float32": float32, "bfloat16": bfloat16, "float16": bfloat16}
    return by_dtype.get(config.dtype, max(float32, bfloat16))
