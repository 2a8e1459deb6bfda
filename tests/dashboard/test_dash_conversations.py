"""The conversations with a model: listed, read, gone on with, exported, deleted."""

import pytest
from dashboard.pilot import lend_terminal, opened, piloted, rows, shown, told, until

from tuillm.chat.conversation.tree import Node, Tree
from tuillm.dashboard.screens.conversations import ConversationsScreen
from tuillm.dashboard.screens.dialogs import Ask, Confirm
from tuillm.dashboard.screens.models import ModelsScreen
from tuillm.store.sessions import SavedSession, SessionHead, list_sessions, save_session

pytestmark = pytest.mark.slow


def talk(model, *texts, **more):
    """Keep a conversation with a model: a person's text, a reply, a person's text..."""
    tree = Tree()
    for number, text in enumerate(texts):
        tree.append(Node(who="model" if number % 2 else "you", text=text, parent=tree.head))
    head = SessionHead(model=model, title=tree.title, nodes=len(texts), **more)
    return save_session(SavedSession(head, {}, tree.to_json())).head


async def conversations(pilot):
    """Open those with the model under the cursor."""
    await pilot.press("v")
    return await opened(pilot, ConversationsScreen)


@piloted()
async def test_those_of_a_model_are_listed_and_read(app, pilot, house):
    """The newest first; `a` shows those with all models, `/` finds one."""
    talk("salt-road", "Dry feet and", " a short road, said Marda.")
    other = talk("tang-poems", "Moonlight", " before my bed")
    await conversations(pilot)
    text = await shown(pilot, "conversations · 1", "Dry feet and", "said Marda")
    assert "Moonlight" not in text
    await pilot.press("a")
    await shown(pilot, "conversations · 2", "Moonlight")
    await pilot.press("slash", *"moon", "enter")
    await until(pilot, lambda: rows(app) == [other.id])
    await pilot.press("escape", "escape")
    await opened(pilot, ModelsScreen)


@piloted(size=(120, 40))
async def test_turns_stand_on_lines_of_their_own(app, pilot, house):
    """As they do in the chat."""
    talk("salt-road", "Who wrote it?", " Marda did.", "When?", " Long ago.", mode="chat")
    await conversations(pilot)
    text = await shown(pilot, "Long ago")
    lines = [line.strip(" │") for line in text.splitlines()]
    asked = [index for index, line in enumerate(lines) if line.endswith("› Who wrote it?")]
    assert asked and "Marda did." in lines[asked[-1] + 1]
    assert any(line.endswith("› When?") for line in lines)


@piloted()
async def test_one_is_gone_on_with(app, pilot, house, monkeypatch):
    """Enter opens the chat where the conversation stopped."""
    head = talk("salt-road", "Dry feet and", " a short road")
    commands = lend_terminal(app, monkeypatch)
    await conversations(pilot)
    await shown(pilot, "Dry feet and")
    await pilot.press("enter")
    wanted = ["chat", f"--continue={head.id}", "--", "salt-road"]
    await until(pilot, lambda: wanted in commands)


@piloted()
async def test_export_and_delete(app, pilot, house, tmp_path):
    """A file that is there is not replaced: the question comes back with what was typed."""
    talk("salt-road", "Dry feet and", " a short road")
    taken, free = tmp_path / "taken.md", tmp_path / "free.md"
    taken.write_text("mine")
    await conversations(pilot)
    await shown(pilot, "Dry feet and")
    for path in (taken, free):
        if not isinstance(app.screen, Ask):
            await pilot.press("e")
        ask = await opened(pilot, Ask)
        line = ask.query_one("Input")
        line.value = str(path)
        await pilot.press("enter")
        if path == taken:
            await until(
                pilot, lambda ask=ask: isinstance(app.screen, Ask) and app.screen is not ask
            )
            await shown(pilot, "already", "taken.md")
    await told(pilot, "exported to")
    assert taken.read_text() == "mine" and "Dry feet and" in free.read_text()
    await pilot.press("d")
    await opened(pilot, Confirm)
    await pilot.press("y")
    await shown(pilot, "No conversations yet")
    assert not list_sessions()
