"""Every screen at every size is drawn as it was when it was last looked at."""

import asyncio
import difflib
import time

import pytest
from dashboard import capture

pytestmark = pytest.mark.slow

_WAIT = 10.0


@pytest.mark.parametrize("size", capture.SIZES, ids=lambda size: "{}x{}".format(*size))
def test_screens_look_as_captured(size):
    """A changed screen shows as a diff of text; `python tests/dashboard/capture.py` accepts it."""
    kept = {
        name: (capture.CAPTURES / f"{name}-{size[0]}x{size[1]}.txt").read_text("utf-8")
        for name in capture.VIEWS
    }
    began = {}

    def finished(name, text):
        """It is what it should be, or has had the time to become it."""
        began.setdefault(name, time.monotonic())
        return text + "\n" == kept[name] or time.monotonic() - began[name] > _WAIT

    with capture.furnished_home():
        drawn = asyncio.run(capture.pictures(size, finished))
    changes = [
        line
        for name, text in drawn.items()
        for line in difflib.unified_diff(
            kept[name].splitlines(),
            text.splitlines(),
            f"captured {name}",
            f"drawn {name}",
            lineterm="",
            n=1,
        )
    ]
    assert not changes, "\n".join(changes) + "\naccept: python tests/dashboard/capture.py"


@pytest.mark.parametrize("name", ["models", "run"])
def test_drawings_of_the_readme_need_no_network(name):
    """The two SVG pictures are small and name no address but that of the SVG language."""
    svg = (capture.CAPTURES / f"{name}.svg").read_text("utf-8")
    assert len(svg) < 200_000
    assert svg.count("http") == svg.count('xmlns="http://www.w3.org/2000/svg"')
