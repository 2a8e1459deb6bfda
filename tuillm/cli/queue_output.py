"""`tuillm runs queue`: the runs that wait for their turn, and their order."""

from typing import cast, get_args

from tuillm.cli.output import print_table, say
from tuillm.errors import UsageError, brief
from tuillm.store.run_folder import get_run
from tuillm.store.run_queue import Move, move_in_queue, queued_runs
from tuillm.units import age


def show() -> None:
    """Print the queue, the next run first."""
    runs = queued_runs()
    if not runs:
        say("No run is queued. Queue one: tuillm train BOOK.txt --queue")
        return
    rows = []
    for position, run in enumerate(runs, 1):
        status = run.status()
        rows.append((str(position), run.id, status.doing, age(status.created)))
    print_table(("", "run", "waits for", "queued"), rows)


def move(run_id: str, move: str | None) -> None:
    """Move a queued run; raises UsageError for a move there is not."""
    if move not in get_args(Move):
        given = f"{brief(move)} is no move in the queue" if move else "no move was named"
        raise UsageError(given, f"tuillm runs queue {brief(run_id)} first, last, up or down")
    position = move_in_queue(get_run(run_id), cast(Move, move))
    say(f"{run_id} is number {position} in the queue")
