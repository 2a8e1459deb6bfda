"""`python -m tuillm` is the `tuillm` command."""

import os
import sys

if __name__ == "__main__":
    # -m puts the current folder first on the path, with whatever stands there beside a book
    here = os.path.realpath(sys.path[0]) if not sys.flags.safe_path else ""
    if here and here != os.path.dirname(os.path.dirname(os.path.realpath(__file__))):
        del sys.path[0]
    from tuillm.cli.main import main

    main()
