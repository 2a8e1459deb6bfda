"""`python -m tuillm` is the `tuillm` command."""

if __name__ == "__main__":
    from tuillm.cli.main import main

    main()
