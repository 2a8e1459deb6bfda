"""The chat in a real pseudo-terminal: conversations named, listed, deleted, shared by two chats."""

import os

import pytest

from tuillm.store.sessions import SavedSession, SessionHead, list_sessions, save_session

pytestmark = pytest.mark.slow


@pytest.fixture
def chat(talk):
    """The chat on a small model, with very short replies."""
    return talk("--seed", "1", "-n", "5", columns=110)


def said(kept, id):
    """What the person said in a kept conversation."""
    (found,) = [
        each for head, each in zip(reversed(list_sessions()), kept(), strict=True) if head.id == id
    ]
    return [node["text"] for node in found["tree"]["nodes"] if node["who"] == "you"]


def flat(text):
    """A text on one line, however it was wrapped."""
    return " ".join(text.split())


def test_two_chats_on_one_conversation(chat, talk, kept):
    """The one that saves later goes on under an id of its own, and says so; nothing is lost."""
    chat.say("Marda said")
    (first,) = list_sessions()
    other = talk("--continue", "--seed", "1", "-n", "5", columns=110)
    other.say("theirs")
    page = flat(chat.say("mine"))
    assert (
        f"{first.id} was changed by another chat, and stays as that left it: yours is kept as"
        in page
    )
    assert "changed by another" not in chat.say("mine again") + other.say("theirs again")
    second = next(head.id for head in list_sessions() if head.id != first.id)
    assert said(kept, first.id) == ["Marda said", "theirs", "theirs again"]
    assert said(kept, second) == ["Marda said", "mine", "mine again"]
    chat.say("/clear")
    other.say("/clear")
    other.say("a new one")
    assert len(list_sessions()) == 3


def test_names_are_given_changed_and_found(chat, talk):
    """/save NAME names it, lists show it, /load and --continue find it, also with other models."""
    assert "there is nothing to keep yet" in chat.say("/save the salt road")
    chat.say("Marda said")
    assert '--continue "The salt road"' in flat(chat.say("/save The salt road"))
    (head,) = list_sessions()
    assert head.name == "The salt road"
    assert f"{head.id}  just now  The salt road: Marda said" in chat.say("/sessions")
    chat.say("/clear")
    chat.say("Tib")
    assert f"is the name of {head.id} already" in flat(chat.say("/save the salt road"))
    assert f'"The salt road", {head.id}' in chat.say("/load the salt road")
    assert "Salt 2" in chat.say("/save Salt 2")
    assert chat.say("more")
    assert {head.name for head in list_sessions()} == {"", "Salt 2"}
    chat.press("/load \t")
    chat.wait("Salt 2: Marda said")
    chat.interrupt()
    chat.leave()
    assert chat.wait_end() == 0
    again = talk("--continue", "salt 2", "-n", "5")
    assert '"Salt 2", ' in again.text and "more" in again.text
    wrong = talk(
        "--continue",
        "salt 3",
        wait=False,
        program=(
            "-c",
            ("import sys\nfrom tuillm.cli.main import main\nprint('\\n›', flush=True)\nmain()"),
        ),
    )
    assert wrong.wait_end() == 1 and "did you mean 'Salt 2'?" in flat(wrong.text)


def test_conversations_are_deleted_when_their_name_is_typed_again(chat, home):
    """Anything else leaves them; who deletes the one that is open begins a new one."""
    chat.say("Marda said")
    chat.say("/save mine")
    chat.say("/clear")
    chat.say("Tib")
    newest, mine = list_sessions()
    assert "wants the id or the name" in chat.say("/delete")
    assert "no conversation 'their'" in chat.say("/delete their")
    assert "to remove it for good type mine; anything else leaves it" in chat.say("/delete mine")
    assert f"{mine.id} stays" in chat.say("yes")
    chat.say(f"/delete {mine.id}")
    before = chat.row
    chat.interrupt()
    chat.wait_prompt(before)
    assert chat.say("mine").strip() and len(list_sessions()) == 2, "it is text again"
    chat.say(f"/delete {mine.id}")
    assert f"{mine.id} is gone" == chat.say("mine")
    assert [head.id for head in list_sessions()] == [newest.id]
    chat.say(f"/delete {newest.id}")
    assert "a new conversation begins" in chat.say(newest.id)
    assert list_sessions() == [] and "no reply" in chat.say("/regen")
    chat.say("Tib")
    assert [head.title for head in list_sessions()] == ["Tib"]


def test_lists_without_end(chat):
    """All conversations can be listed, twenty at a time, and chosen by words."""
    for number in range(45):
        head = SessionHead(model="book", title=f"title {number} {'salt' * (number % 9 == 0)}")
        save_session(SavedSession(head))
    pages = [chat.say("/sessions"), chat.say("/sessions more"), chat.say("/sessions more")]
    assert [page.count("title") for page in pages] == [20, 20, 5]
    assert "25 older ones: /sessions more" in pages[0] and "older" not in pages[2]
    assert "title 44" in pages[0] and "title 0 salt" in pages[2]
    assert chat.say("/sessions more") == "no other conversation was kept"
    assert chat.say("/sessions salt").count("title") == 5
    assert chat.say("/sessions all SALT 18").count("title") == 1
    assert chat.say("/sessions sugar") == "no such conversation was kept"


def test_what_a_crash_left_is_found(chat, talk, home):
    """A conversation that was written and not named is there again, with one line."""
    chat.say("Marda said")
    chat.say("/clear")
    chat.say("Tib")
    (second, first) = list_sessions()
    chat.kill()
    path = home / "chats" / f"{first.id}.json"
    os.rename(path, home / "chats" / f".{first.id}.json.new.0123abcd")
    path.touch()
    again = talk("--continue", "-n", "5", columns=110)
    assert (
        f"found again after a crash: {first.id}, Marda said; /load {first.id} goes on with it"
        in again.text
    )
    assert f"{second.id}, " in again.text
    assert "Marda said" in again.say(f"/load {first.id}")
    assert "after a crash" not in talk("-n", "5").text
