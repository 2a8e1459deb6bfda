"""What to expect of a run before it starts, beside the form.

Draws a Forecast of `store.workers.forecast_process`; knows nothing of how it was made.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from rich.console import Group
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from tuillm.dashboard.widgets.fact_table import Fact, facts, heading
from tuillm.dashboard.widgets.figures import small_line
from tuillm.dashboard.widgets.preview_text import document_parts, field_parts
from tuillm.dashboard.widgets.scroll import SCROLL_KEYS
from tuillm.dashboard.widgets.theme_aware import ThemeAware
from tuillm.errors import TuillmError, one_line
from tuillm.store.snapshot import RunEntry
from tuillm.store.workers.corpus_preview import Preview
from tuillm.store.workers.forecast_process import Forecast
from tuillm.units import count, duration, figure, size

_CURVE, _BAR = 12, 40
_TIGHT = 0.8  # of the free memory

_WAITING = """\
Name a text, and here stands what growing a model on it will take: its size, the memory, \
the time, measured by a few real steps on this machine."""

_WRONG = "The forecast comes as soon as the form is right."


class ForecastPanel(ThemeAware, VerticalScroll, can_focus=True):
    """The forecast, stage by stage: first what the text tells, then what real steps told."""

    HELP = (
        "What the run will take, measured on this machine: size of the model, memory, speed, "
        "time, and what to think about before the start."
    )
    DEFAULT_CLASSES = "panel"
    BINDINGS = SCROLL_KEYS

    _preview: Preview | None = None
    _alike: Sequence[RunEntry] = ()
    _told: Callable[[], None] | None = None

    def redraw(self) -> None:
        if self._told:
            self._told()

    def compose(self) -> ComposeResult:
        self.border_title = "what to expect"
        yield Static()

    def wait(self) -> None:
        """There is nothing to look at yet."""
        self._told = self.wait
        self._draw(Text(_WAITING, style=self._muted))

    def hold(self) -> None:
        """Something in the form is wrong, which the form itself says."""
        self._told = self.hold
        self._draw(Text(_WRONG, style=self._muted))

    def begin(self) -> None:
        """A forecast is being made."""
        self._told = self.begin
        self._preview = None
        self._draw(Text("reading the text …", style=self._muted))

    def fail(self, error: TuillmError) -> None:
        """The run would fail like this; what its text begins with stays."""
        self._told = partial(self.fail, error)
        colors = self.app.theme_variables
        parts: list[Text | Table] = [Text(f"{error}\n", style=colors["error"])]
        if self._preview:
            parts += field_parts(self._preview, colors) + document_parts(self._preview, colors)
        self._draw(*parts)

    def compare(self, alike: Sequence[RunEntry]) -> None:
        """Show from the next forecast on what runs like this one have come to."""
        self._alike = alike

    def show(self, forecast: Forecast) -> None:
        """Show what is known so far."""
        self._told = partial(self.show, forecast)
        colors = self.app.theme_variables
        parts: list[Text | Table] = []
        self._preview = forecast.preview
        if forecast.stage == "preview" and forecast.preview:
            self._begun(forecast.preview)
            return
        for warning in forecast.warnings:
            parts.append(Text(f"! {warning}\n", style=colors["warning"]))
        parts += [heading("How long", colors), self._speed(forecast)]
        parts += self._expected(colors)
        parts += [heading("Memory", colors), *_memory_bar(forecast, self._room, colors)]
        parts += [heading("The model", colors), facts(_model(forecast), colors)]
        parts += [heading("The text", colors), facts(_text(forecast), colors)]
        parts += [Text(f"· {forecast.enough}\n")] if forecast.enough else []
        if seen := forecast.preview:
            parts += [Text(f"! {seen.problem}\n", style=colors["warning"])] if seen.problem else []
            parts += document_parts(seen, colors)
        found = seen.found if seen else ""
        parts += [Text(f"· {note}", style=self._muted) for note in forecast.notes if note != found]
        self._draw(*parts)

    def _begun(self, seen: Preview) -> None:
        """Show what the beginning of the text tells, while the rest is read."""
        colors = self.app.theme_variables
        parts: list[Text | Table] = []
        if seen.problem:
            parts.append(Text(f"! {seen.problem}\n", style=colors["warning"]))
        parts += [
            heading("The text", colors),
            facts(_files(seen) or [("size", seen.found)], colors),
        ]
        parts += document_parts(seen, colors) + field_parts(seen, colors)
        self._draw(*parts, Text("reading all of it …", style=self._muted))

    def _speed(self, forecast: Forecast) -> Text | Table:
        if forecast.skipped:
            text = f"not measured: {forecast.skipped}\n"
            return Text(text, style=self.app.theme_variables["warning"])
        if forecast.tokens_per_sec is None:
            return Text("taking a few real steps …\n", style=self._muted)
        about = "estimated " if forecast.estimated else ""
        seconds = forecast.step_seconds or 0.0
        pace = f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
        return facts(
            [
                ("time", f"{about}{duration(forecast.seconds)}"),
                ("speed", f"{about}{count(forecast.tokens_per_sec)} tokens/s"),
                ("a step", pace),
                ("steps", f"{forecast.steps:,}" if forecast.steps else ""),
                ("epochs", f"{forecast.epochs:.1f}" if forecast.epochs else ""),
            ],
            self.app.theme_variables,
        )

    def _expected(self, colors: dict[str, str]) -> list[Text | Table]:
        """How the loss of runs like this one fell, and what they came to."""
        if not self._alike:
            return []
        lines = Text()
        for entry in self._alike:
            status = entry.status
            curve = small_line(status.loss_curve, _CURVE)
            lines.append(f"{curve:<{_CURVE}}  ", colors["secondary"])
            lines.append(f"{figure(status.bits_per_byte)} bits per byte", "bold")
            lines.append(f"  {entry.id}, {duration(status.elapsed)}\n", self._muted)
        return [heading("What runs like it came to", colors), lines]

    @property
    def _room(self) -> int:
        """The columns there are for a bar."""
        return max(self.content_size.width - 2, 12)

    @property
    def _muted(self) -> str:
        return self.app.theme_variables.get("muted", "")

    def _draw(self, *parts: Text | Table) -> None:
        self.query_one(Static).update(Group(*parts))


def _memory_bar(forecast: Forecast, room: int, colors: Mapping[str, str]) -> list[Text | Table]:
    """The memory that the run needs, of what is free, as a bar of `room` columns and in words."""
    needed, there = forecast.memory_needed, forecast.memory_available
    if not needed or not there:
        return [Text("not known yet\n", style=colors.get("muted", ""))]
    width = min(_BAR, room)
    full = min(max(round(width * needed / there), 1), width)
    role = "error" if needed > there else "warning" if needed > _TIGHT * there else "success"
    bar = Text("━" * full, colors[role]).append("─" * (width - full), colors.get("muted", ""))
    return [bar, Text(f"{size(needed)} of the {size(there)} that are free\n")]


def _model(forecast: Forecast) -> list[Fact]:
    return [
        ("parameters", f"{forecast.parameters:,}" if forecast.parameters else ""),
        ("context", f"{forecast.block_size} tokens" if forecast.block_size else ""),
        ("dropout", f"{forecast.dropout:g}" if forecast.dropout else ""),
        ("device", f"{forecast.device} {forecast.dtype or ''}" if forecast.device else ""),
        ("disk", size(forecast.disk_needed) if forecast.disk_needed else ""),
    ]


def _files(seen: Preview) -> list[Fact]:
    """What the beginning tells of a text that is more than one plain file."""
    several = "file" in seen.found
    rows = [("files" if several else "size", seen.found), ("format", one_line(seen.words))]
    return rows if several or seen.words else []


def _text(forecast: Forecast) -> list[Fact]:
    begun = _files(forecast.preview) if forecast.preview else []
    held_out = f"{forecast.val_tokens:,}" if forecast.val_tokens else "nothing"
    vocabulary = f"{forecast.vocab_size:,} ({forecast.tokenizer})" if forecast.vocab_size else ""
    return [
        *(row for row in begun if row[0] != "size"),
        ("size", size(forecast.bytes) if forecast.bytes else ""),
        ("documents", f"{forecast.documents:,}" if (forecast.documents or 1) > 1 else ""),
        ("vocabulary", vocabulary),
        ("tokens", f"{forecast.train_tokens:,}" if forecast.train_tokens else ""),
        ("learned", f"{forecast.learned_share:.0%} of them" if forecast.learned_share < 1 else ""),
        ("held out", held_out if forecast.train_tokens else ""),
        ("an epoch", f"{forecast.steps_per_epoch:,.0f} steps" if forecast.steps_per_epoch else ""),
    ]
