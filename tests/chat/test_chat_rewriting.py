"""The chat in a real pseudo-terminal: replies drawn again, words changed, branches, the editor."""

import re
import sys

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def chat(talk):
    """The chat on a small model, with short replies."""
    return talk("--seed", "1", "-n", "20")


def spoken(said):
    """A reply without what is told about the context."""
    return said.partition("32 tokens of context")[0].rstrip()


def test_regen_draws_another_reply_and_clear_forgets(chat, kept):
    """/regen gives a different reply to the same text; after /clear the first one comes again.

    The conversation that was cleared stays where conversations are kept.
    """
    assert "there is no reply to draw again" in chat.say("/regen")
    first = spoken(chat.say("Marda said"))
    second = spoken(chat.say("/regen"))
    assert second != first
    assert chat.say("/clear").startswith("a new conversation")
    chat.wait(lambda text: "0/32" in chat.toolbar)
    assert spoken(chat.say("Marda said")) == first, "same seed, same text, same reply"
    assert [len(each["tree"]["nodes"]) for each in kept()] == [3, 2]
    chat.say("/undo")
    chat.say("/clear")
    assert "there are no branches yet" in chat.say("/branches")


def test_retry_branches_goto_and_undo(chat, kept):
    """/retry draws several replies, /branches lists them, /goto goes to one, /undo takes back."""
    assert "there are no branches yet" in chat.say("/branches")
    assert "there is nothing to take back" in chat.say("/undo")
    first = spoken(chat.say("Marda said"))
    said = chat.say("/retry 2")
    assert re.search(r"^1 of 2$", said, re.M) and re.search(r"^2 of 2$", said, re.M)
    for wrong in ("0", "two", "100", "9" * 40):
        assert "/retry wants a number" in chat.say(f"/retry {wrong}")
    rows = chat.say("/branches").splitlines()
    assert [row[:14] for row in rows[:3]] == ["    2  2 texts", "    3  2 texts", "  * 4  2 texts"]
    assert "* is where you are" in rows[3]
    behind = chat.say("/goto 2")
    assert behind.startswith("behind what book said:")
    assert " ".join(first.split())[-30:] in " ".join(behind.split())
    assert kept()[-1]["tree"]["head"] == 2
    chat.say("And then")
    assert len(chat.say("/branches").splitlines()) == 4
    assert chat.say("/undo") == 'took back "And then"; it stays as a branch'
    assert kept()[-1]["tree"]["head"] == 2
    assert "4 texts" in chat.say("/branches")
    assert "there is no branch 77" in chat.say("/goto 77")
    assert "/goto wants a number" in chat.say("/goto there")
    assert chat.say("/goto 0") == "at the start"
    assert "0/32" in chat.toolbar


def test_ctrl_c_in_a_retry_ends_it_and_those_to_come(chat):
    """Of nine long replies the first is stopped; no other one begins."""
    chat.say("Marda said")
    chat.say("/set max_new_tokens 100000")
    before = chat.row
    chat.type("/retry 9")
    chat.wait(lambda text: chat.row > before + 8)
    chat.interrupt()
    chat.wait_prompt(before)
    said = chat.since(before)
    assert "1 of 9" in said and "2 of 9" not in said and "/branches lists them" in said


def edit(chat, command, shown, keys):
    """Type an edit command, wait for what it puts on the prompt, change it; return the answer."""
    chat.type(command)
    chat.wait(lambda text: chat.line == f"› {shown}".rstrip() and chat.toolbar != chat.line)
    before = chat.row
    chat.press(keys)
    chat.wait_prompt(before)
    return chat.since(before)


def test_edit_changes_what_was_said(chat, kept):
    """/edit puts the last text on the prompt; the reply to what it becomes is a new branch.

    It is the reply that the text would have had at once.
    """
    assert "there is nothing to edit" in chat.say("/edit")
    chat.say("Marda said")
    answer = edit(chat, "/edit", "Marda said", " that night\r")
    chat.say("/clear")
    assert spoken(chat.say("Marda said that night")) == spoken(answer)
    chat.say("//help")
    edit(chat, "/edit", "/help", "!\r")
    nodes = kept()[-1]["tree"]["nodes"]
    assert [node["text"] for node in nodes if node["who"] == "you"][-2:] == ["/help", "/help!"]


def test_an_edit_can_be_left(chat, kept):
    """Ctrl-C leaves all as it was; an empty line is refused; the next line is a line again."""
    chat.say("Marda said")
    assert edit(chat, "/edit", "Marda said", " no\x03") == ""
    assert "no words were given" in edit(chat, "/edit", "Marda said", "\x15\r")
    assert "/edit, or /edit reply" in chat.say("/edit words")
    assert "temperature is 1" in chat.say("/set temperature 1")
    assert len(kept()[-1]["tree"]["nodes"]) == 2


def test_edit_reply_changes_the_models_words(chat, kept):
    """/edit reply puts the reply on the prompt; the model goes on from what it becomes."""
    chat.say("/set stop \\n")
    chat.say("/set max_new_tokens 6")
    chat.say("The road to the")
    reply = kept()[-1]["tree"]["nodes"][-1]["text"]
    edit(chat, "/edit reply", reply, "\x15 sea and Marda\r")
    nodes = kept()[-1]["tree"]["nodes"]
    assert nodes[2]["text"] == " sea and Marda" and nodes[2]["finish"] == "written"
    assert nodes[3]["who"] == "model" and nodes[3]["parent"] == 3
    assert "/undo takes" in edit(chat, "/edit reply", nodes[3]["text"], "\x15\r")


def test_ctrl_g_opens_the_editor(talk, tmp_path):
    """What one writes in $EDITOR stands on the prompt, lines and all, and can be sent."""
    script = tmp_path / "editor"
    script.write_text(
        f"#!{sys.executable}\nimport sys\npath = sys.argv[-1]\n"
        "text = open(path).read()\n"
        "open(path, 'w').write(text + ' said\\nand the road\\n')\n"
    )
    script.chmod(0o755)
    environment = {"EDITOR": str(script), "VISUAL": str(script)}
    chat = talk("--seed", "1", "-n", "5", environment=environment)
    chat.press("Marda")
    chat.wait("› Marda")
    chat.press("\x07")
    chat.wait(lambda text: "› Marda said\n· and the road" in text)
    before = chat.row
    chat.press("\r")
    chat.wait_prompt(before)
    assert chat.say("/undo") == 'took back "Marda said and the road"; it stays as a branch'
