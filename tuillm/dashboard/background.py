"""Work beside the event loop: the only place where the dashboard starts threads.

Whatever goes wrong in one becomes a message on the screen, and a mistake of ours is written down
whole besides.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from textual.css.query import NoMatches
from textual.dom import DOMNode
from textual.worker import get_current_worker

from tuillm.dashboard.error_log import write_failure
from tuillm.errors import TuillmError

if TYPE_CHECKING:
    from tuillm.dashboard.app import Dashboard


class RepeatedErrors:
    """Errors of work that is done again and again: each is said once, until it goes well again."""

    def __init__(self, app: "Dashboard") -> None:
        self._app = app
        self._last: dict[str, str] = {}

    def tell(self, group: str, error: TuillmError) -> None:
        """Show an error on the screen, unless it is what the group's work failed with before."""
        if self._last.get(group) != str(error):
            self._last[group] = str(error)
            self._app.show_error(error)

    def clear(self, group: str) -> None:
        """Note that the group's work has gone well."""
        self._last.pop(group, None)


def run_in_background(
    node: DOMNode,
    work: Callable[[], object],
    *,
    group: str,
    exclusive: bool = False,
    repeated: bool = False,
    failed: Callable[[TuillmError], None] | None = None,
) -> None:
    """Do `work` in a thread; it ends with `node`, or with the next of its group if `exclusive`.

    What it raises is handed to `failed` on the event loop, by default to the screen; of work that
    is `repeated` the same error only once in a row. Nothing is said any more where the work was
    cancelled or the dashboard has ended.
    """
    app = cast("Dashboard", node.app)

    def tell(error: TuillmError) -> None:
        if repeated:
            app.repeated_errors.tell(group, error)
        else:
            (failed or app.show_error)(error)

    def guarded() -> None:
        worker = get_current_worker()
        try:
            work()
        except Exception as error:
            # what was found comes to a screen that is being taken away, part by part
            left = isinstance(error, NoMatches) and _is_going(node)
            if not (left or worker.is_cancelled) and app.is_running:
                app.call_from_thread(tell, as_error(error))
        else:
            app.repeated_errors.clear(group)

    node.run_worker(guarded, thread=True, exclusive=exclusive, group=group, exit_on_error=False)


def _is_going(node: DOMNode) -> bool:
    return not node.is_attached or not node.is_running or node._pruning


def as_error(error: Exception) -> TuillmError:
    """Return what to show of an exception; a mistake of ours is written into a file as well."""
    return error if isinstance(error, TuillmError) else TuillmError(write_failure(error))
