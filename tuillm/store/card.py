"""The card of a model, `tuillm.json`: what a Hugging Face folder has no field for.

Knows its fields and how it is read; knows neither the registry nor the weights.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from tuillm.errors import TuillmError
from tuillm.formats.bounded_read import CONFIG_BYTES
from tuillm.store.files import read_json
from tuillm.urls import hide_secrets

CARD = "tuillm.json"
_LARGEST = 10**11  # parameters, bytes, and seconds in five thousand years


class ModelCard(BaseModel):
    """What a Hugging Face folder has no field for; the contents of `tuillm.json`.

    Losses are of the held-out text, or, where `held_out` is false, of the training text itself:
    `val_loss` in nats per token, `bits_per_byte` in bits per UTF-8 byte, which compares across
    tokenizers. `source` and `revision` are the hub's repository and commit that a model was pulled
    from, `base` the repository that it goes back to by fine-tuning, and `license` what either says
    of itself, as the hub spells it. `lora` says with which adapters it was fine-tuned, if it was,
    `teachers` how many models it learned from beside its text. `starts_at_eot` says that an empty
    prompt is best begun behind the end-of-text token, where the texts it knows begin. `created`
    is seconds since 1970.
    """

    model_config = ConfigDict(extra="ignore")

    origin: Literal["trained", "fine-tuned", "pulled", "imported"] = "imported"
    parent: str | None = None
    source: str | None = None
    revision: str | None = None
    base: str | None = None
    license: str | None = None
    run: str | None = None
    corpus: str | None = None
    corpus_sha256: str | None = None
    corpus_bytes: int | None = None
    lora: str | None = None
    teachers: int | None = None
    tokenizer: str | None = None
    mode: Literal["completion", "qa"] = "completion"
    template: str | None = None
    stop: tuple[str, ...] = ()
    parameters: int | None = None
    steps: int | None = None
    val_loss: float | None = None
    bits_per_byte: float | None = None
    held_out: bool = True
    starts_at_eot: bool = False
    created: float | None = None
    tuillm_version: str | None = None

    @field_validator("corpus", "parent", "source", "base")
    @classmethod
    def _public(cls, value: str | None) -> str | None:
        """A card of another's may name addresses with what only their owner may see."""
        return value and hide_secrets(value)

    @field_validator(
        "corpus_bytes",
        "teachers",
        "parameters",
        "steps",
        "val_loss",
        "bits_per_byte",
        "created",
        mode="before",
    )
    @classmethod
    def _plausible(cls, value: object) -> object:
        """A figure that no model has, below 0 or beyond all that can be shown, is not told."""
        return value if not isinstance(value, float | int) or 0 <= value < _LARGEST else None


def read_card(folder: Path) -> ModelCard:
    """Return the card in a model folder, an empty one where there is none.

    Raises TuillmError for a damaged one.
    """
    if not (folder / CARD).exists():
        return ModelCard()
    try:
        return ModelCard.model_validate(read_json(folder / CARD, CONFIG_BYTES))
    except ValidationError as error:
        raise TuillmError(f"{folder / CARD} is damaged: {error.errors()[0]['msg']}") from None
