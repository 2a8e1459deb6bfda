"""How the states of a run look: a sign that does without colour, and a theme role."""

from tuillm.store.run_status import State

STATE_ROLES: dict[State, str] = {
    "preparing": "warning",
    "running": "success",
    "paused": "warning",
    "finished": "secondary",
    "stopped": "muted",
    "failed": "error",
    "lost": "error",
}
_SIGNS: dict[State, str] = {
    "preparing": "◌",
    "running": "●",
    "paused": "‖",
    "finished": "✓",
    "stopped": "■",
    "failed": "✗",
    "lost": "?",
}


def state_words(state: State) -> str:
    """A state with its sign: '● running'."""
    return f"{_SIGNS[state]} {state}"
