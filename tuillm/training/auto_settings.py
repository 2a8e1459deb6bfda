"""How a run is cut to its text, and what it takes of the disk: window, dropout, looks.

Pure functions of numbers, so that a forecast needs neither torch nor a model.
"""

from tuillm.config import TrainConfig
from tuillm.config.gpt_config import GPTConfig
from tuillm.config.lora_layers import adapter_size
from tuillm.training.schedule import EVAL_SHARE, EVALUATIONS

# below this many training tokens, drop that share of activations; less beside token dropout
_DROPOUTS = ((60_000, 0.3), (150_000, 0.2), (300_000, 0.1))
_DROPOUTS_BESIDE = ((60_000, 0.1),)
# from so many parameters for each training token on, replace that share of the tokens
_TOKEN_DROPOUTS = ((20.0, 0.2), (1.5, 0.1))
_FILES = 20_000_000
# tokens that a window of an evaluation has at most, unless a run learns from longer ones
_EVAL_WINDOW = 1024
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


def eval_window(context: int, window: int) -> int:
    """The tokens that a window of an evaluation has, of a model that learns from windows.

    Its whole `context`, but no more than 1,024 tokens where a run learns from no more: what a
    window takes grows with its square, and today's models have contexts of 32,768 and more.
    """
    return min(context, max(window, _EVAL_WINDOW))


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
