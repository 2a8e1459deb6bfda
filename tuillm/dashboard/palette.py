"""What the command palette offers: every action of ours on the screen below it, and the themes.

Knows bindings by their ids alone: whatever has one is an action that a person may look for.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.dom import DOMNode
from textual.markup import escape
from textual.screen import Screen

if TYPE_CHECKING:
    from tuillm.dashboard.app import Dashboard

_Command = tuple[str, str, Callable[[], object]]


class _Listed(Provider):
    """Commands known beforehand, found by a fuzzy match on their names."""

    def commands(self) -> Iterator[_Command]:
        """Yield name, help and what to call."""
        raise NotImplementedError

    @property
    def dashboard(self) -> "Dashboard":
        return cast("Dashboard", self.app)

    async def discover(self) -> Hits:
        for name, help, call in self.commands():
            yield DiscoveryHit(name, call, text=name, help=escape(help) or None)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for name, help, call in self.commands():
            if (score := matcher.match(name)) > 0:
                yield Hit(
                    score, matcher.highlight(name), call, text=name, help=escape(help) or None
                )


class ActionCommands(_Listed):
    """Every action of the screen, of its panels, and of the dashboard."""

    def commands(self) -> Iterator[_Command]:
        seen = set()
        found = bindings_of(self.screen, self.focused)
        # first what can be done, then how to move about in a panel
        for node, binding, keys in sorted(
            found, key=lambda each: each[0] not in (self.screen, self.app)
        ):
            if binding.description not in seen and binding.action != "command_palette":
                seen.add(binding.description)
                call = partial(self.app.run_action, binding.action, node)
                yield binding.description, f"key {' or '.join(keys)}", call


class ThemeCommands(_Listed):
    """The themes, each with what it is for."""

    def commands(self) -> Iterator[_Command]:
        for theme in self.dashboard.our_themes:
            yield theme.name, theme.about, partial(self.dashboard.choose_theme, theme.name)


def bindings_of(
    screen: Screen[object], focused: DOMNode | None
) -> Iterator[tuple[DOMNode, Binding, list[str]]]:
    """Yield our bindings that work on a screen, with the node each belongs to and its keys.

    First those of the focused panel, then the screen's and the app's, then other panels'.
    """
    nodes: list[DOMNode] = list(focused.ancestors_with_self) if focused else []
    nodes += [screen, screen.app]
    nodes += [node for node in screen.query("*") if node.display]
    for node in dict.fromkeys(nodes):
        bindings = node._bindings.copy()
        bindings.apply_keymap(screen.app._keymap)
        keys: dict[str, list[str]] = {}
        first: dict[str, Binding] = {}
        for _, binding in bindings:
            if binding.id and not binding.system:
                first.setdefault(binding.id, binding)
                keys.setdefault(binding.id, []).append(screen.app.get_key_display(binding))
        for name, binding in first.items():
            if screen.app._check_action_state(binding.action, node):
                yield node, binding, list(dict.fromkeys(keys[name]))
