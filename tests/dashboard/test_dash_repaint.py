"""What a live run changes is sent to the terminal, and nothing else: no whole screen a second."""

import re
from typing import Any

import pytest
from dashboard.furnished import furnish, going
from dashboard.pilot import opened, piloted, text_of, until
from textual._compositor import Compositor
from textual.geometry import Region

from tuillm.dashboard.screens.dialogs import Ask
from tuillm.dashboard.screens.run import RunScreen
from tuillm.dashboard.screens.runs import RunsScreen
from tuillm.store.files import append_json
from tuillm.store.run_folder import get_run

RUN = "salt-road-4"


@pytest.fixture
def live(home):
    """A home with a run that goes on when `advance` says so."""
    furnish(home)
    going(home)
    return get_run(RUN)


@pytest.fixture
def painted(monkeypatch):
    """The regions that are sent to the terminal."""
    regions: list[Region] = []
    real = Compositor.render_update

    def render_update(self, full=False, **options: Any):
        regions.extend([self.size.region] if full else self._dirty_regions)
        return real(self, full, **options)

    monkeypatch.setattr(Compositor, "render_update", render_update)
    return regions


def at_step(app, step):
    """Whether the screen says that the run is there."""
    return re.search(rf"\bstep +{step:,} ", text_of(app))


async def advance(app, pilot, run, painted):
    """Let the run take three steps, each of them seen; return the largest area sent at once."""
    for _ in range(3):
        painted.clear()
        status = run.status()
        step = status.step + 1
        append_json(run.metrics, {"step": step, "train_loss": 2.5, "tokens_per_sec": 41_000.0})
        run.write_status(status.model_copy(update={"step": step}))
        app.refresh_snapshot()
        await until(pilot, lambda step=step: at_step(app, step))
    assert painted
    return max(region.area for region in painted)


@piloted()
async def test_a_list_repaints_the_lines_that_changed(app, pilot, live, painted):
    """The row of the run, its details: nothing that is larger than a line."""
    await pilot.press("3")
    await opened(pilot, RunsScreen)
    await until(pilot, lambda: at_step(app, 700))
    await advance(app, pilot, live, painted)
    assert await advance(app, pilot, live, painted) <= app.size.width


@piloted()
async def test_a_run_repaints_no_list_below_it(app, pilot, live, painted):
    """Nor itself: figures, head and curve are smaller than half of the screen."""
    await pilot.press("3")
    await opened(pilot, RunsScreen)
    await pilot.press("enter")
    screen = await opened(pilot, RunScreen)
    await until(pilot, lambda: at_step(app, 700))
    await advance(app, pilot, live, painted)
    assert await advance(app, pilot, live, painted) < app.size.width * app.size.height / 2
    lower = app.screen_stack[-2]
    assert isinstance(lower, RunsScreen) and lower.covered and not screen.covered
    await pilot.press("escape")
    await until(pilot, lambda: app.screen is lower)
    step = live.status().step
    await until(pilot, lambda: at_step(app, step))  # what was missed is drawn


@piloted()
async def test_what_lies_below_a_dialog_goes_on(app, pilot, live, painted):
    """A dialog lets the screen below be seen, which is no still picture."""
    await pilot.press("3")
    await opened(pilot, RunsScreen)
    app.push_screen(Ask("What?"))
    await opened(pilot, Ask)
    assert not app.screen_stack[-2].covered
    await advance(app, pilot, live, painted)
