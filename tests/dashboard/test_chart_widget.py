"""The chart as a person sees and uses it: real widgets, real keys, real mouse."""

import asyncio
import math
import time

import numpy as np
import pytest
from textual.app import App
from textual.binding import Binding
from textual.events import MouseScrollDown
from textual.screen import Screen
from textual.theme import Theme
from textual_hires_canvas import Canvas

from tuillm.dashboard.widgets.chart import Chart, Curve, Mark
from tuillm.theme import load_theme

STEPS = np.arange(1, 1001)
LOSS = 2 + 8 / STEPS


class Page(App):
    """A chart alone on the screen; counts its drawings and keeps its messages."""

    def __init__(self, **options):
        super().__init__()
        self.chart = CountingChart(**options)
        self.inspected = []

    def compose(self):
        yield self.chart

    def on_mount(self):
        values = load_theme().textual()
        self.register_theme(Theme(**values))
        self.theme = values["name"]
        self.chart.focus()

    def on_chart_inspected(self, message):
        self.inspected.append(message.x)


class CountingChart(Chart):
    """A chart that knows how often it was drawn."""

    drawings = 0

    def _render_plot(self):
        self.drawings += 1
        super()._render_plot()


def values_at(chart, x):
    """By name of the curve its point nearest to x."""
    points = {line.curve.name: line.at(x) for line in chart._ready()}
    return {name: point for name, point in points.items() if point}


def look(chart, part="plot"):
    """What stands on one of the chart's canvases, a text a row."""
    canvas = chart.query_one(f"#{part}", Canvas)
    return [
        "".join(canvas.get_pixel(x, y)[0] for x in range(canvas.size.width))
        for y in range(canvas.size.height)
    ]


def top(chart):
    """The line above the chart."""
    return look(chart, "margin-top")[0].rstrip()


def styles(chart, chars):
    """The styles of all cells of the plot that show one of some characters."""
    canvas = chart.query_one("#plot", Canvas)
    cells = (
        canvas.get_pixel(x, y) for y in range(canvas.size.height) for x in range(canvas.size.width)
    )
    return {style for char, style in cells if char in chars}


BRAILLE = {chr(code) for code in range(0x2801, 0x2900)}


def use(scenario, size=(80, 24), **options):
    """Run a coroutine function of (page, chart, pilot) in a real app, and return its result."""

    async def run():
        page = Page(**options)
        async with page.run_test(size=size) as pilot:
            await pilot.pause()
            return await scenario(page, page.chart, pilot)

    return asyncio.run(run())


async def drawn(chart, pilot):
    """Wait until what was shown last has been drawn; fails after ten seconds."""
    until = time.monotonic() + 10
    for _ in range(2):  # the width of the labels may have changed, which draws once more
        while chart._lines is None or chart._needs_rerender or chart._waiting is not None:
            assert time.monotonic() < until
            await pilot.pause()
        await pilot.pause()


def test_a_curve_is_drawn_in_dots_with_axes_and_names():
    """Dots of braille, labels at both axes, the name and the newest value above."""

    async def scenario(page, chart, pilot):
        chart.show([Curve("train loss", STEPS, LOSS, "secondary")])
        await drawn(chart, pilot)
        assert BRAILLE & set("".join(look(chart)))
        assert top(chart).endswith("train loss 2.008")
        assert look(chart, "margin-bottom")[0].split() == [
            "step",
            "200",
            "400",
            "600",
            "800",
            "1,000",
        ]
        assert [label.strip() for label in look(chart, "margin-left") if label.strip()] == [
            "10",
            "8",
            "6",
            "4",
            "2",
        ]

    use(scenario)


def test_nothing_to_draw_says_so():
    """Without a number there is a sentence, and keys do no harm."""

    async def scenario(page, chart, pilot):
        for curves in (
            [],
            [Curve("loss", [], [])],
            [Curve("loss", [1, 2, 3], [math.nan, math.inf, -math.inf])],
        ):
            chart.show(curves)
            for action in (
                "move(-1)",
                "zoom_in",
                "zoom_out",
                "zoom_reset",
                "log",
                "log",
                "smooth",
                "follow",
                "move_to(0)",
            ):
                await chart.run_action(action)
            await drawn(chart, pilot)
            assert "waiting for the first steps" in "".join(look(chart))
        assert chart.cursor is None

    use(scenario)


def test_one_value_is_a_point_in_the_middle():
    """A single step is seen, between ticks."""

    async def scenario(page, chart, pilot):
        chart.show([Curve("loss", [7], [3.0])])
        await drawn(chart, pilot)
        assert "".join(look(chart)).count("•") == 1
        assert look(chart, "margin-bottom")[0].split() == ["step", "7"]
        await pilot.press("left")
        assert page.inspected == [7.0]

    use(scenario)


VALUES = [
    [1.0],
    [3.0] * 50,
    [0.0] * 9,
    [-5.0, 2.0, -1.0],
    [1e38, -1e38, 0],
    [1e-30, 3e-30],
    [math.nan, 2.0, math.inf, 1.0],
    [1e300, 1.0, 2.0],
    [5.0, 5.0 + 1e-15],
]


@pytest.mark.parametrize("size", [(12, 4), (1, 1), (7, 3), (30, 2), (3, 30), (200, 60)])
def test_no_size_and_no_values_break_it(size):
    """Tiny and large, constant, negative, huge: every key works, no letter falls off."""

    async def scenario(page, chart, pilot):
        for values in VALUES:
            x = np.arange(len(values))
            chart.show(
                [Curve("a", x, values, smooth=True), Curve("b", x, values, kind="points")],
                [
                    Mark(1, "resumed", "resumed"),
                    Mark(0, "best", "best", values[0]),
                    Mark(99, "far", "best", -1.0),
                    Mark(math.nan, "no", "point", math.nan),
                ],
            )
            for action in (
                "move(-1)",
                "move(-1)",
                "zoom_in",
                "log",
                "smooth",
                "move(10)",
                "log",
                "zoom_out",
                "move_to(0)",
                "follow",
                "put_away",
                "zoom_reset",
            ):
                await chart.run_action(action)
                chart._render_plot()
            for part in ("plot", "margin-top", "margin-left", "margin-bottom"):
                canvas = chart.query_one(f"#{part}", Canvas)
                assert all(len(row) == canvas.size.width for row in look(chart, part))

    use(scenario, size)


def test_curves_differ_without_colour(monkeypatch):
    """With NO_COLOR, lines differ by their dashes and evaluations are dots."""
    monkeypatch.setenv("NO_COLOR", "1")

    async def scenario(page, chart, pilot):
        flat = np.ones(len(STEPS))
        chart.show(
            [
                Curve("one", STEPS, flat * 3),
                Curve("two", STEPS, flat * 2, "secondary"),
                Curve("val", STEPS[::100], flat[::100], "accent", "points"),
            ]
        )
        await drawn(chart, pilot)
        rows = [row for row in look(chart) if BRAILLE & set(row)]
        assert set(rows[0][1:]) <= BRAILLE and set(rows[1][1:]) - BRAILLE
        assert rows[2].count("•") == 10
        keys = top(chart).split("   ")
        assert [key.split(" ", 1)[0] for key in keys][2] == "•"
        assert keys[0].split("one")[0] != keys[1].split("two")[0]

    use(scenario)


def test_the_line_above_gives_up_values_before_names():
    """What does not fit is left out, from the right and the least important first."""

    async def scenario(page, chart, pilot):
        chart.show(
            [Curve(f"run-{number}", STEPS, LOSS) for number in range(4)],
            [Mark(1000, "best 2.008", "best", 2.008)],
        )
        await drawn(chart, pilot)
        return top(chart)

    wide, narrow = use(scenario, (120, 20)), use(scenario, (60, 20))
    assert wide.count("2.008") == 5 and "★ best" in wide
    assert "2.008" not in narrow and all(f"run-{number}" in narrow for number in range(4))


def test_colours_follow_the_theme():
    """A curve has its role's colour, and another theme recolours what is drawn."""

    async def scenario(page, chart, pilot):
        chart.show([Curve("loss", STEPS, LOSS, "accent"), Curve("odd", [1, 9], [9, 9], "nonsense")])
        await drawn(chart, pilot)
        assert load_theme()["accent"] in styles(chart, BRAILLE)
        page.theme = "nord"
        await drawn(chart, pilot)
        assert page.theme_variables["accent"].lower() in styles(chart, BRAILLE)
        assert load_theme()["accent"] not in styles(chart, BRAILLE)
        page.theme = "ansi-dark"
        await drawn(chart, pilot)
        assert BRAILLE & set("".join(look(chart)))

    use(scenario)


def test_many_calls_are_one_drawing_of_the_last():
    """Calls in a row are drawn at most four times a second, and the newest is what stays."""

    async def scenario(page, chart, pilot):
        chart.show([Curve("first", STEPS, LOSS)])
        await drawn(chart, pilot)
        before, began = chart.drawings, time.monotonic()
        for number in range(300):
            chart.show([Curve(f"call {number}", STEPS[: number + 2], LOSS[: number + 2])])
            if number % 50 == 0:
                await pilot.pause()
        await drawn(chart, pilot)
        assert "call 299" in top(chart)
        assert chart.drawings - before <= 2 + (time.monotonic() - began) / 0.25

    use(scenario)


def test_a_hidden_chart_is_not_drawn_until_it_is_seen():
    """While it is not displayed, or below another screen, new curves cost no drawing."""

    async def scenario(page, chart, pilot):
        chart.show([Curve("seen", STEPS, LOSS)])
        await drawn(chart, pilot)
        chart.display = False
        await pilot.pause()
        before, chart._next_drawing = chart.drawings, -math.inf  # nothing else would hold it back
        chart.show([Curve("hidden", STEPS, LOSS)])
        await pilot.pause()
        assert chart.drawings == before
        chart.display = True
        await drawn(chart, pilot)
        assert "hidden" in top(chart)
        await page.push_screen(Screen())
        await pilot.pause()
        before, chart._next_drawing = chart.drawings, -math.inf
        chart.show([Curve("covered", STEPS, LOSS)])
        await pilot.pause()
        assert chart.drawings == before
        page.pop_screen()
        await drawn(chart, pilot)
        assert "covered" in top(chart)

    use(scenario)


def test_the_logarithmic_axis_drops_what_has_no_logarithm():
    """`l` switches the axis; values of zero and below vanish, and come back."""

    async def scenario(page, chart, pilot):
        chart.show([Curve("loss", [1, 2, 3, 4], [0.01, -5, 0, 10])])
        await pilot.press("l")
        await drawn(chart, pilot)
        labels = [label.strip() for label in look(chart, "margin-left") if label.strip()]
        assert labels == ["10", "3", "1", "0.3", "0.1", "0.03", "0.01"]
        assert "log" in top(chart)
        chart.show([Curve("loss", [1, 2], [-1, 0])])
        await drawn(chart, pilot)
        assert "no value above zero" in "".join(look(chart))
        await pilot.press("l")
        await drawn(chart, pilot)
        assert "-1.0" in "".join(look(chart, "margin-left"))

    use(scenario)


def test_smoothing_is_switched_by_key_and_keeps_the_values_in_sight():
    """`s` goes through off, light and strong; the values stay behind, in a faint colour."""

    async def scenario(page, chart, pilot):
        noisy = LOSS + np.random.default_rng(0).normal(size=len(LOSS))
        chart.show([Curve("loss", STEPS, noisy, smooth=True), Curve("lr", STEPS, LOSS, "accent")])
        seen = []
        for _ in range(4):
            await drawn(chart, pilot)
            seen.append((chart.smoothing, len(styles(chart, BRAILLE)), top(chart).split()[-1]))
            await pilot.press("s")
        assert seen == [(1, 3, "smooth"), (2, 3, "smoother"), (0, 2, "2.008"), (1, 3, "smooth")]

    use(scenario)


def test_zooming_keeps_the_right_end_and_follows_new_values():
    """`+` shows less at the right end, new steps move it along, `0` shows all again."""

    async def scenario(page, chart, pilot):
        chart.show([Curve("loss", STEPS, LOSS)])
        await drawn(chart, pilot)
        await pilot.press("plus", "plus")
        await drawn(chart, pilot)
        assert (chart._x_max, round(chart._x_max - chart._x_min)) == (1000, 444)
        assert chart._y_max < 2.1 and "following" in top(chart)
        more = np.arange(1, 2001)
        chart.show([Curve("loss", more, 2 + 8 / more)])
        await drawn(chart, pilot)
        assert (chart._x_max, round(chart._x_max - chart._x_min)) == (2000, 444)
        await pilot.press("f")
        chart.show([Curve("loss", np.arange(1, 3001), np.ones(3000))])
        await drawn(chart, pilot)
        assert chart._x_max == 2000 and "zoomed" in top(chart)
        await pilot.press("f")
        await drawn(chart, pilot)
        assert chart._x_max == 3000
        await pilot.press("0")
        await drawn(chart, pilot)
        assert (chart._x_min, chart._x_max, chart.zoomed) == (1, 3000, False)

    use(scenario)


def test_zooming_has_ends():
    """No key leads beyond all values or between two of them."""

    async def scenario(page, chart, pilot):
        chart.show([Curve("loss", STEPS, LOSS)])
        await drawn(chart, pilot)
        for _ in range(40):
            await chart.run_action("zoom_in")
        await drawn(chart, pilot)
        assert 1 < chart._x_max - chart._x_min < 10
        for _ in range(60):
            await chart.run_action("zoom_out")
        await drawn(chart, pilot)
        assert (chart._x_min, chart._x_max, chart.zoomed) == (1, 1000, False)

    use(scenario)


def test_the_cursor_reads_out_values():
    """Arrows move it from the newest value on, the line above says what is there."""

    async def scenario(page, chart, pilot):
        chart.show(
            [
                Curve("loss", STEPS, LOSS),
                Curve("val", [1, 500, 1000], [9.0, 3.0, 2.5], "accent", "points"),
            ]
        )
        await drawn(chart, pilot)
        await pilot.press("left")
        assert page.inspected == [1000.0]
        await pilot.press("left", "shift+left", "right")
        assert page.inspected[1] > page.inspected[2] < page.inspected[3]
        await pilot.press("home")
        await drawn(chart, pilot)
        assert top(chart).startswith("step 1 ") and "loss 10.00" in top(chart)
        assert "val 9.000" in top(chart) and "│" in "".join(row[1:] for row in look(chart))
        await pilot.press("right")
        await drawn(chart, pilot)
        assert "val 9.000 @1" in top(chart)
        await pilot.press("end")
        assert values_at(chart, chart.cursor) == {"loss": (1000, LOSS[-1]), "val": (1000, 2.5)}
        await pilot.press("escape")
        await drawn(chart, pilot)
        assert page.inspected[-1] is None and not top(chart).startswith("step")

    use(scenario)


def test_the_cursor_goes_from_value_to_value_where_they_are_few():
    """With fewer values than columns no key press is lost, and none stands between them."""

    async def scenario(page, chart, pilot):
        chart.show([Curve("val", [10, 20, 40], [3, 2, 1], "accent", "points")])
        await drawn(chart, pilot)
        await pilot.press("left", "left", "left", "left", "right")
        await pilot.pause()
        assert page.inspected == [40, 20, 10, 10, 20]

    use(scenario)


def test_the_cursor_takes_the_view_along():
    """At the edge of a zoomed chart the view moves, and zooming goes about the cursor."""

    async def scenario(page, chart, pilot):
        chart.show([Curve("loss", STEPS, LOSS)])
        await drawn(chart, pilot)
        await pilot.press("plus", "plus", "left", "home")
        await drawn(chart, pilot)
        assert chart._x_min == chart.cursor == 1 and not chart.following
        await pilot.press("plus")
        await drawn(chart, pilot)
        assert chart._x_min == 1 and chart._x_max < 300

    use(scenario)


def test_escape_is_for_the_screen_when_there_is_no_cursor():
    """Only a key that does something here is kept here."""
    escaped = []

    class Escaping(Page):
        BINDINGS = [("escape", "leave"), ("r", "leave"), ("up", "leave")]

        def action_leave(self):
            escaped.append(self.chart.cursor)

    async def run():
        page = Escaping()
        async with page.run_test() as pilot:
            page.chart.show([Curve("loss", STEPS, LOSS)])
            await drawn(page.chart, pilot)
            await pilot.press("left", "escape")
            assert escaped == []
            await pilot.press("escape", "r", "up")
            assert escaped == [None] * 3

    asyncio.run(run())


def test_a_click_sets_the_cursor_and_a_drag_does_not():
    """The mouse inspects where it clicks; the wheel zooms about where it is."""

    async def scenario(page, chart, pilot):
        chart.show([Curve("loss", STEPS, LOSS)])
        await drawn(chart, pilot)
        plot = chart.query_one("#plot")
        middle = (plot.size.width // 2, 5)
        await pilot.click(plot, offset=middle)
        assert page.inspected[0] == pytest.approx(500, abs=10)
        plot.post_message(
            MouseScrollDown(
                plot,
                *middle,
                0,
                0,
                0,
                False,
                False,
                False,
                screen_x=plot.region.x + middle[0],
                screen_y=plot.region.y + middle[1],
            )
        )
        await pilot.pause()
        await drawn(chart, pilot)
        assert chart.zoomed and chart._x_min > 1 and chart._x_max < 1000
        before = chart._x_min
        await pilot.mouse_down(plot, offset=middle)
        await pilot.hover(plot, offset=(middle[0] + 4, 5))
        await pilot.mouse_up(plot, offset=(middle[0] + 4, 5))
        await drawn(chart, pilot)
        assert len(page.inspected) == 1 and chart._x_min <= before

    use(scenario)


def test_marks_stand_where_they_belong():
    """A star on the best value, a labelled dashed line where the run was resumed."""

    async def scenario(page, chart, pilot):
        chart.show(
            [Curve("val", STEPS, LOSS)],
            [
                Mark(1000, "best 2.008", "best", LOSS[-1]),
                Mark(500, "resumed", "resumed"),
                Mark(510, "again", "resumed"),
            ],
        )
        await drawn(chart, pilot)
        rows = look(chart)
        assert "".join(rows).count("★") == 1 and any(row.endswith("★") for row in rows)
        assert sum("╎" in row for row in rows) >= len(rows) - 2
        assert " resumed" in rows[0] and "again" in rows[0]
        assert "★ best 2.008" in top(chart)

    use(scenario)


def test_the_axis_below_can_be_time_or_epochs():
    """Another kind of axis brings its own labels, and shows everything again."""

    async def scenario(page, chart, pilot):
        chart.show([Curve("loss", STEPS, LOSS)], x_axis="step")
        await drawn(chart, pilot)
        await pilot.press("plus", "left")
        chart.show([Curve("loss", STEPS * 3.6, LOSS)], x_axis="elapsed")
        await drawn(chart, pilot)
        assert look(chart, "margin-bottom")[0].split() == [
            "time",
            "10m",
            "20m",
            "30m",
            "40m",
            "50m",
            "1h",
        ]
        assert not chart.zoomed and chart.cursor is None
        chart.show([Curve("loss", STEPS / 500, LOSS)], x_axis="epoch")
        await drawn(chart, pilot)
        assert look(chart, "margin-bottom")[0].split() == ["epoch", "0.5", "1.0", "1.5", "2.0"]

    use(scenario)


def test_every_key_can_be_rebound_and_few_are_advertised():
    """Bindings have ids of the chart, and none of the plot's own is left over."""
    bindings = [each for each in Chart.BINDINGS if isinstance(each, Binding)]
    assert len(bindings) == len(Chart.BINDINGS)
    assert all(binding.id.startswith("chart.") for binding in bindings)
    assert len({binding.id for binding in bindings}) == len(bindings)
    assert sum(binding.show for binding in bindings) <= 2
    keys = set(Chart._merged_bindings.key_to_bindings)
    assert not keys & {"up", "down", "r", "h", "ctrl+minus"}
    assert Chart.HELP


def test_a_million_values_are_drawn_in_the_time_of_a_blink():
    """The largest history leaves the keys their time: well under a second, smoothing and all."""

    async def scenario(page, chart, pilot):
        steps = np.arange(1_000_000)
        chart.smoothing = 2
        chart.show([Curve("loss", steps, 2 + np.sin(steps / 1000), smooth=True)])
        await drawn(chart, pilot)
        began = time.perf_counter()
        await pilot.press("l")
        await drawn(chart, pilot)
        assert time.perf_counter() - began < 1
        assert BRAILLE & set("".join(look(chart)))

    use(scenario)
