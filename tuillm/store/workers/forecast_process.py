"""What a run is going to take, as another process works it out: the record and that process.

Knows the forecast by its module's name: importing it would cost torch. A front end reads the
forecasts in a thread and cancels the process as soon as they are of no use.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Self

from tuillm.config import TrainConfig
from tuillm.formats.json_text import JsonObject
from tuillm.store.workers.corpus_preview import Preview
from tuillm.store.workers.json_lines import Stray
from tuillm.store.workers.settings_process import SettingsProcess

_MODULE = "tuillm.training.forecast.process"


@dataclass(frozen=True)
class PresetEstimate:
    """About what a preset takes: parameters, bytes of memory, seconds; and whether it fits."""

    name: str
    parameters: int
    memory: int
    seconds: float | None
    fits: bool


@dataclass(frozen=True)
class Forecast:
    """What is known before a start; None is not known (yet).

    Of stage `preview` it is what the beginning of the text tells, of stage `text` what all of it
    and the settings tell, of stage `speed` also what real steps told.

    `val_tokens` is 0 where nothing is held out, `block_size` the window that the text allows;
    `learned_share` is how much of the training tokens is learned where a mask leaves out prompts.
    `tokenizers` are those that were measured, where one was chosen by that (see
    `text.tokenizer_figures`). Memory and disk are in bytes, `memory` part by part,
    `memory_with_lora` what LoRA would need instead; `recompute` says that blocks are computed again
    to save memory. `tokens_per_sec`, `step_seconds`, `steps`, `epochs` and `seconds` are of the
    whole run as set; `estimated` where steps would have taken too long and the speed of matrix
    products stands in for them. `enough` says in words whether the text suffices, with
    `tokens_per_parameter` and the passes that it `overfits_after`. `skipped` says why no step was
    taken. `notes` are what was decided, `warnings` what a person should think about. `presets` are
    about what the others would take.
    """

    stage: str = "text"
    bytes: int | None = None
    characters: int | None = None
    documents: int | None = None
    tokenizer: str | None = None
    vocab_size: int | None = None
    tokenizers: tuple[JsonObject, ...] = ()
    train_tokens: int | None = None
    val_tokens: int | None = None
    learned_share: float = 1.0
    block_size: int | None = None
    dropout: float | None = None
    parameters: int | None = None
    tokens_per_step: int | None = None
    steps_per_epoch: float | None = None
    memory: dict[str, int] = field(default_factory=dict)
    memory_needed: int | None = None
    memory_available: int | None = None
    memory_with_lora: int | None = None
    recompute: bool = False
    disk_needed: int | None = None
    disk_free: int | None = None
    device: str | None = None
    dtype: str | None = None
    tokens_per_sec: float | None = None
    step_seconds: float | None = None
    steps: int | None = None
    epochs: float | None = None
    seconds: float | None = None
    estimated: bool = False
    tokens_per_parameter: float | None = None
    overfits_after: float | None = None
    enough: str = ""
    skipped: str = ""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    preview: Preview | None = None
    presets: tuple[PresetEstimate, ...] = ()

    def as_json(self) -> JsonObject:
        """The forecast as a JSON object, flat but for `memory`, `presets` and `preview`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: JsonObject) -> Self:
        """The forecast of such an object."""
        known = {each.name: values[each.name] for each in fields(cls) if each.name in values}
        for name in ("notes", "warnings", "tokenizers"):
            known[name] = tuple(known.get(name, ()))
        known["presets"] = tuple(PresetEstimate(**each) for each in known.get("presets", ()))
        if known.get("preview") is not None:
            known["preview"] = Preview.from_json(known["preview"])
        return cls(**known)


class ForecastProcess(SettingsProcess):
    """A forecast being made in a process of its own, started in this one's directory.

    Iterating gives each forecast as soon as it stands, the later with all the former knew, and
    raises TuillmError for settings or a text that cannot work.
    """

    def __init__(self, config: TrainConfig, stray: Stray | None = None) -> None:
        """Start the process; returns at once.

        `stray` is called, while this is iterated, with lines that are no forecast: by default
        they are told on stderr.
        """
        super().__init__(_MODULE, "the forecast", config, stray)

    def __iter__(self) -> Iterator[Forecast]:
        """Wait for each forecast; ends when there are no more, or at once when cancelled."""
        return map(Forecast.from_json, self.objects())
