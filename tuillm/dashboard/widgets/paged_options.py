"""A list of options whose page keys wait until its rows are laid out.

Textual looks its rows up before it has counted them anew, and fails, where a key comes right behind
a change of the options.
"""

from contextlib import suppress
from typing import Any

from textual.widgets import OptionList


class PagedOptions(OptionList):
    """An OptionList that can be paged through at any time."""

    def _move_page(self, direction: Any) -> None:
        with suppress(KeyError):
            super()._move_page(direction)
