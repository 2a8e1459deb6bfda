"""What a run is going to take, as another process works it out: the record and that process.

Knows the forecast by its module's name: importing it would cost torch. A front end reads the
forecasts in a thread and cancels the process as soon as they are of no use.
"""

import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from typing import Self

from tuillm.config import TrainConfig
from tuillm.errors import TuillmError
from tuillm.formats.json_text import JsonObject, to_json
from tuillm.store.workers.corpus_preview import Preview
from tuillm.store.workers.json_lines import Stray, last_line, read_objects, warn_on_stderr
from tuillm.store.workers.processes import lower_priority, module_command, module_environment

_MODULE = "tuillm.training.forecast.process"


@dataclass(frozen=True)
class Forecast:
    """What is known before a start; None is not known (yet).

    Of stage `preview` it is what the beginning of the text tells, of stage `text` what the whole
    text and the settings tell, of stage `speed` also what real steps told.

    `val_tokens` is 0 where nothing is held out, `block_size` the window that the text allows.
    Memory and disk are in bytes, `memory` part by part, `memory_with_lora` what LoRA would need
    instead; `recompute` says that blocks are computed again to save memory.
    `tokens_per_sec`, `step_seconds`, `steps`, `epochs` and `seconds` are of the whole run as set;
    `estimated` where steps would have taken too long and the speed of matrix products stands in
    for them. `skipped` says why no step was taken. `notes` are what was decided, `warnings` what a
    person should think about.
    """

    stage: str = "text"
    bytes: int | None = None
    characters: int | None = None
    tokenizer: str | None = None
    vocab_size: int | None = None
    train_tokens: int | None = None
    val_tokens: int | None = None
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
    skipped: str = ""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    preview: Preview | None = None

    def as_json(self) -> JsonObject:
        """The forecast as a JSON object, flat but for `memory` and `preview`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: JsonObject) -> Self:
        """The forecast of such an object."""
        known = {each.name: values[each.name] for each in fields(cls) if each.name in values}
        for name in ("notes", "warnings"):
            known[name] = tuple(known.get(name, ()))
        if known.get("preview") is not None:
            known["preview"] = Preview.from_json(known["preview"])
        return cls(**known)


class ForecastProcess:
    """A forecast being made in a process of its own, started in this one's directory.

    Iterating gives each forecast as soon as it stands, the later with all the former knew, and
    raises TuillmError for settings or a text that cannot work.
    """

    def __init__(self, config: TrainConfig, stray: Stray | None = None) -> None:
        """Start the process; returns at once.

        `stray` is called, while this is iterated, with lines that are no forecast: by default
        they are told on stderr.
        """
        self._cancelled = self._reading = False
        self._stray = stray or partial(warn_on_stderr, "the forecast")
        self._errors = tempfile.TemporaryFile()
        with tempfile.TemporaryFile() as settings:  # a pipe might fill up before it is read
            settings.write(to_json(config.model_dump(mode="json")).encode())
            settings.seek(0)
            self._process = subprocess.Popen(
                module_command(_MODULE),
                env=module_environment(),
                stdin=settings,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                start_new_session=True,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        lower_priority(self._process.pid)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def __iter__(self) -> Iterator[Forecast]:
        """Wait for each forecast; ends when there are no more, or at once when cancelled."""
        assert self._process.stdout is not None
        self._reading = True
        with self._process.stdout as lines, self._errors:
            for found in read_objects(lines, self._stray):
                if "error" in found:
                    self._process.wait()
                    raise TuillmError(str(found["error"]), str(found.get("hint", "")))
                yield Forecast.from_json(found)
            code = self._process.wait()
            if code and not self._cancelled:
                how = f"signal {-code}" if code < 0 else f"exit code {code}"
                words = last_line(self._errors)
                raise TuillmError(
                    f"the forecast broke off ({how})" + (f": {words}" if words else ""),
                    "is there enough memory?" if code < 0 else "",
                )

    def cancel(self) -> None:
        """End the process at once, whatever it is doing; may be called from any thread."""
        self._cancelled = True
        self._process.kill()
        self._process.wait()
        if not self._reading and self._process.stdout:
            self._process.stdout.close()
            self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.cancel()
