"""What the command palette offers: every action on the screen below it, and all that has a name.

Knows bindings by their ids alone: whatever has one is an action that a person may look for.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.binding import Binding
from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.dom import DOMNode
from textual.markup import escape
from textual.screen import Screen

from tuillm.dashboard.screens.dismiss_once import DismissOnce

if TYPE_CHECKING:
    from tuillm.dashboard.app import Dashboard
    from tuillm.store.sessions import SessionHead

_Command = tuple[str, str, Callable[[], object]]
_MOST_CONVERSATIONS = 200


class Palette(DismissOnce, CommandPalette):
    """Textual's palette, which a second Enter finds gone."""

    def _action_command_list(self, action: str) -> None:
        with suppress(KeyError):  # of rows that are not laid out yet, see PagedOptions
            super()._action_command_list(action)


def _once(call: Callable[[], object]) -> Callable[[], object]:
    """Call it the first time, and never again: Enter may be pressed twice before it is seen."""
    left = [call]
    return lambda: left.pop()() if left else None


class _Listed(Provider):
    """Commands known beforehand, found by a fuzzy match on their names."""

    # whether all are listed before anything is typed
    LISTED_AT_ONCE = True

    def commands(self) -> Iterator[_Command]:
        """Yield name, help and what to call."""
        raise NotImplementedError

    @property
    def dashboard(self) -> "Dashboard":
        return cast("Dashboard", self.app)

    async def discover(self) -> Hits:
        for name, help, call in self.commands() if self.LISTED_AT_ONCE else ():
            yield DiscoveryHit(name, _once(call), text=name, help=escape(help) or None)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for name, help, call in self.commands():
            if (score := matcher.match(name)) > 0:
                shown, run = matcher.highlight(name), _once(call)
                yield Hit(score, shown, run, text=name, help=escape(help) or None)


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


class NamedCommands(_Listed):
    """Models, runs, conversations, settings and themes by their names, once something is typed."""

    LISTED_AT_ONCE = False
    _conversations: Sequence["SessionHead"] = ()

    async def startup(self) -> None:
        """Look at the disk once, not with every letter that is typed."""
        from tuillm.store.sessions import list_sessions

        self._conversations = list_sessions()[:_MOST_CONVERSATIONS]

    def commands(self) -> Iterator[_Command]:
        from tuillm.config import TrainConfig, settings_of
        from tuillm.dashboard.open_chat import open_chat
        from tuillm.dashboard.setting_labels import label_of

        board = self.dashboard
        for model in board.models:
            yield model.name, "talk to this model", partial(open_chat, board, model.name)
        for entry in board.runs:
            yield entry.id, f"see this run, {entry.status.state}", partial(board.open_run, entry.id)
        for head in self._conversations:
            call = partial(open_chat, board, head.model, head.id)
            yield head.label or head.id, f"go on with this conversation with {head.model}", call
        for setting in settings_of(TrainConfig):
            name = setting.name
            title = f"{label_of(name)} ({name})"
            yield title, f"set it for a new run: {setting.help}", partial(board.go_to_setting, name)
        for theme in board.themes.all:
            call = partial(board.choose_theme, theme.name)
            yield theme.name, f"use this theme: {theme.about}", call


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
