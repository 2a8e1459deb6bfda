"""Thousands of random keys, pastes and window sizes on every screen: the dashboard stays alive.

What would leave it or this machine alone is stood in for: the terminal that a chat borrows, the
start of training, the network. Everything else is done for real.
"""

import os
import random
import string
import traceback

import pytest
from dashboard.furnished import furnish, going
from dashboard.pilot import lend_terminal, text_of, use
from textual.events import Key, Paste
from textual.keys import _character_to_key

from tuillm.dashboard import background
from tuillm.dashboard.app import Dashboard

pytestmark = pytest.mark.slow

KEYS = int(os.environ.get("TUILLM_KEYS", "1000"))  # of each screen; 10,000 take long
EACH, AT_ONCE = 200, 8  # from one return to the screen to the next, and before they are handled
# keys from the first screen to the one that is tried
SCREENS = {
    "models": "1",
    "train": "2",
    "field": "2 tab tab tab",
    "runs": "3",
    "run": "3 g enter",
    "overlay": "3 g space space o",
    "conversations": "1 v",
    "benchmarks": "1 b",
    "themes": "1 ctrl+t",
    "palette": "1 ctrl+p",
    "files": "2 ctrl+o",
    "export": "1 g e",
    "question": "1 g r",
    "pull": "1 P",
}
OTHERS = (
    "up down left right enter escape tab shift+tab pageup pagedown home end delete backspace space "
    "ctrl+p ctrl+t ctrl+a ctrl+l ctrl+o ctrl+e ctrl+y ctrl+u ctrl+d f1 shift+up shift+down"
).split()
LETTERS = [*string.ascii_letters.replace("q", ""), *string.digits, *"/?.+-=[]~*"]
PASTES = [
    "salt road",
    "\x1b[31m\x00",
    "唐诗" * 300,
    "/no/such/file.txt",
    "-1",
    "[b]x[/]",
    "a\nb\tc",
]


def pressed(choose):
    """A key, or a paste, of somebody who does not look."""
    if choose.random() < 0.03:
        return Paste(choose.choice(PASTES))
    if choose.random() < 0.6:
        letter = choose.choice(LETTERS)
        return Key(_character_to_key(letter), letter)
    key = choose.choice(OTHERS)
    return Key(key, " " if key == "space" else None)


def note(failures, error):
    failures.append("".join(traceback.format_exception(error)))
    return str(error)


@pytest.mark.parametrize("name", SCREENS)
def test_any_keys(home, monkeypatch, tmp_path, name):
    """No screen dies, nothing fails unseen, and the way back to the first screen is open."""
    failures = []
    furnish(home)
    going(home)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(background, "write_failure", lambda error: note(failures, error))
    monkeypatch.setattr(Dashboard, "start", lambda self, *given, **options: None)
    monkeypatch.setattr("tuillm.store.hub.pull_folder.start_pull", lambda *given, **options: None)
    monkeypatch.setattr("tuillm.training.resume.resume", lambda run, **options: 1)
    choose = random.Random(name)

    async def scenario(app, pilot):
        lend_terminal(app, monkeypatch)
        monkeypatch.setattr(app, "exit", lambda *given, **options: None)
        for _ in range(KEYS // EACH):
            await pilot.press(*["escape"] * 6, *SCREENS[name].split())
            for number in range(EACH):
                app.post_message(pressed(choose))
                if number % AT_ONCE == 0:
                    await pilot.pause()
            await pilot.resize_terminal(choose.randint(20, 220), choose.randint(6, 60))
            assert not failures, failures[0]
            assert app.is_running and not app.failure
        await pilot.press(*["escape"] * 8, "1")
        await pilot.resize_terminal(120, 40)
        assert "tuillm" in text_of(app)

    use(scenario, (80, 24))
