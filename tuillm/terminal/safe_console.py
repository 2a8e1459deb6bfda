"""A rich console through which no text acts on the terminal: only rich's own sequences do.

Knows rich. Whatever is printed, drawn live or in a progress bar goes through `render`; what is
left out is as wide as nothing, so that the layout stays.
"""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from tuillm.errors import printable
from tuillm.terminal.plain_characters import ascii_wanted, in_ascii


class SafeConsole(Console):
    """`rich.console.Console` for texts out of anybody's files: no markup, no highlighting."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, "highlight": False} | options)

    def on_broken_pipe(self) -> None:
        """Leave it to the command, as for everything that is printed: rich would exit with 1."""
        raise BrokenPipeError

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        plain = ascii_wanted()
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
                continue
            text = printable(segment.text)
            yield segment._replace(text=in_ascii(text) if plain else text)
