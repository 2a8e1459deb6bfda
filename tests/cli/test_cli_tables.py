"""Tables on the command line: aligned, and readable in a window of 80 columns."""

import pytest

from tuillm.cli.output import print_table

COLUMNS = ("name", "origin", "params", "tokens", "context", "bits/byte", "size", "made")
ROW = ("fine-tuned", "836.9k", "gpt2", "128", "0.946*", "3.35 MB", "12 min ago")


@pytest.mark.parametrize(("name", "lines"), [("demo", 2), ("letters-of-1", 2), ("x" * 64, 5)])
def test_only_names_fold(name, lines, capsys, monkeypatch):
    """Whatever is wide, figures and headings stay whole; a name that is too long goes on below."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    print_table(COLUMNS, [(name, *ROW)], right="params context bits/byte size")
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == list(COLUMNS)
    assert rows[0].split()[-9:] == " ".join(ROW).split()[-9:]
    assert "".join(row[:20].split()[0] for row in rows) == name
    assert len(rows) + 1 <= lines and all(len(row) <= 80 for row in [head, *rows])
