"""The screens that the first frame does without: imported a moment after it, made when opened.

Knows where they are; what they show is their own.
"""

from textual.screen import Screen


def make_train() -> Screen[None]:
    """A new screen of the form."""
    from tuillm.dashboard.screens.train import TrainScreen

    return TrainScreen()


def make_runs() -> Screen[None]:
    """A new screen of the runs."""
    from tuillm.dashboard.screens.runs import RunsScreen

    return RunsScreen()


def import_screens() -> None:
    """In a thread: read the code of the other screens, so that the first of them opens at once."""
    import tuillm.dashboard.screens.run
    import tuillm.dashboard.screens.train  # noqa: F401
