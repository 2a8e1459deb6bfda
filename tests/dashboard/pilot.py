"""The dashboard under a pilot: a real app without a terminal, its keys, its screen as text.

    @piloted(size=(80, 24))
    async def test_something(app, pilot, model): ...

Everything else is real: the home, the models, the workers. Nothing here sleeps for a fixed time.
"""

import asyncio
import functools
import inspect
import json
import math
import time
from contextlib import suppress
from unittest.mock import patch

import pytest
from textual._context import visible_screen_stack
from textual.events import Paste
from textual.widgets import Input

from tuillm.dashboard.app import Dashboard
from tuillm.dashboard.widgets.table import EntryTable

DEADLINE = 60.0


def piloted(size=(120, 40)):
    """Make a coroutine function a test: `app` and `pilot` are given, the rest are fixtures."""

    def decorate(function):
        signature = inspect.signature(function)

        def test(**fixtures):
            use(functools.partial(function, **fixtures), size)

        functools.update_wrapper(test, function)
        given = [
            each for name, each in signature.parameters.items() if name not in ("app", "pilot")
        ]
        vars(test)["__signature__"] = signature.replace(parameters=given)
        return test

    return decorate


def use(scenario, size=(120, 40)):
    """Run a coroutine function of (app, pilot) on a dashboard that has looked at the disk."""

    async def run():
        app = Dashboard()

        async def settled(*_):
            await _settle(app)

        # Textual's own waits 20 ms at least, and up to two seconds a key beside a live chart
        with (
            patch("textual.app.wait_for_idle", settled),
            patch("textual.pilot.wait_for_idle", settled),
        ):
            async with app.run_test(size=size, notifications=True) as pilot:
                await until(pilot, lambda: app.has_snapshot)
                await scenario(app=app, pilot=pilot)

    asyncio.run(run())


async def _settle(app):
    """Let a key be handled all the way from the focus to the app."""
    focused = app.focused
    for node in (app, *(focused.ancestors_with_self if focused else (app.screen, app))):
        done = asyncio.Event()
        if node.is_running and node.call_later(done.set):
            with suppress(TimeoutError):  # of a screen that has just been closed
                await asyncio.wait_for(done.wait(), 1)


async def until(pilot, condition, seconds=DEADLINE):
    """Wait in small steps until a condition holds, and return what it gave."""
    end, step = time.monotonic() + seconds, 0.005
    while not (value := condition()):
        assert time.monotonic() < end, f"waited in vain; the screen:\n{text_of(pilot.app)}"
        await asyncio.sleep(step)
        step = min(step * 1.5, 0.1)
    await pilot.pause()
    return value


async def shown(pilot, *texts):
    """Wait until all texts stand on the screen; return the screen as text."""
    await until(pilot, lambda: all(text in text_of(pilot.app) for text in texts))
    return text_of(pilot.app)


def words_of(app, selector):
    """What stands in a panel, without its blanks and the ends of its lines."""
    region = app.screen.query_one(selector).content_region
    lines = text_of(app).splitlines()[region.y : region.bottom]
    return "".join("".join(line[region.x : region.right].split()) for line in lines)


async def opened(pilot, kind):
    """Wait until a screen of a kind is on top and has all its fields; return it."""
    await until(pilot, lambda: isinstance(pilot.app.screen, kind))
    await until(pilot, lambda: all(form.whole for form in pilot.app.screen.query("TrainForm")))
    return pilot.app.screen


async def told(pilot, *words):
    """Wait until a toast with all these words has come; return its text."""

    def found():
        return next((text for text in toasts(pilot.app) if all(word in text for word in words)), "")

    return await until(pilot, found)


def toasts(app):
    """The texts of all toasts that are still up."""
    return [note.message for note in app._notifications]


def text_of(app):
    """What stands on the screen, a line a row."""
    strips = strips_of(app)
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


def strips_of(app):
    """The lines on the screen, of what lies below a dialog as well."""
    visible_screen_stack.set(app._background_screens)  # as Textual does before it draws
    return app.screen._compositor.render_strips()


async def type_text(pilot, text):
    """Press the key of each character."""
    await pilot.press(*text)


async def type_into(pilot, field, text):
    """Go to a field of the form and type a text in place of what stands there."""
    line = field.query_one(Input)
    line.focus()
    await until(pilot, lambda: line.has_focus)
    line.value = ""
    await type_text(pilot, text)
    await until(pilot, lambda: line.value == text)


async def paste(pilot, text):
    """Give the app a text at once, as a terminal does with what was pasted or dropped on it."""
    pilot.app.post_message(Paste(text))
    await pilot.pause()


def rows(app, key=lambda entry: getattr(entry, "name", None) or entry.id):
    """The names of the entries in the table on screen, in their order."""
    return [key(entry) for entry in app.screen.query_one(EntryTable).rows]


def entry(app, run_id):
    """What the dashboard knows of a run."""
    return next((each for each in app.runs if each.id == run_id), None)


async def reached(pilot, run_id, *states):
    """Wait until the dashboard has seen a run in one of some states; return what it knows."""

    def there():
        found = entry(pilot.app, run_id)
        return found if found and found.status.state in states else None

    return await until(pilot, there)


def metric_lines(steps, **values):
    """Lines of a metrics file, one for each of some steps, an evaluation every fifth."""
    lines = []
    for step in steps:
        row = {
            "step": step,
            "train_loss": 2 + 4 / step,
            "lr": 1e-3,
            "grad_norm": 1.0,
            "tokens_per_sec": 1e4,
            "mfu": 0.2,
            "elapsed": step * 0.1,
            "eta": 1.0,
            "epoch": step / 10,
            "progress": min(step / 1000, 1.0),
        }
        if step % 5 == 0:
            row |= {"val_loss": 2 + 5 / step, "bits_per_byte": 1 + 3 / step}
        lines.append(json.dumps(row | values) + "\n")
    return "".join(lines)


def points(chart):
    """How many finite points each curve of a chart has, by its name."""
    return {curve.name: sum(map(math.isfinite, curve.y)) for curve in chart._curves}


def lend_terminal(app, monkeypatch, code=0):
    """Let the app believe that its terminal can be lent; return the commands that would run."""
    commands = []

    class Lent:
        def __enter__(self):
            commands.append("suspended")

        def __exit__(self, *error):
            commands.append("back")

    def run(command, **options):
        commands.append(command[command.index("chat") :])
        return type("Done", (), {"wait": lambda self: code})()

    monkeypatch.setattr(app, "suspend", Lent)
    monkeypatch.setattr("tuillm.dashboard.open_chat.Popen", run)
    return commands


both_sizes = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
