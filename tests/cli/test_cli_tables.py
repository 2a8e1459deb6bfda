"""Tables on the command line: aligned, and readable in a window of 80 columns."""

import re

import pytest

from tuillm.cli.output import print_table

COLUMNS = ("name", "origin", "params", "tokens", "context", "bits/byte", "size", "made")
ROW = ("fine-tuned", "836.9k", "gpt2", "128", "0.946*", "3.35 MB", "12 min ago")


@pytest.fixture
def drawn(capsys, monkeypatch):
    """Draw the table of one model in a window so wide; returns its lines."""
    monkeypatch.setenv("TERM", "xterm")

    def draw(name, width):
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", str(width))
        print_table(COLUMNS, [(name, *ROW)], right="params context bits/byte size")
        lines = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out).splitlines()
        assert all(len(line) <= width for line in lines)
        return lines

    return draw


@pytest.mark.parametrize(("name", "lines"), [("demo", 2), ("letters-of-1", 2), ("x" * 64, 5)])
def test_only_names_fold(name, lines, drawn):
    """Figures and headings stay whole; a name that is too long goes on below."""
    head, *rows = drawn(name, 80)
    assert head.split() == list(COLUMNS)
    assert " ".join(rows[0].split()).endswith(" ".join(ROW))
    assert "".join(row[:20].split()[0] for row in rows) == name
    assert len(rows) + 1 <= lines


def test_nothing_is_cut_in_a_small_window(drawn):
    """Where figures cannot stay whole either, they go on below."""
    shown = "".join(drawn("letters-1", 40))
    assert sorted(shown.replace(" ", "")) == sorted(
        "".join((*COLUMNS, "letters-1", *ROW)).replace(" ", "")
    )
