"""`python -m tuillm` is the `tuillm` command."""

from tuillm.cli.main import main

if __name__ == "__main__":
    main()
