"""Runs one command line of tuillm after another in this process, each as `tuillm ...` would.

    python tests/walking.py commands.json [folder]

The exit codes go to `codes.json` beside `commands.json`. With `folder` what command N writes goes
to `N.out` and `N.err` in it; else all of it goes where this process writes.
"""

import json
import os
import sys
import traceback
from pathlib import Path

from tuillm.cli.main import main


def run(arguments):
    """Run one command; return its exit code."""
    sys.argv = ["tuillm", *arguments]
    try:
        main()
    except SystemExit as end:
        return end.code or 0
    except Exception:
        traceback.print_exc()
    return -1


def walk(place, folder):
    """Run what stands in a file."""
    codes = []
    for number, arguments in enumerate(json.loads(place.read_text())):
        if folder is not None:
            for handle, name in ((1, "out"), (2, "err")):
                file = os.open(folder / f"{number}.{name}", os.O_CREAT | os.O_WRONLY)
                os.dup2(file, handle)
                os.close(file)
        codes.append(run(arguments))
        sys.stdout.flush()
        sys.stderr.flush()
        place.with_name("codes.json").write_text(json.dumps(codes))


if __name__ == "__main__":
    walk(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
