"""The way from a text to a talk, by keys alone, with a real worker in between; and the chat."""

import os
import signal
import subprocess

import pytest
from dashboard.pilot import (
    lend_terminal,
    opened,
    piloted,
    points,
    reached,
    rows,
    shown,
    toasts,
    told,
    type_into,
    type_text,
    until,
    use,
)
from textual import events

from tuillm.dashboard.screens.models import ModelsScreen
from tuillm.dashboard.screens.run import RunScreen
from tuillm.dashboard.screens.runs import RunsScreen
from tuillm.dashboard.screens.train import TrainScreen
from tuillm.dashboard.widgets.chart import Chart
from tuillm.dashboard.widgets.form import TrainForm
from tuillm.store.registry import get_model


@pytest.fixture
def here(book, monkeypatch):
    """The directory of `book.txt`, in which the dashboard runs."""
    monkeypatch.chdir(book.parent)
    return book.parent


@piloted()
async def test_from_a_text_to_a_talk(app, pilot, here, monkeypatch):
    """Form, run, curve, pause, going on, stop, model, chat: the whole way by keys alone."""
    commands = lend_terminal(app, monkeypatch)
    await shown(pilot, "No models yet.")
    await pilot.press("t")
    form = (await opened(pilot, TrainScreen)).query_one(TrainForm)
    await type_text(pilot, "book.txt")
    await pilot.press("tab", "tab", *["down"] * 6, "enter")
    await until(pilot, lambda: form["preset"].text == "nano")
    await pilot.press("ctrl+a")
    await type_into(pilot, form["max_steps"], "1000000")
    await type_into(pilot, form["eval_interval"], "20")
    await pilot.press("ctrl+r")

    screen = await opened(pilot, RunScreen)
    await told(pilot, "book-1 has started")
    assert form.typed["max_steps"] == 1_000_000, "the form is kept for the next run"
    await reached(pilot, "book-1", "running")
    await until(pilot, lambda: points(screen.query_one(Chart)).get("validation loss", 0) >= 2)
    assert points(screen.query_one(Chart))["train loss"] >= 40
    await shown(pilot, "● running", "train loss", "validation loss", "sample at step")

    await pilot.press("p")
    paused = await reached(pilot, "book-1", "paused")
    await shown(pilot, "‖ paused")
    await pilot.press("p")
    await until(pilot, lambda: paused.run.status().step > paused.status.step)
    await pilot.press("x")
    await reached(pilot, "book-1", "stopped")
    await shown(pilot, "■ stopped", "model book")

    await pilot.press("1")
    await until(pilot, lambda: rows(app) == ["book"])
    await shown(pilot, "book", "trained", "book-1")
    await pilot.press("c")
    assert commands == ["suspended", ["chat", "--", "book"], "back"]
    assert isinstance(app.screen, ModelsScreen) and app.screen.focused.id == "models"
    assert get_model("book").problem == ""


@pytest.mark.slow
@piloted()
async def test_a_terminal_that_cannot_be_lent(app, pilot, model):
    """Where the dashboard cannot step aside for the chat, it says so and stays."""
    handler = signal.getsignal(signal.SIGINT)
    await pilot.press("enter")
    text = await told(pilot, "the chat with 'book' failed")
    assert "this terminal cannot be lent to the chat (tuillm chat book)" in text
    assert signal.getsignal(signal.SIGINT) is handler
    await pilot.press("3")
    await opened(pilot, RunsScreen)


@pytest.mark.slow
@pytest.mark.parametrize("opens", ["c", "enter"])
@piloted()
async def test_keys_typed_before_the_chat_has_opened_are_not_for_the_dashboard(
    app, pilot, model, monkeypatch, opens
):
    """What follows the key that opens it in one breath was meant for the chat."""
    commands = lend_terminal(app, monkeypatch)
    for key in (opens, "3", "e"):
        app.post_message(events.Key(key, key if len(key) == 1 else None))
    await until(pilot, lambda: commands == ["suspended", ["chat", "--", "book"], "back"])
    await pilot.pause()
    assert isinstance(app.screen, ModelsScreen), "neither runs nor the export dialog"
    await pilot.press("3")
    await opened(pilot, RunsScreen)


@pytest.mark.slow
@piloted()
async def test_ctrl_c_in_the_chat_is_for_the_chat_alone(app, pilot, model, monkeypatch):
    """An interrupt while the chat has the terminal does not reach the dashboard."""
    lend_terminal(app, monkeypatch)
    handler, caught = signal.getsignal(signal.SIGINT), []

    def interrupted(command, **options):
        os.kill(os.getpid(), signal.SIGINT)
        code = "import signal; print(signal.getsignal(signal.SIGINT))"
        child = subprocess.Popen([command[0], "-c", code], stdout=subprocess.PIPE, text=True)
        caught.append(child.communicate()[0].strip())
        return child

    monkeypatch.setattr("tuillm.dashboard.open_chat.Popen", interrupted)
    await pilot.press("c")
    assert caught == [str(signal.default_int_handler)], "the child has the usual handler"
    assert signal.getsignal(signal.SIGINT) is handler
    await pilot.press("3")
    await opened(pilot, RunsScreen)
    assert not toasts(app)


@pytest.mark.slow
@piloted()
async def test_a_chat_that_fails(app, pilot, model, monkeypatch):
    """Its last words can be read before the dashboard comes back, which names the exit code."""
    commands = lend_terminal(app, monkeypatch, code=3)
    monkeypatch.setattr("builtins.input", lambda prompt: commands.append("read"))
    await pilot.press("c")
    assert commands == ["suspended", ["chat", "--", "book"], "read", "back"]
    assert await told(pilot, "'book' failed: it ended with exit code 3")


@pytest.mark.slow
@piloted()
async def test_a_chat_that_cannot_be_started(app, pilot, model, monkeypatch):
    """When the child process does not even start, the dashboard is back with the reason."""
    commands = lend_terminal(app, monkeypatch)

    def refused(command, **options):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr("tuillm.dashboard.open_chat.Popen", refused)
    await pilot.press("c")
    assert commands == ["suspended", "back"]
    assert await told(pilot, "Cannot allocate memory")


@pytest.mark.slow
@piloted()
async def test_chat_from_a_run(app, pilot, house, monkeypatch):
    """`c` on a run talks to the model it published, and says so when there is none."""
    commands = lend_terminal(app, monkeypatch)
    await pilot.press("3")
    await shown(pilot, "salt-road-3")
    await pilot.press("g", "c")
    assert commands[1] == ["chat", "--", "salt-road"]
    await pilot.press("j", "c")
    assert await told(pilot, "salt-road-2 has published no model yet")
    await pilot.press("g", "enter")
    await opened(pilot, RunScreen)
    await pilot.press("c")
    assert commands[4] == ["chat", "--", "salt-road"]


@pytest.mark.slow
@piloted()
async def test_a_damaged_model_is_not_talked_to(app, pilot, model, home, monkeypatch):
    """A model that cannot be used gets a toast with what is wrong, and no chat."""
    commands = lend_terminal(app, monkeypatch)
    (home / "models" / "book" / "model.safetensors").unlink()
    await until(pilot, lambda: app.models[0].problem)
    await pilot.press("c")
    assert "model.safetensors is missing" in await told(pilot, "'book' cannot be used")
    assert not commands


@pytest.mark.slow
@piloted()
async def test_quitting_asks_only_for_a_form_that_was_begun(app, pilot, here):
    """An empty form is left at once; over one that was filled in a question comes first."""
    await pilot.press("2")
    screen = await opened(pilot, TrainScreen)
    assert not screen.unsaved
    await type_text(pilot, "book")
    await pilot.press("ctrl+q")
    await shown(pilot, "Quit?", "filled in but not started")
    await pilot.press("n")
    await opened(pilot, TrainScreen)
    assert screen.query_one(TrainForm)["corpus"].text == "book" and not app._exit
    await pilot.press("ctrl+l")
    await until(pilot, lambda: not screen.unsaved)
    await pilot.press("escape", "q")
    await until(pilot, lambda: app._exit)


@pytest.mark.slow
def test_a_mistake_of_ours_is_one_line(home, capfd):
    """An exception ends the dashboard with a line that names the log, where the traceback is."""
    apps = []

    async def scenario(app, pilot):
        apps.append(app)
        app.call_later(lambda: 1 / 0)
        await until(pilot, lambda: app.failure)

    with pytest.raises(ZeroDivisionError):  # which run_test raises again, unlike a real run
        use(scenario)
    assert apps[0].failure.startswith("the dashboard failed: ZeroDivisionError: division by zero")
    assert str(home / "dashboard.log") in apps[0].failure
    assert "1 / 0" in (home / "dashboard.log").read_text()
    assert "Traceback" not in "".join(capfd.readouterr())
