"""How bytes on their way to or from the hub look: one line drawn anew, or plain lines in a pipe.

Knows figures of a transfer; knows neither pulls nor pushes.
"""

import sys
from collections.abc import Sequence
from typing import Protocol

from tuillm.cli.output import safe_console, say
from tuillm.units import duration, size

# plain lines come this often, in percent
_PERCENT = 10


class Transfer(Protocol):
    """How far a transfer is, in bytes, bytes per second and seconds; `note` says what it waits for.

    In the state `verifying` what has come is looked at.
    """

    @property
    def state(self) -> str: ...
    @property
    def done(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def rate(self) -> float | None: ...
    @property
    def eta(self) -> float | None: ...
    @property
    def note(self) -> str: ...


class ProgressView(Protocol):
    """Something that shows a transfer: `tell` says once what it is of."""

    def tell(self, lines: Sequence[str]) -> None: ...

    def show(self, status: Transfer) -> None: ...

    def close(self) -> None: ...


def progress_view(name: str, waiting: str) -> ProgressView:
    """Return what suits stdout; until there are figures it says what is being done, `waiting`."""
    return Bar(name, waiting) if sys.stdout.isatty() else PlainProgress()


class PlainProgress:
    """What it is of, a line every tenth of the way, one for each wait; for pipes and logs."""

    def __init__(self) -> None:
        self._shown, self._note, self._told = -1, "", False

    def tell(self, lines: Sequence[str]) -> None:
        self._told = True
        for line in lines:
            say(line)

    def show(self, status: Transfer) -> None:
        percent = int(100 * status.done / status.total) if status.total > 0 else 0
        if status.note and status.note != self._note:
            say(status.note)
        self._note = status.note
        if self._told and status.total and percent // _PERCENT > self._shown:
            self._shown = percent // _PERCENT
            say(f"{percent:3} %  {_words(status)}")

    def close(self) -> None:
        pass


class Bar:
    """One line that is drawn anew: how far, how fast, how long still."""

    def __init__(self, name: str, waiting: str) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        from tuillm.theme import theme_for

        console = safe_console()
        theme = theme_for(console.color_system)
        self._progress = Progress(
            TextColumn("{task.description}", style=theme["primary"], markup=False),
            BarColumn(
                20,
                style=theme["surface"],
                complete_style=theme["primary"],
                finished_style=theme["success"],
            ),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[words]}", style=theme["muted"], markup=False),
            console=console,
            transient=True,
            auto_refresh=False,
        )
        self._task = self._progress.add_task(name, total=None, words=waiting)
        self._progress.start()

    def tell(self, lines: Sequence[str]) -> None:
        for line in lines:  # above the bar
            self._progress.console.print(line, markup=False, highlight=False)

    def show(self, status: Transfer) -> None:
        if status.total:
            words = status.note or _words(status)
            self._progress.update(
                self._task, total=status.total, completed=status.done, words=words
            )
        elif status.note:
            self._progress.update(self._task, words=status.note)
        self._progress.refresh()

    def close(self) -> None:
        self._progress.stop()


def _words(status: Transfer) -> str:
    """How much has come, how fast it comes, and how long it will still take."""
    if status.state == "verifying":
        return "checking what has come"
    parts = [f"{size(status.done)} of {size(status.total)}"]
    if status.rate:
        parts += [f"{size(status.rate)}/s", f"{duration(status.eta)} left"]
    return "  ".join(parts)
