"""Whether a text is enough for a model: tokens per parameter, passes over it, overfitting.

Knows a config and a forecast; measures nothing itself. Sources: about 20 tokens for each parameter
are the best use of computation (Hoffmann et al. 2022, "Training Compute-Optimal Large Language
Models"); up to 4 passes over a text teach nearly as much as new text, and after 16 hardly anything
is gained (Muennighoff et al. 2023, "Scaling Data-Constrained Language Models").
"""

from dataclasses import replace

from tuillm.config import TrainConfig
from tuillm.store.workers.forecast_process import Forecast
from tuillm.training.auto_settings import token_dropout_for

_IDEAL = 20
_AS_NEW, _WORN = 4, 16
_EPOCHS = 10
_CROWDED = 30  # parameters for each token above which dropout helps less


def with_data_needs(config: TrainConfig, seen: Forecast) -> Forecast:
    """Return a forecast with what its tokens, parameters and epochs say about the data."""
    return replace(
        seen,
        tokens_per_parameter=tokens_per_parameter(config, seen),
        overfits_after=overfits_after(config, seen),
        enough=_sentence(config, seen),
    )


def tokens_per_parameter(config: TrainConfig, seen: Forecast) -> float | None:
    """Return how many tokens are learned for each parameter of a new model.

    None where that is not known yet, and for a model that has learned other texts before.
    """
    if not seen.train_tokens or not seen.parameters or config.init_from is not None:
        return None
    return seen.train_tokens * seen.learned_share / seen.parameters


def overfits_after(config: TrainConfig, seen: Forecast) -> float | None:
    """Return the passes over the text after which the validation loss is expected to rise.

    None where nothing is held out, where that is not known yet, and where there are more tokens
    than parameters. Measured with `tiny` on 20 to 80 KB: the loss turned after 8 passes without
    dropout, with 0.3 after 15 at a hundred parameters for each training token and after 70 at
    thirty. Token dropout does at least as much as dropout of activations.
    """
    tokens, parameters = seen.train_tokens, seen.parameters
    if not tokens or not parameters or not seen.val_tokens or parameters <= tokens:
        return None
    helped = min(1.0, _CROWDED * tokens / parameters)
    dropped = (seen.dropout or 0.0) + token_dropout_for(config, parameters, tokens)[0]
    return _EPOCHS * (1 + 20 * dropped * helped)


def _sentence(config: TrainConfig, seen: Forecast) -> str:
    once = seen.epochs is None or seen.epochs > 1 or not config.val_fraction
    parts = (_size_words(tokens_per_parameter(config, seen), once), _passes_words(config, seen))
    return "; ".join(filter(None, parts))


def _size_words(per: float | None, all_seen: bool) -> str:
    if per is None:
        return ""
    if per >= _IDEAL:
        judged = "all that a model of this size can use"
    elif per >= 1:
        judged = f"enough to learn from, and a model of this size could use {_IDEAL}"
    else:
        heart = ", which will partly learn it by heart" if all_seen else ""
        judged = f"little for a model of this size{heart}"
    return f"tokens per parameter: {per:.2g}, {judged}"


def _passes_words(config: TrainConfig, seen: Forecast) -> str:
    passes = seen.epochs
    if passes is None:
        return ""
    times = f"seen {passes:.2g} times" if passes < 100 else f"seen {passes:,.0f} times"
    if not config.val_fraction:
        return f"{times}, to be learned by heart"
    if passes < 1:
        return f"only {passes:.0%} of it is seen: a longer run learns more"
    if passes <= _AS_NEW:
        return f"{times}, each nearly as good as new text"
    turn = overfits_after(config, seen)
    if turn is not None and passes > turn:
        return f"{times}, and after about {turn:.0f} it overfits"
    if passes <= _WORN:
        return f"{times}, of which the first {_AS_NEW} teach most"
    return f"{times}: after about {_WORN} little more is learned"
