"""What a model of limited context sees of a long text, as ids: the policy when it is full.

Learned positions cannot slide inside a KV cache (keys of old tokens carry their old positions),
so when the context is full, the first `n_keep` ids and the newest ones, together half of the
context, are kept and encoded anew. Pure functions on lists; knows no model.
"""

from collections.abc import Callable

# the first ids that stay, or what says what stays of a window that is full
Keep = int | Callable[[], list[int]]


def slide(window: list[int], block_size: int, n_keep: Keep = 0) -> list[int]:
    """Return what stays of a window that is full: `n_keep` first and the newest ids, half in all.

    A conversation says by itself what stays of it, before one more id: that is shorter than a
    context.

    The result leaves room for at least one more id; at least one newest id stays, unless the
    context is of a single token.
    """
    if not isinstance(n_keep, int):
        return n_keep()
    half = block_size // 2
    first = max(min(n_keep, half - 1), 0)
    return window[:first] + window[len(window) - (half - first) :]


def fit(ids: list[int], block_size: int, n_keep: Keep = 0) -> list[int]:
    """Return the window of a prompt: all of it, or what `slide` leaves when it is too long."""
    return ids if len(ids) <= block_size else slide(ids, block_size, n_keep) or ids[-1:]
