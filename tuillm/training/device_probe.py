"""`python -m tuillm.training.device_probe NAME`: whether this machine has a device, and which.

Exit code 0 where it does, with the device that `auto` stands for as JSON on stdout; else that of
UsageError, with its message and hint.
"""

import sys

from tuillm.errors import UsageError
from tuillm.formats.json_text import to_json
from tuillm.model import choose_device


def main(name: str) -> int:
    """Look for the device; return the exit code."""
    try:
        device = choose_device(name)
    except UsageError as error:
        print(to_json({"error": error.message, "hint": error.hint}))
        return error.exit_code
    print(to_json({"device": device.type}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
