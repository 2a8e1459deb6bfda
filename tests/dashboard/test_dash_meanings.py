"""What the figures mean: for each in front of a person, with whether it is good."""

import pytest
from dashboard.pilot import opened, piloted, shown, text_of, until

from tuillm.dashboard.glossary import judged_bits, judged_loss, meaning, state_meaning
from tuillm.dashboard.screens.meanings import MeaningsScreen
from tuillm.dashboard.screens.models import ModelsScreen
from tuillm.dashboard.widgets.table import EntryTable

NAMES = ("bits per byte", "validation loss", "train loss", "parameters", "context", "tokenizer")


@pytest.mark.parametrize("name", NAMES)
def test_each_name_is_explained(name):
    """In a sentence or two."""
    assert 1 <= meaning(name).words.count(". ") + 1 <= 3


@pytest.mark.parametrize(
    ("bits", "words"),
    [(2.1, "nanoGPT's best"), (8.2, "noise"), (0.1, "known by heart"), (None, "")],
)
def test_bits_per_byte_are_judged(bits, words):
    assert words in judged_bits(bits)


def test_a_loss_is_a_number_of_choices():
    assert "10 equally likely" in judged_loss(2.3026)


def test_a_lost_run_says_how_to_go_on():
    words = state_meaning("lost", 166).words
    assert "process is gone" in words and "R goes on" in words and "step 166" in words


@pytest.mark.slow
@piloted(size=(80, 24))
async def test_w_explains_what_the_cursor_is_on(app, pilot, house):
    await pilot.press("w")
    await opened(pilot, MeaningsScreen)
    await shown(pilot, "salt-road", "bits per byte  1.313", "very good for a model of one")
    await pilot.press("escape")
    await opened(pilot, ModelsScreen)
    await pilot.press("3", "w")
    await opened(pilot, MeaningsScreen)
    await shown(pilot, "finished", "c talks to it")


@pytest.mark.slow
@piloted()
async def test_the_mouse_on_the_head_of_a_column_tells_what_it_means(app, pilot, house):
    table = app.screen.query_one(EntryTable)
    head = text_of(app).splitlines()[table.region.y]
    await pilot.hover(offset=(head.index("bits per byte") + 2, table.region.y))
    await until(pilot, lambda: "compressed it" in str(table.tooltip))
    await pilot.hover(offset=(head.index("bits per byte") + 2, table.region.y + 3))
    await until(pilot, lambda: table.tooltip is None)
