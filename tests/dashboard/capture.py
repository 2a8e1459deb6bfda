"""Pictures of the dashboard in a furnished home, as texts to compare with.

    python tests/dashboard/capture.py       # after a screen was changed: then look at the diff

writes `captures/SCREEN-SIZE.txt` for every screen at three sizes, which `test_captures` compares
with what is drawn now.

    python tests/dashboard/capture.py FOLDER

writes `FOLDER/SCREEN-SIZE-LOOK.svg` in colours: a dark, a light and a high-contrast theme, and
without colours.
"""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from dashboard.drawing import plain
from dashboard.furnished import furnish
from dashboard.pilot import text_of, until

from tuillm.config import build_train
from tuillm.dashboard.app import Dashboard
from tuillm.dashboard.screens.train import TrainScreen
from tuillm.dashboard.widgets.forecast_panel import ForecastPanel
from tuillm.dashboard.widgets.form import TrainForm
from tuillm.store.workers.forecast_process import Forecast
from tuillm.theme import choose_theme

CAPTURES = Path(__file__).with_name("captures")
SIZES = [(80, 24), (120, 40), (200, 60)]
# a dark, a light and a high-contrast theme; "" is without colours
LOOKS = ("lamplight", "broadsheet", "lighthouse", "")
_FORECAST = Forecast(
    stage="speed",
    bytes=96_215,
    tokenizer="bpe",
    vocab_size=512,
    train_tokens=48_107,
    val_tokens=4_812,
    block_size=64,
    dropout=0.2,
    parameters=861_312,
    steps_per_epoch=23.5,
    memory_needed=571_000_000,
    memory_available=12_400_000_000,
    disk_needed=51_000_000,
    device="cpu",
    dtype="bfloat16",
    tokens_per_sec=41_200.0,
    step_seconds=0.05,
    steps=1204,
    epochs=51.2,
    seconds=60.0,
    notes=("the text has only 48,107 tokens: dropout is 0.2",),
    warnings=("it will know the text by heart before it ends: 51 epochs",),
)


async def _models(app, pilot):
    await pilot.press("1")


async def _train(app, pilot):
    await pilot.press("2")
    await until(pilot, lambda: isinstance(app.screen, TrainScreen) and app.screen.query(TrainForm))
    # a real forecast measures this machine; none is begun for settings it was asked for already
    app.screen._asked = build_train({"corpus": str(Path("~/evenings.txt").expanduser())})
    app.screen.query_one(TrainForm)["corpus"].fill("~/evenings.txt")
    app.screen.query_one(ForecastPanel).show(_FORECAST)


async def _runs(app, pilot):
    await pilot.press("escape", "3")


async def _run(app, pilot):
    await pilot.press("enter")


async def _overlay(app, pilot):
    await pilot.press("escape", "space", "space", "o")


VIEWS = {"models": _models, "train": _train, "runs": _runs, "run": _run, "overlay": _overlay}


@contextmanager
def furnished_home():
    """A home in a place whose name always has the same length; TUILLM_HOME points to it."""
    home, before = Path(tempfile.mkdtemp(prefix="tuillm-", dir="/tmp")), os.environ.copy()
    os.environ |= {"TUILLM_HOME": str(home), "HOME": str(home)}
    (home / "evenings.txt").touch()
    try:
        furnish(home)
        yield home
    finally:
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(home)


async def pictures(size, finished, drawn=None):
    """All screens at a size as text, by name; each is taken as soon as `finished(name, text)`.

    `drawn(app, name)` is called when it is.
    """
    app, taken = Dashboard(), {}
    home, anywhere = os.environ["TUILLM_HOME"], "/tmp/tuillm-captures"
    assert len(home) == len(anywhere)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.has_snapshot)
        for name, go_there in VIEWS.items():
            await go_there(app, pilot)
            await until(
                pilot, lambda name=name: finished(name, text_of(app).replace(home, anywhere))
            )
            taken[name] = text_of(app).replace(home, anywhere)
            if drawn:
                drawn(app, name)
    return taken


class _Still:
    """Whether a picture has stayed the same for a while."""

    SECONDS = 1.0

    def __init__(self):
        self._before, self._since = None, 0.0

    def __call__(self, name, text):
        if (name, text) != self._before:
            self._before, self._since = (name, text), time.monotonic()
        return time.monotonic() - self._since > self.SECONDS


def in_colours(folder):
    """Draw every screen at every size in every look into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    for look in LOOKS:
        for width, height in SIZES:
            name = f"{width}x{height}-{look or 'no-color'}"

            def draw(app, screen, name=name):
                svg = plain(app.export_screenshot(title="tuillm", simplify=True))
                (folder / f"{screen}-{name}.svg").write_text(svg, encoding="utf-8")

            with furnished_home():
                if look:
                    choose_theme(look)
                else:
                    os.environ["NO_COLOR"] = "1"
                asyncio.run(pictures((width, height), _Still(), draw))


def main():
    for width, height in SIZES:
        with furnished_home():  # for each size anew, so that no age is rounded up meanwhile
            for name, text in asyncio.run(pictures((width, height), _Still())).items():
                path = CAPTURES / f"{name}-{width}x{height}.txt"
                path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    in_colours(Path(sys.argv[1])) if sys.argv[1:] else main()
