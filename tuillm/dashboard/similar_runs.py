"""Which runs tell what to expect of one that has not begun: those with its preset, on such a text.

Knows settings and how runs ended; draws nothing.
"""

from collections.abc import Sequence

from tuillm.config import TrainConfig
from tuillm.store.snapshot import RunEntry

_MOST = 3


def similar_runs(config: TrainConfig, entries: Sequence[RunEntry]) -> list[RunEntry]:
    """Return the runs most like one with `config` that were measured: its text first, then new.

    Alike are the preset, the shape, and whether a run started from a model.
    """
    alike = [
        entry
        for entry in entries
        if entry.config
        and entry.status.bits_per_byte is not None
        and _kind(entry.config) == _kind(config)
    ]
    alike.sort(
        key=lambda entry: (
            not entry.config or entry.config.corpus != config.corpus,
            -entry.status.created,
        )
    )
    return alike[:_MOST]


def _kind(config: TrainConfig) -> tuple[object, ...]:
    begun = config.init_from is not None
    shape = () if begun else (config.n_layer, config.n_embd, config.val_fraction > 0)
    return config.preset, begun, *shape
