"""How the long stages of preparing a text say how far they are, and learn that they are not wanted.

Knows no stage and no screen.
"""

from collections.abc import Callable

# called all the time with the name of a stage and how much of it is done, 0 to 1; what it raises
# (errors.Interrupted) ends the work
Tick = Callable[[str, float], None]


class Enough(Exception):
    """Raised by the tick of somebody who has seen enough: what was found until then is returned."""


def unwatched(stage: str, share: float) -> None:
    """The tick of work that nobody watches."""
