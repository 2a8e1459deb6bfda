"""Pulling as a person sees it: one line of progress, the chat's question, Ctrl-C."""

import signal

import pytest
from test_ending import ends

from tuillm.store.hub.pull_folder import get_pull
from tuillm.store.registry import find_model, list_models

pytestmark = pytest.mark.slow


@pytest.fixture
def open_terminal(hub, terminal, tmp_path):
    """A function that runs `tuillm ...` on a terminal, knowing our hub."""
    return lambda *arguments: terminal(*arguments, environment=hub.environment(tmp_path / "hf"))


def test_progress_is_one_line_that_goes_when_it_is_done(hub, open_terminal):
    """How far, how fast, how long still; Ctrl-C keeps it, and then the same command ends well."""
    hub.hold = 300_000
    screen = open_terminal("pull", "gpt2")
    screen.wait("60 %")
    screen.wait(" left")
    line = next(line for line in screen.text.splitlines() if line.startswith("gpt2"))
    assert "123k parameters, family gpt2, context 64, licence not told" in screen.text
    assert " kB of 509 kB  " in line and "kB/s" in line and line.endswith(" left")
    screen.interrupt()
    assert screen.wait_end() == 130
    assert "kept. Go on with: tuillm pull gpt2" in " ".join(screen.text.split())
    assert "kB/s" not in screen.text
    hub.hold = None
    hub.go.set()
    screen = open_terminal("pull", "gpt2")
    assert screen.wait_end() == 0
    assert "pulled gpt2: 123k parameters, 509 kB, checksums right" in screen.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=str)
def test_a_signal_gives_the_terminal_back_and_keeps_what_has_come(hub, open_terminal, number):
    """The bar and the hidden cursor go, and the pull is one that was stopped."""
    hub.hold = 300_000
    screen = open_terminal("pull", "gpt2")
    screen.wait("60 %")
    ends(screen, number)
    assert get_pull("gpt2").status().state == "cancelled"
    assert "kept. Go on with: tuillm pull gpt2" in " ".join(screen.text.split())


def test_the_chat_offers_to_fetch_what_is_not_here(hub, open_terminal):
    """It says the size and asks; no is the default and fetches nothing, yes opens the chat."""
    screen = open_terminal("chat", "gpt2")
    screen.wait("gpt2 is not here yet; it is 509 kB.\nFetch it now? [y/N]:")
    screen.type("")
    assert screen.wait_end() == 1
    assert hub.of_weights() == []
    screen = open_terminal("chat", "openai-community/gpt2")
    screen.wait("[y/N]:")
    screen.type("y")
    screen.wait("gpt2 continues your text")
    screen.wait("\n›")
    screen.leave()
    assert screen.wait_end() == 0
    assert find_model("gpt2").card.source == "openai-community/gpt2"


def test_the_chat_knows_what_came_before_and_what_it_is_called(hub, open_terminal):
    """The question tells of bytes that are here; ORG/NAME opens the model that came from there."""
    hub.hold = 300_000
    screen = open_terminal("pull", "gpt2")
    assert hub.held.wait(30)
    screen.kill()
    assert get_pull("gpt2").status().state == "lost"
    hub.hold = None
    hub.go.set()
    screen = open_terminal("chat", "gpt2")
    screen.wait("kB of it have come before).")
    screen.type("y")
    screen.wait("gpt2 continues your text")
    screen.wait("\n›")
    screen.leave()
    assert screen.wait_end() == 0
    asked = len(hub.requests)
    screen = open_terminal("chat", "openai-community/gpt2")
    screen.wait("gpt2 continues your text")
    screen.wait("\n›")
    screen.leave()
    assert screen.wait_end() == 0
    assert len(hub.requests) == asked


def test_a_name_that_the_hub_does_not_have_is_told_before_any_question(open_terminal):
    """The chat's question comes only when there is something to fetch."""
    screen = open_terminal("chat", "org/nothing")
    assert screen.wait_end() == 1
    assert "has no model 'org/nothing'" in " ".join(screen.text.split())
    assert list_models() == []
