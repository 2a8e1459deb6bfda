"""The chat in a real pseudo-terminal: odd paths, faults, disks that refuse: it lives on."""

import resource
import shutil

import pytest

from tuillm.store.sessions import list_sessions, load_session

LONG = "x" * 300
ODD = (
    "~nobody/x",
    "~nobody/x.md",
    LONG,
    f"{LONG}.md",
    f"a/{LONG}/b.json",
    "/proc/1/root/x/y.md",
    "/dev/null/x.md",
    "\\0",
    "~",
    "..",
    "/",
)
COMMANDS = (
    "export",
    "load",
    "model",
    "compare",
    "theme",
    "delete",
    "save",
    "profile save",
    "sessions",
    "set profile",
    "goto",
    "mode",
)

_FAULTS = """
from tuillm.chat.terminal import completion
from tuillm.chat.terminal import prompt_history as history
from tuillm.chat.commands import analysis as inside
from tuillm.generation import Sampler

def broken(chat, rest):
    raise KeyError(rest)

def stumbling(self, window, settings, there):
    for place, token in enumerate(go_on(self, window, settings, there)):
        if place == 3:
            raise KeyError(50300)
        yield token

go_on, Sampler.go_on = Sampler.go_on, stumbling
def unforeseen(*arguments):
    raise ValueError("unforeseen")

inside.book = broken
completion.list_themes = history.make_private = unforeseen
from tuillm.cli.main import main
main()
"""
_FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
from tuillm.cli.main import main
main()
"""


def flat(text):
    """A text on one line, however it was wrapped."""
    return " ".join(text.split())


def test_a_fault_is_one_line_and_the_chat_goes_on(talk, home):
    """In a command, in a reply, in the prompt: all of it stands in a log that is named."""
    chat = talk("--seed", "1", "-n", "12", columns=200, program=("-c", _FAULTS))
    log = home / "errors.log"
    told = f"(a fault of tuillm's, told in full in {log})"
    unforeseen = f"that went wrong: ValueError: unforeseen {told}"
    assert flat(chat.say("/book 7")) == f"{unforeseen} that went wrong: KeyError: '7' {told}"
    for _ in range(2):
        assert f"that went wrong: KeyError: 50300 {told}" in flat(chat.say("Marda said"))
    assert "temperature is 1" in chat.say("/set temperature 1")
    chat.press("/theme \t")
    chat.settle()
    assert "/theme" in chat.say("x\x15/help theme"), "Tab spoils nothing"
    (head,) = list_sessions()
    nodes = load_session(head.id).tree["nodes"]
    assert [len(node["ids"]) for node in nodes if node["who"] == "model"] == [3, 3]
    written = log.read_text()
    assert (written.count("KeyError: 50300"), written.count("KeyError: '7'")) == (2, 1)
    assert written.count("ValueError: unforeseen") == 5 and log.stat().st_mode & 0o077 == 0
    log.unlink()
    chat.leave()
    assert chat.wait_end() == 0


@pytest.mark.slow
def test_odd_paths_and_names(talk, tmp_path):
    """Whatever stands where a path or a name does, typed or half typed with Tab: one line."""
    chat = talk("--seed", "1", "-n", "5", columns=200, lines=50)
    chat.say("Marda said")
    for command in COMMANDS:
        for odd in ODD:
            page = chat.say(f"/{command} {odd}")
            assert page and "Traceback" not in page
    for odd in ODD:
        chat.press(f"/export {odd}\t")
        chat.settle()
        chat.press("\x15")
        chat.wait(lambda text: chat.line == "›")
    page = tmp_path / "story.md"
    assert f"written to {page}" in flat(chat.say(f"/export {page}"))
    assert "there is no user 'nobody1'" in chat.say("/export ~nobody1/x.md")
    assert chat.say("more").strip()


@pytest.mark.slow
def test_a_disk_that_is_full(talk, home, kept):
    """One line says that nothing is kept; the chat goes on, and nothing is half written."""
    chat = talk("--seed", "1", "-n", "12", columns=200, program=("-c", _FULL))
    first = chat.say("Marda said")
    assert first.count("this chat is not kept: ") == 1
    for line in ("more", "/regen", "/undo", "/save", "/save name"):
        assert "not kept" not in chat.say(line)
    assert "cannot write" in chat.say("/export story.md")
    assert kept() == [] and not list(home.glob("chats/*")) + list(home.glob("chats/.*"))
    resource.prlimit(chat.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    page = chat.say("again")
    (head,) = list_sessions()
    assert f"the chat is kept again: {head.id}" in page
    assert "kept" not in chat.say("more")


@pytest.mark.slow
def test_a_place_that_cannot_be_written(talk, trained_folders, tmp_path):
    """A model in a folder can be talked to where there is no data directory and can be none."""
    folder = tmp_path / "mine"
    shutil.copytree(trained_folders["bpe"], folder)
    chat = talk(
        "--seed",
        "1",
        "-n",
        "12",
        name=str(folder),
        columns=200,
        environment={"TUILLM_HOME": "/proc/nowhere/tuillm"},
    )
    assert chat.say("Marda said").count("this chat is not kept: ") == 1
    for line in ("more", "/sessions", "/why", "/save", "/load x", "/profile save mine"):
        assert "this chat is not kept" not in chat.say(line)
    chat.leave()
    assert chat.wait_end() == 0
    quiet = talk(
        "--no-history",
        "-n",
        "5",
        name=str(folder),
        columns=200,
        environment={"TUILLM_HOME": "/proc/nowhere/tuillm"},
    )
    assert "not kept" not in quiet.say("Marda said")
