"""`tuillm dashboard`, and `tuillm` alone on a terminal: the Textual app."""

import sys

import click

from tuillm.errors import TuillmError, UsageError


@click.command("dashboard")
def dashboard_command() -> None:
    """See, steer and start everything: the models, the training, the chats.

    ? shows the keys of where you are, Ctrl-P finds every action.
    """
    open_dashboard()


def open_dashboard() -> None:
    """Show the dashboard until the person leaves it; raises TuillmError when it broke."""
    # Textual draws on stderr
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise UsageError("the dashboard needs a terminal", "tuillm list, tuillm runs")
    from tuillm.dashboard.app import Dashboard
    from tuillm.dashboard.error_log import write_failure
    from tuillm.terminal.ending import leave

    try:
        app = Dashboard()
        app.run()
    except Exception as error:  # before or after the app could take care of it itself
        raise TuillmError(write_failure(error)) from error
    if app.ended_by:
        leave(app.ended_by)
    if app.failure:
        raise TuillmError(app.failure)
