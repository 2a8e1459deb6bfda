"""A setting that names a field of the records: typed as any, or chosen from those that were found.

Knows fields with a sample value each; knows no file.
"""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tuillm.dashboard.widgets.field import SettingField
from tuillm.dashboard.widgets.paged_options import PagedOptions
from tuillm.errors import one_line
from tuillm.store.workers.corpus_preview import FieldSample

_WIDEST = 22


class FoundList(PagedOptions):
    """The fields to choose from; Escape goes back without one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Next", id="fields.down", show=False),
        Binding("k", "cursor_up", "Previous", id="fields.up", show=False),
        Binding("escape", "close", "Take none", id="fields.close", show=False),
    ]

    class Closed(Message):
        """The person goes back to the field."""

    def action_close(self) -> None:
        self.post_message(self.Closed())

    def on_blur(self, event: events.Blur) -> None:
        self.display = False


class FoundField(SettingField):
    """A row of the form whose Enter lists the fields of the records, once there are any."""

    _names: Sequence[str] = ()  # by their order in the list

    def compose(self) -> ComposeResult:
        yield from super().compose()
        yield FoundList(compact=True)

    def on_mount(self) -> None:
        self.query_one(FoundList).display = False
        self.query_one(Horizontal).mount(Static("", classes="offers"))

    def offer_found(self, fields: Sequence[FieldSample], usual: str) -> None:
        """Offer these fields, those with text first; `usual` is what holds where none is chosen."""
        fields = sorted(fields, key=lambda each: not each.is_text)
        names = [each.name for each in fields]
        self.query_one(Input).suggester = SuggestFromList(names) if names else None
        self.query_one(".offers", Static).update("▼" if names else "")
        width = min(max(map(len, ["auto", *names])), _WIDEST)
        rows = [Option(_row("auto", usual, width), id="auto")]
        rows += [
            Option(_row(one_line(each.name), each.sample, width), id=f"field{number}")
            for number, each in enumerate(fields)
        ]
        self._names = ["", *names]
        listed = self.query_one(FoundList)
        listed.clear_options()
        listed.add_options(rows if names else [])
        if not names:
            listed.display = False

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._open()

    def on_click(self, event: events.Click) -> None:
        if event.widget and event.widget.has_class("offers"):
            self._open()

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.fill(self._names[event.option_index])
        self._close()

    @on(FoundList.Closed)
    def _close(self) -> None:
        self.query_one(FoundList).display = False
        self.query_one(Input).focus()

    def _open(self) -> None:
        listed = self.query_one(FoundList)
        if listed.option_count:
            listed.display = True
            listed.highlighted = self._names.index(self.text) if self.text in self._names else 0
            listed.focus(scroll_visible=False)
            self.call_after_refresh(listed.scroll_visible, animate=False)


def _row(name: str, sample: str, width: int) -> Text:
    """One line: a name, cut where it is too long, and its sample."""
    name = name if len(name) <= width else f"{name[: width - 1]}…"
    return Text.assemble((f"{name:<{width}}  ", "bold"), sample, no_wrap=True, overflow="ellipsis")
