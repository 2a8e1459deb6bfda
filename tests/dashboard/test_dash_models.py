"""The table of models: what it shows, how it sorts and filters, and that it follows the disk."""

import shutil

import pytest
from dashboard.furnished import furnish
from dashboard.pilot import (
    opened,
    piloted,
    rows,
    shown,
    text_of,
    toasts,
    told,
    type_text,
    until,
    use,
    words_of,
)

from tuillm.dashboard.screens.models import COLUMNS, ModelsScreen
from tuillm.dashboard.screens.train import TrainScreen
from tuillm.dashboard.widgets.filter import FilterLine
from tuillm.dashboard.widgets.table import EntryTable
from tuillm.store.registry import get_model
from tuillm.store.run_folder import get_run
from tuillm.store.run_status import ACTIVE

pytestmark = pytest.mark.slow

BY_AGE = ["salt-road", "salt-road-letters", "tang-poems", "bigram", "demo", "gpt2", "broken"]


def head(app):
    """The line above the table's rows."""
    return text_of(app).splitlines()[2]


@piloted(size=(200, 60))
async def test_every_column_sorts_both_ways(app, pilot, house):
    """`s` goes from column to column and marks it in the head, `S` turns it around."""
    table = app.screen.query_one(EntryTable)
    orders = {column.key: column.order for column in COLUMNS}
    assert rows(app) == BY_AGE
    seen = []
    for _ in table._shown:
        await pilot.press("s")
        column = next(each for each in COLUMNS if f"{each.label}▴" in head(app))
        seen.append(column.key)
        known = [value for value in map(orders[column.key], table.rows) if value is not None]
        unknown = len(table.rows) - len(known)
        assert known == sorted(known) and known
        await pilot.press("S")
        assert f"{column.label}▾" in head(app)
        turned = list(map(orders[column.key], table.rows))
        assert turned == sorted(known, reverse=True) + [None] * unknown, "unknown ones stay last"
    assert sorted(seen) == sorted(column.key for column in table._shown)


@piloted()
async def test_sorting_keeps_the_cursor_on_its_model(app, pilot, house):
    """The cursor goes with its model when the rows move, and so do the details."""
    await pilot.press("j", "j")
    await shown(pilot, "唐诗三百首.txt")
    for _ in range(3):
        await pilot.press("s")
        assert app.screen.query_one(EntryTable).current.name == "tang-poems"
    await pilot.press("g")
    assert app.screen.query_one(EntryTable).current.name == rows(app)[0]


@piloted(size=(200, 60))
async def test_the_filter_works_as_one_types(app, pilot, house):
    """`/` filters with every letter, words stand in any cell; Escape shows all again."""
    found = [line.split("│")[1] for line in text_of(app).splitlines()[3:10]]
    lines = {line.split()[0]: line for line in found}
    assert list(lines) == BY_AGE
    await pilot.press("/")
    for typed in ("S", "Sa", "Sal", "Salt"):
        await pilot.press(typed[-1])
        fitting = [name for name in BY_AGE if typed.lower() in lines[name].lower()]
        await until(pilot, lambda fitting=fitting: rows(app) == fitting)
    await type_text(pilot, " 1.49")
    await until(pilot, lambda: rows(app) == ["salt-road-letters"])
    await shown(pilot, "letters.txt")
    await pilot.press("escape")
    await until(pilot, lambda: rows(app) == BY_AGE)
    assert app.screen.focused is app.screen.query_one(EntryTable)
    assert not app.screen.query_one(FilterLine).display


@piloted()
async def test_a_filter_stays_while_one_works_in_the_table(app, pilot, house):
    """Enter goes from the filter to its rows; Escape in the reopened line ends it."""
    await pilot.press("/", *"char", "enter")
    await until(pilot, lambda: rows(app) == ["tang-poems", "bigram"])
    await pilot.press("j")
    await until(pilot, lambda: app.screen.query_one(EntryTable).current.name == "bigram")
    assert app.screen.query_one(FilterLine).display, "what is filtered by stays in sight"
    await pilot.press("/", "escape")
    await until(pilot, lambda: rows(app) == BY_AGE)


@piloted()
async def test_a_filter_that_fits_nothing(app, pilot, house):
    """No row fits, and the keys that need a model do no harm."""
    await pilot.press("/", *"zzz")
    await until(pilot, lambda: rows(app) == [])
    await pilot.press("enter")
    await pilot.press(*"jkgGsScrydefi", "enter", "pagedown", "delete")
    assert isinstance(app.screen, ModelsScreen) and not toasts(app)
    await pilot.press("/", "escape")
    await until(pilot, lambda: sorted(rows(app)) == sorted(BY_AGE))
    assert len(app.screen.query_one(EntryTable)._shown) > 3, "all columns are back at once"


@piloted(size=(120, 60))
async def test_the_details_tell_where_a_model_comes_from(app, pilot, house):
    """Lineage, quality, shape, a sample of its run and its files stand in the pane."""
    await pilot.press("j")
    text = await shown(pilot, "letters.txt")
    for part in (
        "fine-tuned",
        "41 kB",
        "letters-1",
        "parent  salt-road",
        "2.931 nats/token",
        "bits per byte    1.490",
        "861,312",
        "512 (bpe)",
        "64 tokens",
        "340",
        "How it writes",
        "The ferry came at noon",
        "model.safetensors",
        "in all",
    ):
        assert part in text, part


@piloted(size=(120, 60))
async def test_the_details_of_a_real_model(app, pilot, grown):
    """A model that a run has just grown shows that run, its text and all its files."""
    text = await shown(pilot, "book.txt", "bpe-1", "How it writes")
    files = [path.name for path in (app.models[0].path).iterdir()]
    assert len(files) > 5 and all(name in text for name in files)


@piloted(size=(80, 24))
async def test_the_details_of_a_narrow_window(app, pilot, house):
    """At 80x24 `i` shows the details in place of nothing else, and hides them again."""
    beside = app.screen.query_one("#beside")
    assert not beside.display
    await pilot.press("i")
    await shown(pilot, "salt-road.txt", "2.614 nats/token")
    assert beside.display
    await pilot.press("i")
    assert not beside.display


@piloted(size=(200, 60))
async def test_a_damaged_model_is_shown_as_damaged(app, pilot, house):
    """A folder without its weights says so in the table and in the details, the others do not."""
    await shown(pilot, "damaged ")
    lines = text_of(app).splitlines()[3:10]
    assert ["damaged" in line for line in lines] == [False] * 6 + [True]
    await pilot.press("G")
    await until(pilot, lambda: "model.safetensorsismissing" in words_of(app, "Details"))


@piloted()
async def test_a_model_damaged_meanwhile(app, pilot, model, home):
    """Weights that are cut short under the open table make a damaged model within a look."""
    assert app.models[0].problem == ""
    with (home / "models" / "book" / "model.safetensors").open("rb+") as file:
        file.truncate(1000)
    await until(pilot, lambda: "cut short" in app.models[0].problem)
    await shown(pilot, "damaged")


@piloted()
async def test_an_empty_registry_names_two_keys(app, pilot):
    """A newcomer reads which two keys to press; `t` opens the form."""
    await shown(pilot, "No models yet.", "Press  t  to grow one", "or     d  to watch one")
    assert not app.screen.query_one(EntryTable).display
    await pilot.press("c", "slash", "r", "y", "e", "f", "enter", "i")
    assert isinstance(app.screen, ModelsScreen) and not toasts(app)
    await pilot.press("t")
    await opened(pilot, TrainScreen)


@piloted()
async def test_the_demo_is_one_key_away(app, pilot):
    """`d` in an empty registry starts the demo's run and opens it."""
    await pilot.press("d")
    await told(pilot, "run demo-1 has started")
    run = get_run("demo-1")
    assert (run.config.name, run.config.preset) == ("demo", "heart")
    assert run.status().state in ACTIVE
    await shown(pilot, "demo-1", "◌ preparing")


@piloted()
async def test_the_table_follows_the_disk(app, pilot, home, trained_folders):
    """Models that others add, change and remove are there, and gone, without a key."""
    await shown(pilot, "No models yet.")
    await pilot.press("3")  # in the background too
    shutil.copytree(trained_folders["bpe"], home / "models" / "late")
    shutil.copytree(trained_folders["char"], home / "models" / "later")
    await pilot.press("1")
    await until(pilot, lambda: sorted(rows(app)) == ["late", "later"])
    await shown(pilot, "late")
    shutil.rmtree(home / "models" / "late")
    await until(pilot, lambda: rows(app) == ["later"])
    shutil.rmtree(home / "models")
    await shown(pilot, "No models yet.")


@pytest.mark.parametrize("size", [(40, 12), (80, 24), (120, 40), (200, 60)], ids=str)
def test_the_columns_fit_the_window(home, size):
    """The name is always there, more columns the more room there is, and no line is too long."""
    furnish(home)

    async def scenario(app, pilot):
        text = await shown(pilot, "salt-road")
        assert all(len(line) <= size[0] for line in text.splitlines())
        table = app.screen.query_one(EntryTable)
        shown_columns = [column.key for column in table._shown]
        assert shown_columns[0] == "name"
        least = {40: 2, 80: 5, 120: 5, 200: 9}[size[0]]
        assert len(shown_columns) >= least, shown_columns

    use(scenario, size)


@piloted()
async def test_a_model_published_elsewhere_replaces_its_row(
    app, pilot, model, home, trained_folders
):
    """A folder put in another's place under the same name is read anew."""
    assert app.models[0].card.tokenizer == "bpe"
    shutil.rmtree(home / "models" / "book")
    shutil.copytree(trained_folders["char"], home / "models" / "book")
    await until(pilot, lambda: app.models and app.models[0].card.tokenizer == "char")
    assert get_model("book").card.tokenizer == "char"
    await shown(pilot, "char")
