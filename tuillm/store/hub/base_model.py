"""Whose weights a model was made from: the hub's repository at its beginning, and that's licence.

Knows cards and the registry; asks no network.
"""

from contextlib import suppress
from dataclasses import dataclass

from tuillm.errors import TuillmError
from tuillm.store.hub.catalog import CATALOG
from tuillm.store.registry import Model, get_model

_LONGEST_LINE = 100


@dataclass(frozen=True)
class BaseModel:
    """A repository of the hub; `licence` is '' where nobody has told it."""

    repo: str
    licence: str = ""


def base_of(model: Model) -> BaseModel | None:
    """Return what a model was pulled from, or what one was that it was fine-tuned from.

    None where it began here, and where nothing tells it any more.
    """
    known = {row.repo: row.licence for row in CATALOG.values()}
    for _ in range(_LONGEST_LINE):
        card = model.card
        if card.origin == "pulled" and card.source:
            return BaseModel(card.source, card.license or known.get(card.source, ""))
        if card.base:
            return BaseModel(card.base, card.license or known.get(card.base, ""))
        if not card.parent:
            return None
        with suppress(TuillmError):
            model = get_model(card.parent)
            continue
        return None
    return None
