"""Draws the README's two pictures of the dashboard from a home where something is really going on.

    tuillm train BOOK.txt --detach && python tests/dashboard/drawing.py

writes `captures/models.svg`, and `captures/run.svg` of the newest run, from TUILLM_HOME.
"""

import asyncio
import html
import re
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from dashboard.pilot import text_of, until

from tuillm.dashboard.app import Dashboard

CAPTURES = Path(__file__).with_name("captures")
SIZE = (110, 34)
_CELL = 12.2  # width of a character in Rich's drawings
_FONTS = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


async def drawings():
    """The list of the models and the newest run, as SVG that asks nobody for a font."""
    app = Dashboard()
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.has_snapshot and "bits per byte" in text_of(app))
        await pilot.pause(0.5)
        models = app.export_screenshot(title="tuillm", simplify=True)
        await pilot.press("3", "enter")
        await until(pilot, lambda: "train loss" in text_of(app) and "CPU" in text_of(app))
        await pilot.pause(2.5)  # the share of the CPU is known at the second look
        run = app.export_screenshot(title="tuillm", simplify=True)
        return {"models": plain(models), "run": plain(run)}


def plain(svg):
    """An SVG without fonts or addresses from elsewhere, that any program draws alike.

    Some pass over spaces at the beginning of a text, and over how long it is to be: so each word
    gets a place of its own.
    """
    svg = re.sub(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;]+;", f"font-family: {_FONTS};", svg)
    return re.sub(
        r'<text class="(\S+)" x="([\d.]+)" y="([\d.]+)" textLength="[\d.]+" '
        r'clip-path="(\S+)">([^<]*)</text>',
        _words,
        svg,
    )


def _words(match):
    style, x, y, clip, content = match.groups()
    return "".join(
        f'<text class="{style}" x="{float(x) + _CELL * word.start():.6g}" y="{y}" '
        f'textLength="{_CELL * len(word[0]):.6g}" clip-path="{clip}">{html.escape(word[0])}</text>'
        for word in re.finditer("[^ \xa0]+", html.unescape(content))
    )


if __name__ == "__main__":
    for name, svg in asyncio.run(drawings()).items():
        (CAPTURES / f"{name}.svg").write_text(svg, encoding="utf-8")
