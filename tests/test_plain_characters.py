"""ASCII in place of what some terminals cannot show: the same width, letters left alone."""

import pytest
from rich.cells import cell_len
from rich.text import Text

from tuillm.terminal.plain_characters import ascii_wanted, in_ascii
from tuillm.terminal.safe_console import SafeConsole

DRAWN = "".join(map(chr, (*range(0x2500, 0x25A0), *range(0x2800, 0x2900)))) + "●◌■✓✗‖›▸▾▴•…▁█"


def test_everything_drawn_becomes_ascii_of_the_same_width():
    plain = in_ascii(DRAWN)
    assert plain.isascii() and plain.isprintable()
    assert cell_len(plain) == cell_len(DRAWN)


@pytest.mark.parametrize("text", ["Grüße", "Қазақстан", "唐诗三百首", "plain", "“quoted” – so"])
def test_letters_stay(text):
    assert in_ascii(text) == text


def test_the_upper_and_the_lower_half_of_a_dot_are_told_apart():
    """A rising line of braille rises in ASCII, too; blank cells are blank."""
    assert in_ascii("\u2800\u2801\u2880\u28ff") == " '.:"


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({"TERM": "linux"}, True),
        ({"TERM": "xterm-256color"}, False),
        ({"TERM": "linux", "TUILLM_ASCII": "0"}, False),
        ({"TERM": "xterm-256color", "TUILLM_ASCII": "1"}, True),
    ],
    ids=str,
)
def test_the_terminal_decides_unless_somebody_does(monkeypatch, environment, wanted):
    monkeypatch.delenv("TUILLM_ASCII", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ascii_wanted() == wanted


def test_tables_and_live_views_of_the_command_line(monkeypatch, capsys):
    """All of them are printed through one console."""
    monkeypatch.setenv("TUILLM_ASCII", "1")
    SafeConsole().print(Text("⣿━─● Grüße"))
    assert capsys.readouterr().out.rstrip() == ":=-* Grüße"
