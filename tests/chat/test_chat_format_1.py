"""A conversation that an earlier version kept is taken up again in the chat."""

import shutil
from pathlib import Path

import pytest
from chat.talking import Talk

WRITTEN = Path(__file__).parents[1] / "data" / "format_1"

pytestmark = pytest.mark.slow


def test_it_goes_on(home, request):
    """By its name, with its branches, settings and profile."""
    shutil.copytree(WRITTEN / "home", home)
    chat = Talk("letters", "--continue", "a walk", "-n", "5")
    request.addfinalizer(chat.close)
    assert "The road" in chat.text
    branches = chat.say("/branches")
    assert "2 texts" in branches and "o addaae" in branches and "* 5  4 texts" in branches
    assert "temperature" in chat.say("/set profile mine")
    assert chat.say("to the sea").strip()
