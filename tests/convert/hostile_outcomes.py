"""What becomes of hostile files: all are opened in one process, which is small and watched."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def outcomes(place: Path, cases: Any) -> dict[str, list[Any]]:
    """Open cases of (name, how, path) with a home of its own in `place`; what each came to."""
    (place / "cases.json").write_text(json.dumps(cases))
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("open_hostile_files.py"), place / "cases.json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        env=os.environ | {"TUILLM_HOME": str(place / "home"), "OMP_NUM_THREADS": "1"},
    )
    found: dict[str, list[Any]] = json.loads(done.stdout)
    return found
