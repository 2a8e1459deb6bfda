"""Pulls in the place of the models: asked for by key, a line of progress, stopped, taken up."""

import pytest
from dashboard.pilot import both_sizes, opened, rows, shown, text_of, toasts, told, until, use
from textual.widgets import Input

from tuillm.dashboard.screens.dialogs import Confirm
from tuillm.dashboard.screens.pull_dialog import PullDialog
from tuillm.dashboard.widgets.pull_lines import PullLines
from tuillm.store.hub.pull_folder import PullStatus, get_pull, list_pulls, pull_of
from tuillm.store.registry import find_model
from tuillm.store.workers import processes

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def quick(monkeypatch, hub, tmp_path):
    """The dashboard looks five times a second; the pulls that it starts know our hub."""
    monkeypatch.setattr("tuillm.dashboard.app._LOOK_EVERY", 0.2)
    for name, value in hub.environment(tmp_path / "hf").items():
        monkeypatch.setenv(name, value)
    yield
    for worker in processes._started:
        worker.kill()
        worker.wait()
    processes._started.clear()


async def ask_for(pilot, typed=None):
    """Press P and give a name, or take the one that is proposed; return the proposal."""
    await pilot.press("P")
    line = (await opened(pilot, PullDialog)).query_one(Input)
    proposed = line.value
    line.value = proposed if typed is None else typed
    await pilot.press("enter")
    return proposed


def test_a_pull_is_started_stopped_and_taken_up_by_key(hub):
    """P asks, a line tells how far; X stops it, P goes on; a toast tells of the model."""

    async def scenario(app, pilot):
        hub.hold = 300_000
        assert await ask_for(pilot) == "gpt2"
        assert await told(pilot, "pulling gpt2; it goes on without the dashboard")
        screen = await shown(pilot, "↓ gpt2  ━━━━", " 60%", " kB / 509 kB")
        assert "No models yet" in screen
        await pilot.press("X")
        await told(pilot, "stopping the pull of gpt2; what has come is kept")
        await shown(pilot, "‖ gpt2  stopped at 60% of 509 kB   P goes on, X throws it away")
        assert get_pull("gpt2").status().state == "cancelled"
        hub.hold = None
        hub.go.set()
        assert await ask_for(pilot) == "gpt2"
        assert await told(pilot, "gpt2 is here: c talks to it")
        await until(pilot, lambda: rows(app) == ["gpt2"])
        assert not app.screen.query_one(PullLines).display
        assert await ask_for(pilot) == "gpt2"
        assert await told(pilot, "gpt2 is here already")

    use(scenario, size=(200, 40))  # so wide that no toast lies over the line
    assert hub.of_weights()[-1].start > 290_000
    assert find_model("gpt2").problem == ""


def test_what_fails_is_told_and_can_be_cleared(hub):
    """The reason comes as a toast and stays as a line until X clears it."""

    async def scenario(app, pilot):
        await ask_for(pilot, "org/nothing")
        assert await told(pilot, "has no model 'org/nothing'", "check the spelling")
        await shown(pilot, "✗ nothing  P tries again, X clears it   127.0.0.1")
        await pilot.press("X")
        await until(pilot, lambda: not app.pulls)
        assert "✗" not in text_of(app)

    use(scenario, size=(200, 40))
    assert list_pulls() == []


def test_a_name_that_is_none_is_told_while_it_is_typed():
    """Enter does not take what cannot be a name of the hub."""

    async def scenario(app, pilot):
        await pilot.press("P")
        screen = await opened(pilot, PullDialog)
        screen.query_one(Input).value = "gpt3"
        await shown(pilot, "'gpt3' is no name of the hub (did you mean 'gpt2'?)")
        await pilot.press("enter")
        assert app.screen is screen and not toasts(app)

    use(scenario)


@both_sizes
def test_lines_of_all_kinds_fit_the_window(size):
    """Whatever state pulls are in, each has one line; what was left is thrown away after a yes."""
    facts = dict(
        repo="org/story-teller", name="x", done=230_000_000, total=548_000_000, rate=5e6, eta=63.0
    )
    for name, more in {
        "cut": {"state": "lost"},
        "off": {"state": "cancelled"},
        "bad": {"state": "failed", "error": "it came damaged", "hint": "again" * 40},
    }.items():
        pull_of(name).path.mkdir(parents=True)
        pull_of(name).write_status(PullStatus(**facts | {"name": name} | more))

    async def scenario(app, pilot):
        screen = await shown(
            pilot,
            "? cut  broke off at 42% of 548 MB   P goes on",
            "✗ bad  P tries again, X clears it   it came damaged (again",
            "‖ off  stopped at 42%",
        )
        assert all(len(line) <= size[0] for line in screen.splitlines())
        assert app.screen.query_one(PullLines).size.height == 3
        await pilot.press("X")
        await opened(pilot, Confirm)
        await pilot.press("y")
        await told(pilot, "threw away what had come of bad")
        await until(pilot, lambda: len(app.pulls) == 2)

    use(scenario, size)
