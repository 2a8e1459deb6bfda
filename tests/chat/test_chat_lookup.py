"""Drafts in the chat: seen in /show, turned off with /set, from a smaller model with --draft."""

import re

import pytest
from chat.talking import Talk
from cli.test_draft_models import write_talker

pytestmark = pytest.mark.slow


def test_drafts_are_shown_and_turned_off(home, request):
    """/show counts what was drafted, /set lookup off ends that, and the seed's text is the same."""
    write_talker(home / "models" / "large", "abcdefghij klm\n", 3)
    write_talker(home / "models" / "small", "abcdefghij klm\n", 1)
    chat = Talk("large", "--draft", "small", "--seed", "7", "-n", "60")
    request.addfinalizer(chat.close)

    def drafted():
        found = re.search(r"of ([\d,]+) drafted tokens", chat.say("/show"))
        assert found
        return int(found[1].replace(",", ""))

    with_drafts = chat.say("abc")
    before = drafted()
    assert before > 0
    chat.say("/clear")
    assert "lookup is off" in chat.say("/set lookup off")
    without = chat.say("abc")
    assert drafted() == before
    words = lambda said: said.split("60 tokens")[0].split()  # noqa: E731
    assert words(with_drafts) == words(without)
    assert "auto" in chat.say("/set lookup maybe")
    assert "small does not draft for it" in chat.say("/model small")
