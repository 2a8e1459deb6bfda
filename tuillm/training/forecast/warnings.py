"""What a person should think about before a run starts, as sentences with their numbers.

Knows a config and a forecast; measures nothing itself.
"""

import math

from tuillm.config import TrainConfig
from tuillm.store.workers.forecast_process import Forecast
from tuillm.training.forecast.data_needs import overfits_after
from tuillm.training.memory_plan import memory_warning
from tuillm.units import count, size

_UNSURE = 0.05
_SPREAD = 2.5  # of single tokens' losses in nats, about
_CLEARLY = 1.25
_SPARE_DISK = 500_000_000


def cautions(config: TrainConfig, forecast: Forecast) -> tuple[str, ...]:
    """Return a sentence for each thing that speaks against starting as it is."""
    found = (
        memory_caution(config, forecast),
        disk_caution(forecast),
        window_caution(config, forecast),
        held_out_caution(config, forecast),
        overfit_caution(config, forecast),
    )
    return tuple(filter(None, found))


def memory_caution(config: TrainConfig, forecast: Forecast) -> str:
    """The run needs more memory than there is."""
    need, have = forecast.memory_needed, forecast.memory_available
    if need is None or have is None:
        return ""
    return memory_warning(config, need, forecast.memory, forecast.memory_with_lora, have)


def disk_caution(forecast: Forecast) -> str:
    """The disk is nearly full."""
    need, free = forecast.disk_needed, forecast.disk_free
    if need is None or free is None or free >= need + _SPARE_DISK:
        return ""
    return f"the disk has {size(free)} left, and the run writes up to {size(need)}"


def window_caution(config: TrainConfig, forecast: Forecast) -> str:
    """The text is shorter than a few contexts."""
    fitting, wanted = forecast.block_size, config.block_size
    if forecast.train_tokens is None or fitting is None or fitting >= wanted:
        return ""
    return (
        f"the text is short, {forecast.train_tokens:,} tokens: the model sees only {fitting} "
        f"at once, not {wanted}"
    )


def held_out_caution(config: TrainConfig, forecast: Forecast) -> str:
    """Too little is held out to tell a good model from a better one."""
    tokens = forecast.val_tokens
    if tokens is None or not config.val_fraction:
        return ""
    if tokens < 2:
        return "the text is too short to hold out a part: losses will be of the training text"
    unsure = _SPREAD / math.sqrt(tokens)
    if unsure <= _UNSURE:
        return ""
    return (
        f"only {tokens:,} tokens are held out: losses measured on them are sure to about "
        f"{unsure:.1g} nats; a longer text or a larger val_fraction measures better"
    )


def overfit_caution(config: TrainConfig, forecast: Forecast) -> str:
    """The model will learn the text by heart, though a part is held out to measure on."""
    passes, bearable = forecast.epochs, overfits_after(config, forecast)
    tokens, parameters = forecast.train_tokens or 0, forecast.parameters or 0
    if passes is None or bearable is None or config.patience or passes <= _CLEARLY * bearable:
        return ""
    return (
        f"{count(parameters)} parameters will see {count(tokens)} tokens about "
        f"{passes:,.0f} times with dropout {forecast.dropout or 0.0:g}: after some {bearable:.0f} "
        "times the validation loss usually rises again. The best moment is kept; a shorter run, "
        "more dropout or patience saves the time after it"
    )
