"""The sample timeline: what the model wrote at each evaluation, one at a time.

Keeps every sample of a run it was told about; shows the newest unless the person steps back.
"""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from tuillm.dashboard.widgets.border_title import set_border_title
from tuillm.dashboard.widgets.scroll import SCROLL_KEYS
from tuillm.dashboard.widgets.theme_aware import ThemeAware
from tuillm.store.jsonl import Sample


class Samples(ThemeAware, VerticalScroll, can_focus=True):
    """One sample, its step, and its place among all of them."""

    HELP = (
        "What the model writes from the same beginning and the same seed, each time it is "
        "evaluated: step back and forth with [ and ] to see it learn."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        *SCROLL_KEYS,
        Binding(
            "left_square_bracket,left",
            "step(-1)",
            "Earlier sample",
            id="samples.earlier",
            show=False,
            key_display="[",
        ),
        Binding(
            "right_square_bracket,right",
            "step(1)",
            "Later sample",
            id="samples.later",
            show=False,
            key_display="]",
        ),
        Binding(
            "left_curly_bracket",
            "first",
            "First sample",
            id="samples.first",
            show=False,
            key_display="{",
        ),
        Binding(
            "right_curly_bracket",
            "newest",
            "Newest sample",
            id="samples.newest",
            show=False,
            key_display="}",
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._samples: list[Sample] = []
        self._index: int | None = None  # None follows the newest

    def compose(self) -> ComposeResult:
        yield Static()

    def on_mount(self) -> None:
        self.redraw()

    def add(self, samples: list[Sample]) -> None:
        """Take in new samples of the run; after a resume the later ones come again."""
        for sample in samples:
            while self._samples and self._samples[-1].step > sample.step:
                self._samples.pop()
            self._samples.append(sample)
        if samples:
            self.redraw()

    @property
    def shown(self) -> Sample | None:
        """The sample on screen."""
        if not self._samples:
            return None
        index = len(self._samples) - 1 if self._index is None else self._index
        return self._samples[min(index, len(self._samples) - 1)]

    def action_step(self, by: int) -> None:
        last = len(self._samples) - 1
        index = (last if self._index is None else self._index) + by
        self._index = None if index >= last else max(index, 0)
        self.redraw()

    def action_first(self) -> None:
        self._index = 0 if len(self._samples) > 1 else None
        self.redraw()

    def action_newest(self) -> None:
        self._index = None
        self.redraw()

    def redraw(self) -> None:
        body = self.query_one(Static)
        if not self._samples:
            self.border_title = "samples"
            body.update(
                Text(
                    "the first evaluation brings the first sample",
                    style=self.app.theme_variables.get("muted", ""),
                )
            )
            return
        last = len(self._samples) - 1
        index = last if self._index is None else min(self._index, last)
        sample = self._samples[index]
        where = "newest" if index == last else f"{index + 1} of {last + 1}"
        keys = "[ earlier · ] later" if last else ""
        set_border_title(self, f"sample at step {sample.step:,} · {where}", keys)
        body.update(Text(sample.text.strip("\n") or "(nothing)"))
