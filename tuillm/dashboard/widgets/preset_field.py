"""The preset as a table in the form: what each takes on this machine, and what it is for.

Knows presets by their names and sentences, and estimates as they are told; computes none.
"""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tuillm.config import PRESETS, Setting
from tuillm.dashboard.widgets.field import SettingField
from tuillm.dashboard.widgets.paged_options import PagedOptions
from tuillm.dashboard.widgets.theme_aware import ThemeAware
from tuillm.store.workers.forecast_process import PresetEstimate
from tuillm.units import count, roughly, size

# in the order in which a person with a book asks for them
_ORDER = ("tiny", "small", "best", "medium", "heart", "bigram", "nano", "finetune")
_NAME = max(map(len, PRESETS))
_TIME, _MEMORY, _SIZE = 9, 7, 6


class PresetList(PagedOptions):
    """The rows; Enter, Space or a click chooses, and beyond the ends the form goes on."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "next(1)", "Next preset", id="presets.down", show=False),
        Binding("up,k", "next(-1)", "Previous preset", id="presets.up", show=False),
        Binding("space", "select", "Choose", id="presets.choose", show=False),
    ]

    def action_next(self, by: int) -> None:
        """Go to the next row, or to the next field where there is none."""
        row = (self.highlighted or 0) + by
        if 0 <= row < self.option_count:
            self.highlighted = row
        elif by > 0:
            self.screen.focus_next()
        else:
            self.screen.focus_previous()


class PresetField(ThemeAware, SettingField):
    """A row of the form that is a table; nothing chosen means what `usual` says."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting, choices=[(name, name) for name in PRESETS])
        self._names = [*_ORDER, *(name for name in PRESETS if name not in _ORDER)]
        self._chosen, self._default = "", "tiny"
        self._estimates: dict[str, PresetEstimate] = {}

    def compose(self) -> ComposeResult:
        yield Static(classes="head", markup=False)
        yield PresetList(compact=True)
        yield Static(classes="about", markup=False)

    def on_mount(self) -> None:
        self.query_one(".head", Static).update(_columns("", "time", "memory", "params", ""))
        listed = self.query_one(PresetList)
        listed.add_options(Option(self._row(name), id=name) for name in self._names)
        self._highlight_effective()

    # what the form asks and says

    @property
    def text(self) -> str:
        return self._chosen

    @property
    def effective(self) -> str:
        """The preset of the run: the chosen one, or what holds when none is."""
        return self._chosen or self._default

    def fill(self, text: str) -> None:
        self._choose(text if text in PRESETS else "")

    def usual(self, words: str) -> None:
        """`words` is the name of the preset that holds when none is chosen."""
        before, self._default = self._default, words if words in PRESETS else "tiny"
        if before != self._default:
            self.redraw()
            self._highlight_effective()

    def estimated(self, estimates: Sequence[PresetEstimate]) -> None:
        """Show about what presets take."""
        self._estimates = {each.name: each for each in estimates}
        self.redraw()

    def redraw(self) -> None:
        listed = self.query_one(PresetList)
        for name in self._names if listed.option_count else ():
            listed.replace_option_prompt(name, self._row(name))

    # events

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._choose(str(event.option.id))

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        if self.query_one(PresetList).has_focus:  # the row that a person moves to is the one
            self._choose(str(event.option.id))
        self._say()

    def _say(self, focused: bool = False) -> None:
        """The whole sentence of the preset that is looked at, which its row may have to cut."""
        row = self.query_one(PresetList).highlighted
        about = self.query_one(".about", Static)
        name = self._names[row] if row is not None else self._default
        about.update(self.problem or f"{name}: {PRESETS[name].help}")
        about.set_class(bool(self.problem), "-error")

    def on_descendant_blur(self) -> None:
        super().on_descendant_blur()
        self._highlight_effective()  # the row that holds, not one that was looked at

    def _choose(self, name: str) -> None:
        if name == self._chosen:
            return
        self._chosen = name
        self.redraw()
        self._highlight_effective()
        self.check()
        self.post_message(self.Changed(self))

    def _highlight_effective(self) -> None:
        """Put the highlight on the preset that holds."""
        listed = self.query_one(PresetList)
        if listed.option_count:
            listed.highlighted = self._names.index(self.effective)

    def _row(self, name: str) -> Text:
        colors, found = self.app.theme_variables, self._estimates.get(name)
        effective = name == self.effective
        minutes = PRESETS[name].settings.get("minutes")
        seconds = 60 * minutes if isinstance(minutes, float) else None
        if found and found.seconds:
            seconds = found.seconds
        about = (
            roughly(seconds) if seconds else "",
            size(found.memory) if found else "",
            count(found.parameters) if found else "",
        )
        text = Text(no_wrap=True, overflow="ellipsis").append(
            "● " if effective else "  ", colors["accent"]
        )
        row = _columns(name, *about, PRESETS[name].help)
        if found and not found.fits:
            row.stylize(colors["warning"], _NAME, _NAME + 2 + _TIME + 2 + _MEMORY)
        if effective:
            row.stylize("bold", 0, _NAME)
        return text.append_text(row)


def _columns(name: str, time: str, memory: str, parameters: str, words: str) -> Text:
    line = f"{name:<{_NAME}}  {time:>{_TIME}}  {memory:>{_MEMORY}}  {parameters:>{_SIZE}}  {words}"
    return Text(line, no_wrap=True, overflow="ellipsis")
