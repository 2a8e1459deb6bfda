"""How the states of a run look: a sign that does without colour, and a theme role."""

from tuillm.store.run_status import State

STATE_ROLES: dict[State, str] = {
    "queued": "muted",
    "preparing": "warning",
    "running": "success",
    "paused": "warning",
    "finished": "secondary",
    "stopped": "muted",
    "failed": "error",
    "lost": "error",
}
_SIGNS: dict[State, str] = {
    "queued": "…",
    "preparing": "◌",
    "running": "●",
    "paused": "‖",
    "finished": "✓",
    "stopped": "■",
    "failed": "✗",
    "lost": "?",
}


def state_words(state: State, position: int = 0) -> str:
    """A state with its sign: '● running'; of a queued run with its position, '… queued 2'."""
    number = f" {position}" if state == "queued" and position else ""
    return f"{_SIGNS[state]} {state}{number}"
