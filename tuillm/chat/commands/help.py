"""`/help`: all commands and keys on one screen of 80 by 24, or one command in more words.

Knows where words go on a screen; the words themselves stand beside the commands and keys.
"""

from itertools import zip_longest

from tuillm.chat.active_chat import Chat
from tuillm.chat.commands.slash_commands import COMMANDS, GROUPS, KEYS, command_of
from tuillm.chat.terminal.reply_keys import KEYS as REPLY_KEYS

_Row = tuple[str, str]
# so many headings stand in the left column, the others in the right one
_LEFT = 3
_BETWEEN = 2


def show_help(chat: Chat, rest: str) -> None:
    """`/help`, or `/help why`."""
    screen = chat.screen
    if rest:
        command = command_of(rest.removeprefix("/"))
        screen.pieces([("class:prompt", command.usage)])
        screen.note(command.help)
        return
    blocks = _blocks()
    columns = [_column(blocks[:_LEFT]), _column(blocks[_LEFT:])]
    width = max(len(line) for _, line in columns[0]) + _BETWEEN
    if width + max(len(line) for _, line in columns[1]) >= screen.columns:
        columns, width = [_column(blocks), []], 0
    for (style, left), (other, right) in zip_longest(*columns, fillvalue=("", "")):
        screen.pieces([(style, f"{left:<{width}}"), (other, right)])


def _blocks() -> list[tuple[str, list[_Row]]]:
    """The headings, each with what stands below it: steer, rewrite and the keys come first."""
    groups = [
        (
            group,
            [
                (command.usage, command.brief)
                for command in COMMANDS.values()
                if command.group == group
            ],
        )
        for group in GROUPS
    ]
    return [
        *groups[: _LEFT - 1],
        ("keys", list(KEYS.items())),
        *groups[_LEFT - 1 :],
        ("while it speaks", list(REPLY_KEYS.items())),
    ]


def _column(blocks: list[tuple[str, list[_Row]]]) -> list[tuple[str, str]]:
    """Lines with their styles."""
    width = max(len(usage) for _, rows in blocks for usage, _ in rows)
    lines = []
    for heading, rows in blocks:
        lines.append(("class:prompt", heading))
        lines += [("class:note", f"  {usage:<{width}}  {brief}") for usage, brief in rows]
    return lines
