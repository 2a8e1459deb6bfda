"""What one does to a model from the table: rename, copy, export, delete, train from it."""

import shutil

import pytest
from dashboard.pilot import opened, paste, piloted, rows, shown, text_of, toasts, told, until
from textual.widgets import Input, Static

from tuillm.dashboard.screens.dialogs import Ask, Confirm
from tuillm.dashboard.screens.export_dialog import ExportDialog
from tuillm.dashboard.screens.models import ModelsScreen
from tuillm.dashboard.screens.train import TrainScreen
from tuillm.dashboard.widgets.form import TrainForm
from tuillm.dashboard.widgets.table import EntryTable
from tuillm.store.files import read_json
from tuillm.store.registry import list_models
from tuillm.units import size

pytestmark = pytest.mark.slow

# marks the model `book` as in use by the process that runs it
CHAT = """
from tuillm.store.usage import using
mark = using('book', 'chat')
mark.__enter__()
print('ready')
"""


async def answer(pilot, key, text, kind=Ask):
    """Press a key that asks for a line of text and give it another one."""
    await pilot.press(key)
    screen = await opened(pilot, kind)
    screen.query_one(Input).value = ""
    await paste(pilot, text)
    await pilot.press("enter")


@piloted()
async def test_rename(app, pilot, model, home):
    """`r` asks for a name with the old one in it; the folder and the row have the new one."""
    await pilot.press("r")
    screen = await opened(pilot, Ask)
    assert screen.query_one(Input).value == "book"
    await pilot.press("end", *"-of-salt", "enter")
    assert await told(pilot, "book is now book-of-salt")
    await until(pilot, lambda: rows(app) == ["book-of-salt"])
    assert [path.name for path in (home / "models").glob("[!.]*")] == ["book-of-salt"]


@piloted()
async def test_a_name_is_checked_as_it_is_typed(app, pilot, model):
    """A name that cannot be taken says why at once, and Enter does not take it."""
    await pilot.press("r")
    screen = await opened(pilot, Ask)
    note = screen.query_one(".note", Static)
    await pilot.press("end", "/", "x")
    await until(pilot, lambda: note.has_class("-error"))
    assert "book/x" in str(note.content)
    await pilot.press("enter")
    assert app.screen is screen
    await pilot.press("backspace", "backspace")
    await until(pilot, lambda: not note.has_class("-error"))
    await pilot.press("escape")
    await opened(pilot, ModelsScreen)
    assert rows(app) == ["book"] and not toasts(app)


@piloted()
async def test_a_name_that_is_taken(app, pilot, house):
    """Renaming and copying to another model's name are refused, and asked again with the reason."""
    before = [(each.name, each.path.stat().st_ino) for each in list_models()]
    await answer(pilot, "r", "gpt2")
    await shown(pilot, "a model named 'gpt2' already exists")
    assert (await opened(pilot, Ask)).query_one(Input).value == "gpt2"
    await pilot.press("escape")
    await answer(pilot, "y", "demo")
    await shown(pilot, "a model named 'demo' already exists")
    assert (await opened(pilot, Ask)).query_one(Input).value == "demo"
    assert [(each.name, each.path.stat().st_ino) for each in list_models()] == before


@piloted()
async def test_copy(app, pilot, model):
    """`y` proposes a free name; the copy names its parent and works by itself."""
    await pilot.press("y")
    screen = await opened(pilot, Ask)
    assert screen.query_one(Input).value == "book-2"
    await pilot.press("enter")
    assert await told(pilot, "copied book to book-2")
    await until(pilot, lambda: rows(app) == ["book", "book-2"])
    copy = next(each for each in app.models if each.name == "book-2")
    assert (copy.card.parent, copy.problem) == ("book", "")


@piloted()
async def test_export(app, pilot, model, tmp_path, monkeypatch):
    """`e` copies the folder to where one says; what is there already is not overwritten.

    Where it fails, the question comes back with what was typed and why.
    """
    monkeypatch.chdir(tmp_path)
    target = tmp_path / "out" / "my book"
    await answer(pilot, "e", str(target), ExportDialog)
    assert await told(pilot, "exported book to")
    assert read_json(target / "config.json")["n_embd"] == 48
    before = sorted(target.iterdir())
    await answer(pilot, "e", str(target), ExportDialog)
    await shown(pilot, "is there already")
    screen = await opened(pilot, ExportDialog)
    assert screen.query_one(Input).value == str(target)
    assert sorted(target.iterdir()) == before
    await pilot.press("escape", "e")
    screen = await opened(pilot, ExportDialog)
    assert screen.query_one(Input).value == str(tmp_path / "book"), "here, under its own name"
    await pilot.press("enter")
    await until(pilot, lambda: (tmp_path / "book" / "model.safetensors").exists())


@pytest.mark.parametrize(
    ("downs", "proposed", "written", "head"),
    [(4, "book.gguf", "book.gguf", b"GGUF"), (6, "book", "book/Modelfile", b"FROM ./book.gguf")],
    ids=["gguf", "ollama"],
)
@piloted()
async def test_export_for_other_programs(
    app, pilot, model, tmp_path, monkeypatch, downs, proposed, written, head
):
    """The arrows choose the format, the path goes with it until somebody types another."""
    monkeypatch.chdir(tmp_path)
    await pilot.press("e")
    screen = await opened(pilot, ExportDialog)
    await pilot.press(*["down"] * downs)
    await until(pilot, lambda: screen.query_one(Input).value == str(tmp_path / proposed))
    await pilot.press("enter")
    said = await told(pilot, "exported book to")
    assert ("ollama create" in said) == head.startswith(b"FROM")
    assert (tmp_path / written).read_bytes().startswith(head)


@piloted()
async def test_delete_asks_first(app, pilot, model, home):
    """`d` asks with name and size; n, Escape and a plain Enter keep the model, y removes it."""
    taken = sum(path.stat().st_size for path in (home / "models" / model).iterdir())
    for no in ("n", "escape", "enter"):
        await pilot.press("d")
        await opened(pilot, Confirm)
        await shown(pilot, "Delete book?", f"{size(taken)} in")
        await pilot.press(no)
        await opened(pilot, ModelsScreen)
    assert (home / "models" / "book").is_dir() and not toasts(app)
    await pilot.press("d", "y")
    assert await told(pilot, "removed book")
    await shown(pilot, "No models yet.")
    assert not (home / "models" / "book").exists()


@piloted()
async def test_the_buttons_of_a_question(app, pilot, model, home):
    """The arrow keys go to the other button, Enter takes it."""
    await pilot.press("d")
    await opened(pilot, Confirm)
    await pilot.press("left", "enter")
    assert await told(pilot, "removed book")
    await until(pilot, lambda: not (home / "models" / "book").exists())


@piloted()
async def test_a_model_in_use_stays_and_the_user_is_named(app, pilot, model, home, other_process):
    """Delete and rename are refused while another process uses the model, saying which."""
    with other_process(CHAT.strip()) as other:
        await pilot.press("d", "y")
        assert await told(pilot, f"cannot remove 'book': in use by chat (process {other.pid})")
        await answer(pilot, "r", "mine")
        await shown(pilot, "cannot rename 'book': in use by chat", f"(process {other.pid})")
        await pilot.press("escape")
        assert (home / "models" / "book" / "model.safetensors").exists()
    await pilot.press("d", "y")
    assert await told(pilot, "removed book")


@piloted()
async def test_a_model_that_others_removed_first(app, pilot, model, home):
    """What is done to a model that has just gone ends in a toast."""
    await pilot.press("d")
    await opened(pilot, Confirm)
    shutil.rmtree(home / "models" / "book")
    await pilot.press("y")
    assert await told(pilot, "no model named 'book'")
    await shown(pilot, "No models yet.")


@piloted()
async def test_train_from_a_model(app, pilot, house):
    """`f` opens the form with the model to start from; `t` opens it to start from scratch."""
    await pilot.press("f")
    form = (await opened(pilot, TrainScreen)).query_one(TrainForm)
    await until(pilot, lambda: form["init_from"].text == "salt-road")
    await until(pilot, lambda: "finetune" in text_of(app))
    await pilot.press("escape", "1", "t")
    await until(pilot, lambda: form["init_from"].text == "")


@piloted()
async def test_keys_work_on_the_model_under_the_cursor(app, pilot, house):
    """After moving with j, k, g, G and the arrows, a key is about the row one sees."""
    table = app.screen.query_one(EntryTable)
    for keys, name in (
        ("j", "salt-road-letters"),
        ("G", "broken"),
        ("k", "gpt2"),
        ("g", "salt-road"),
    ):
        await pilot.press(keys, "r")
        screen = await opened(pilot, Ask)
        assert screen.query_one(Input).value == name == table.current.name
        await pilot.press("escape")
    await pilot.press("down", "down", "up", "pagedown", "home", "end")
    assert table.current.name == "broken"
