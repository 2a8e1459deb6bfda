"""The keys of everything that scrolls, declared once."""

from textual.binding import Binding, BindingType

SCROLL_KEYS: list[BindingType] = [
    Binding("down,j", "scroll_down", "Down", id="scroll.down", show=False),
    Binding("up,k", "scroll_up", "Up", id="scroll.up", show=False),
    Binding("g,home", "scroll_home", "To the top", id="scroll.top", show=False),
    Binding("G,end", "scroll_end", "To the end", id="scroll.end", show=False),
    Binding("pagedown,ctrl+d", "page_down", "Page down", id="scroll.page_down", show=False),
    Binding("pageup,ctrl+u", "page_up", "Page up", id="scroll.page_up", show=False),
]
