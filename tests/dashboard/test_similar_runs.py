"""Runs that tell what to expect of a new one."""

import pytest
from dashboard.pilot import opened, piloted, shown

from tuillm.config import build_train
from tuillm.dashboard.screens.train import TrainScreen
from tuillm.dashboard.similar_runs import similar_runs
from tuillm.dashboard.widgets.forecast_panel import ForecastPanel
from tuillm.store.snapshot import RunsSnapshot
from tuillm.store.workers.forecast_process import Forecast


def entries():
    snapshot = RunsSnapshot()
    snapshot.refresh()
    return snapshot.runs


def test_alike_are_preset_and_shape_and_whether_a_model_went_on(house):
    """Those on the same text come first; what was never measured tells nothing."""
    tiny = build_train({"corpus": "salt-road.txt", "preset": "tiny"})
    found = similar_runs(tiny, entries())
    assert found and all(entry.config.preset == "tiny" for entry in found)
    assert found[0].config.corpus == ("salt-road.txt",)
    wider = build_train({"corpus": "salt-road.txt", "preset": "tiny", "n_embd": 256})
    assert similar_runs(wider, entries()) == []


@pytest.mark.slow
@piloted()
async def test_they_stand_in_the_forecast(app, pilot, house):
    await pilot.press("2")
    await opened(pilot, TrainScreen)
    panel = app.screen.query_one(ForecastPanel)
    tiny = build_train({"corpus": "salt-road.txt", "preset": "tiny"})
    panel.compare(similar_runs(tiny, app.runs))
    panel.show(Forecast(memory_needed=3 * 10**9, memory_available=4 * 10**9))
    await shown(pilot, "What runs like it came to", "1.313 bits per byte", "salt-road-3")
    await shown(pilot, "━━━━", "3 GB of the 4 GB that are free")
