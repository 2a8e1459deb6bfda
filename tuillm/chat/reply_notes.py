"""What there is to say about a reply that has ended: what was not read, and that it was cut.

Knows sessions; knows no terminal.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tuillm.units import several

if TYPE_CHECKING:
    from tuillm.chat.conversation.session import Session
    from tuillm.chat.terminal.screen import Streamed

_DROPPED_WORDS = 60


def reply_notes(session: "Session", done: "Streamed") -> Iterator[str]:
    """Yield a line for each thing that a person should know of the latest reply."""
    if session.mode.special:
        yield from _left_out(session)
    elif done.dropped:
        yield _dropped(session, done.dropped)
    node = session.tree.head_node
    if not session.mode.turns or node is None or node.finish != "length":
        return
    # one that ended within a thought says so itself
    if not (session.mode.special and session.thinking_at(len(node.ids))):
        yield f"cut at {several(len(node.ids), 'token')}: Enter goes on; /set max_new_tokens N"


def _left_out(session: "Session") -> Iterator[str]:
    """Which turns are not read any more, each time that there are more of them."""
    before, now = session.left_out
    if now.exchanges > before.exchanges:
        yield (
            f"the context is full: the oldest {several(now.exchanges, 'turn')} no longer "
            f"{'fits and is' if now.exchanges == 1 else 'fit and are'} not read"
        )
    if now.ids > before.ids:
        yield (
            "this turn alone is longer than the context: its beginning and its end are read, "
            f"{several(now.ids, 'token')} between them are not"
        )


def _dropped(session: "Session", count: int) -> str:
    """What fell out of the model's view: it never forgets silently."""
    gone = len(session.ids) - session.used[0]
    n_keep = min(session.config.n_keep, gone)
    first = session.sampler.tokenizer.decode(session.ids[n_keep : n_keep + gone])
    words = " ".join(first.split())
    short = words if len(words) <= _DROPPED_WORDS else f"…{words[-_DROPPED_WORDS:]}"
    return (
        f"{session.used[1]} tokens of context were full: {count:,} more fell out "
        f'of view, {gone:,} in all, up to "{short}"'
    )
