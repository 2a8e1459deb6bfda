"""Where a mistake of the dashboard itself is written down, so that a person sees one line only."""

import traceback
from contextlib import suppress

from tuillm.errors import TuillmError
from tuillm.store.files import write_text
from tuillm.store.paths import data_dir


def write_failure(error: BaseException) -> str:
    """Write the traceback into `dashboard.log` of the data directory; return the line to show."""
    what = f"the dashboard failed: {type(error).__name__}: {error}".split("\n")[0]
    log = data_dir() / "dashboard.log"
    with suppress(TuillmError):
        write_text(log, "".join(traceback.format_exception(error)))
        return f"{what} (details in {log}; runs go on: tuillm runs)"
    return what
