"""`python -m tuillm.training.device_probe NAME`: whether this machine has a device.

Exit code 0 where it does; else that of UsageError, with its message and hint as JSON on stdout.
"""

import sys

from tuillm.errors import UsageError
from tuillm.formats.json_text import to_json
from tuillm.model import choose_device


def main(name: str) -> int:
    """Look for the device; return the exit code."""
    try:
        choose_device(name)
    except UsageError as error:
        print(to_json({"error": error.message, "hint": error.hint}))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
