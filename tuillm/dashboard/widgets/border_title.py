"""Titles in the border of a panel, which repaint the panel only when they are others."""

from rich.text import Text
from textual.content import Content
from textual.widget import Widget

from tuillm.errors import one_line


def set_border_title(panel: Widget, title: str, subtitle: str = "") -> None:
    """Write plain texts, no markup, into the top and the bottom border of a panel.

    Textual repaints a widget with all it contains whenever a title is assigned.
    """
    if _markup(title) != (panel.border_title or ""):
        panel.border_title = Text(one_line(title))
    if _markup(subtitle) != (panel.border_subtitle or ""):
        panel.border_subtitle = Text(one_line(subtitle))


def _markup(words: str) -> str:
    """What the title of a widget reads as, once it was set."""
    return Content(one_line(words)).expand_tabs(4).markup
