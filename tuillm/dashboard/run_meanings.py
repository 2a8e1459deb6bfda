"""What the figures of a run mean, each with its value. Knows the status of runs; draws nothing."""

from tuillm.dashboard.glossary import (
    Meaning,
    judged_bits,
    judged_loss,
    judged_parameters,
    meaning,
    state_meaning,
)
from tuillm.store.snapshot import RunEntry
from tuillm.units import count, duration, figure


def run_meanings(entry: RunEntry) -> list[Meaning]:
    """Return them in the order in which a person asks."""
    status = entry.status
    held_out = status.val_tokens != 0
    bits = judged_bits(status.bits_per_byte, held_out=held_out)
    tokens = status.train_tokens
    return [
        state_meaning(status.state, status.step),
        meaning("bits per byte", figure(status.bits_per_byte), judged=bits),
        meaning("validation loss", figure(status.val_loss), judged=judged_loss(status.val_loss)),
        meaning("train loss", figure(status.train_loss)),
        meaning("epoch", f"{status.epoch:.1f}"),
        meaning("step", f"{status.step:,}"),
        meaning(
            "parameters",
            count(status.parameters),
            judged=judged_parameters(status.parameters, tokens),
        ),
        meaning("tokens/s", count(status.tokens_per_sec)),
        meaning("left", duration(status.eta)),
        meaning("learning rate"),
        meaning("gradient norm"),
        meaning("MFU"),
    ]
