"""Naming a text: typed, dropped, pasted or picked, with all the characters that names can have."""

import asyncio
import os
import shlex
from urllib.parse import quote

import pytest
from dashboard.pilot import opened, paste, piloted, shown, told, until, use
from textual.widgets import Input, Select

from tuillm.dashboard.path_input import PathSuggester, dropped_paths, join_paths, split_paths
from tuillm.dashboard.screens.export_dialog import ExportDialog
from tuillm.dashboard.screens.file_picker import FilesScreen
from tuillm.dashboard.screens.train import TrainScreen
from tuillm.dashboard.widgets.form import TrainForm
from tuillm.dashboard.widgets.table import EntryTable

NAMES = [
    "plain.txt",
    "My Book.txt",
    "Tom's book.txt",
    'the "best" one.txt',
    "a\\b.txt",
    "$HOME.txt",
    "唐诗 三百首.txt",
    "-n.txt",
    "100%41.txt",
    "a;b&c.txt",
]


@pytest.fixture(params=NAMES)
def odd(request, tmp_path, monkeypatch):
    """A file with an odd name, in a directory with a space in its name."""
    folder = tmp_path / "my books"
    folder.mkdir()
    monkeypatch.chdir(folder)
    path = folder / request.param
    path.write_text("salt\n" * 20, encoding="utf-8")
    return path


def escaped(path):
    """A path as terminals write it that escape with backslashes."""
    return "".join(char if char.isalnum() or char in "/._-" else "\\" + char for char in str(path))


def test_any_way_of_naming_a_file_names_it(odd):
    """As it is, quoted, escaped, or as a file:// address: it is this file and no other."""
    other = odd.with_name("other one.txt")
    other.touch()
    assert split_paths(str(odd)) == [str(odd)], "a whole line may be one path"
    assert split_paths(join_paths([str(odd)])) == [str(odd)]
    assert split_paths(join_paths([str(odd), str(other)])) == [str(odd), str(other)]
    for line in (
        str(odd),
        join_paths([str(odd)]),
        escaped(odd),
        f"file://{quote(str(odd))}",
        f"file://{quote(str(odd))}\r\n",
    ):
        assert split_paths(dropped_paths(line)) == [str(odd)], line
    both = f"file://{quote(str(odd))}\nfile://{quote(str(other))}\n"
    assert split_paths(dropped_paths(both)) == [str(odd), str(other)]
    assert split_paths(dropped_paths(f"{escaped(odd)} {escaped(other)}")) == [str(odd), str(other)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "no such file.txt",
        "https://example.org/a.txt",
        "file:///no/such/file",
        "once upon a time",
        "'",
        "a\0b",
    ],
)
def test_what_names_no_file_is_not_dropped(text):
    """Any other text that is pasted stays what it is."""
    assert dropped_paths(text) == ""


def test_a_tilde_is_the_home_directory(tmp_path, monkeypatch):
    """~ is understood at the beginning of each path."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.txt").touch()
    assert split_paths("~/b.txt 'c d.txt'") == [f"{tmp_path}/b.txt", "c d.txt"]
    assert split_paths("~/a.txt") == [f"{tmp_path}/a.txt"]
    assert split_paths("~\0/a.txt") == ["~\0/a.txt"], "nobody is called so"
    assert asyncio.run(PathSuggester().get_suggestion("~\0/a")) is None
    assert split_paths(dropped_paths("~/a.txt")) == [f"{tmp_path}/a.txt"]


def test_paths_are_completed(tmp_path, monkeypatch):
    """The last path of a line is completed, hidden files only when one asks for them."""
    for name in ("book.txt", "bog.txt", ".hidden", "deep/er.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)

    def suggest(line):
        return asyncio.run(PathSuggester().get_suggestion(line))

    assert suggest("boo") == "book.txt"
    assert suggest(f"{tmp_path}/bog") == f"{tmp_path}/bog.txt"
    assert suggest("book.txt de") == "book.txt deep/"
    assert suggest("deep/") == "deep/er.txt"
    assert suggest(".h") == ".hidden"
    for line in ("", "zzz", "no/such/", "book.txt ", "https://ex", "'"):
        assert suggest(line) is None, line


@pytest.mark.slow
@piloted()
async def test_dropping_files_on_the_form(app, pilot, tmp_path, monkeypatch):
    """A drop on the empty field fills it, a second is added; on another part it takes its place."""
    monkeypatch.chdir(tmp_path)
    first, second = tmp_path / "My Book.txt", tmp_path / "Tom's.txt"
    for path in (first, second):
        path.write_text("salt\n" * 20)
    await pilot.press("2")
    form = (await opened(pilot, TrainScreen)).query_one(TrainForm)
    corpus = form["corpus"]
    await paste(pilot, escaped(first))
    await until(pilot, lambda: corpus.typed == (str(first),))
    await paste(pilot, f"file://{quote(str(second))}")
    await until(pilot, lambda: corpus.typed == (str(first), str(second)))
    assert form.config().corpus == (str(first), str(second))
    form["init_from"].query_one(Select).focus()
    await paste(pilot, str(second))
    await until(pilot, lambda: corpus.typed == (str(second),))
    await pilot.press("escape")
    await paste(pilot, f"'{first}'")
    await until(pilot, lambda: corpus.typed == (str(first),))
    form["name"].query_one(Input).focus()
    await paste(pilot, "salt")
    await until(pilot, lambda: form["name"].text == "salt")
    corpus.query_one(Input).focus()
    corpus.fill("")
    await paste(pilot, "https://example.org/book.txt")
    await until(pilot, lambda: corpus.typed == ("https://example.org/book.txt",))


def names(screen):
    """The names that the picker shows, in their order."""
    return [entry.shown for entry in screen.query_one(EntryTable).rows]


async def picker(pilot):
    """Open the picker from the form, and wait until it has looked into its folder."""
    await pilot.press("ctrl+o")
    screen = await opened(pilot, FilesScreen)
    await until(pilot, lambda: screen.query_one(EntryTable).filled)
    return screen


@pytest.mark.slow
@piloted()
async def test_picking_a_file(app, pilot, tmp_path, monkeypatch):
    """Ctrl-O shows the folder; j and Enter take a file, its name is quoted where it must be."""
    folder = tmp_path / "books"
    folder.mkdir()
    for name in ("a b.txt", ".hidden", "c.txt"):
        (folder / name).write_text("salt\n" * 20)
    monkeypatch.chdir(folder)
    await pilot.press("2")
    form = (await opened(pilot, TrainScreen)).query_one(TrainForm)
    screen = await picker(pilot)
    assert names(screen) == ["a b.txt", "c.txt"]
    await pilot.press("escape")
    assert isinstance(app.screen, TrainScreen) and form.typed == {}
    await picker(pilot)
    await pilot.press("enter")
    await until(pilot, lambda: form["corpus"].typed == (str(folder / "a b.txt"),))

    screen = await picker(pilot)
    await pilot.press("backspace")
    await until(pilot, lambda: screen.folder == tmp_path and "books/" in names(screen))
    assert screen.query_one(EntryTable).current.shown == "books/", "where one came from"
    monkeypatch.setenv("HOME", str(folder))
    await pilot.press("~")
    await until(pilot, lambda: screen.folder == folder and "c.txt" in names(screen))
    await pilot.press("q")
    await opened(pilot, TrainScreen)
    assert os.getcwd() == str(folder)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
def test_picking_folders_and_several_files(tmp_path, monkeypatch, size):
    """t takes a folder, Space marks over several folders, a name is found as it is typed."""
    odd = "odd [red]\x1b[31m\n\udcff.txt"
    for name in ("one/a.txt", "two/b.txt", "table.csv", "photo.png", "texts.zip", odd):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"salt\n" * 300)
    monkeypatch.chdir(tmp_path)

    async def scenario(app, pilot):
        await pilot.press("2")
        corpus = (await opened(pilot, TrainScreen)).query_one(TrainForm)["corpus"]
        screen = await picker(pilot)
        text = await shown(pilot, "texts.zip", "1.5 kB", "archive", "picture", "t takes either")
        assert "Esc" in text and "takes this folder" in text and "\x1b" not in text
        assert names(screen)[:3] == ["one/", "two/", "odd [red][31m \ufffd.txt"]
        await pilot.press("t")
        await until(pilot, lambda: corpus.typed == (str(tmp_path / "one"),))

        screen = await picker(pilot)
        assert screen.folder == tmp_path / "one", "it begins at what stands in the field"
        await pilot.press("space", "backspace")
        await until(pilot, lambda: "table.csv" in names(screen))
        await pilot.press("j", "j", "space")  # the odd one
        await shown(pilot, "2 marked: t takes them")
        await pilot.press("slash", *"TABLE", "enter")
        assert names(screen) == ["table.csv"]
        await pilot.press("space", "escape")
        assert len(names(screen)) > 1 and isinstance(app.screen, FilesScreen)
        await pilot.press("enter")
        wanted = tuple(str(tmp_path / name) for name in ("one/a.txt", odd, "table.csv"))
        await until(pilot, lambda: corpus.typed == wanted)

        screen = await picker(pilot)
        await pilot.press("full_stop")
        await until(pilot, lambda: corpus.typed == (str(tmp_path / "one"),))
        screen = await picker(pilot)
        await pilot.press("escape")
        await opened(pilot, TrainScreen)

    use(scenario, size)


@pytest.mark.slow
@piloted()
async def test_a_folder_that_cannot_be_looked_into(app, pilot, tmp_path, monkeypatch):
    """Is said below the list; the way up is open."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path)
    await pilot.press("2")
    await opened(pilot, TrainScreen)
    screen = await picker(pilot)
    (tmp_path / "gone").rmdir()
    await pilot.press("enter")
    await shown(pilot, "cannot look into", "such file")
    await pilot.press("backspace")
    await until(pilot, lambda: screen.folder == tmp_path)


HOSTILE_PATHS = ["~nobody-of-this-name/x", "x" * 300, "/" + "y/" * 3000, "a\0b", "loop/x"]


@pytest.mark.everyday(1)
@pytest.mark.everyday(2)
@pytest.mark.parametrize("typed", HOSTILE_PATHS)
@piloted()
async def test_a_path_that_cannot_be_looked_at_is_told_below_the_form(
    app, pilot, home, tmp_path, monkeypatch, typed
):
    """The dashboard lives, says what is wrong, and starts nothing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    await pilot.press("2")
    screen = await opened(pilot, TrainScreen)
    screen.query_one(TrainForm)["corpus"].query_one(Input).value = shlex.quote(typed)
    await until(pilot, lambda: screen.query_one("#problem").display)
    await pilot.press("ctrl+r")
    await told(pilot, "Ctrl-O picks one")
    assert app.screen is screen
    assert not (home / "runs").exists()


@pytest.mark.everyday(1)
@pytest.mark.parametrize("typed", ["~nobody-of-this-name/x", "x" * 300, "a\0b"])
@piloted()
async def test_an_export_to_such_a_path_is_refused_where_it_is_typed(app, pilot, model, typed):
    """The question stays open with the reason, and nothing dies."""
    await pilot.press("e")
    question = await opened(pilot, ExportDialog)
    question.query_one(Input).value = typed
    await until(pilot, lambda: question.query_one(".note").has_class("-error"))
    await pilot.press("enter")
    assert app.screen is question


@pytest.mark.slow
@piloted()
async def test_a_current_folder_that_is_gone_is_no_obstacle(
    app, pilot, model, tmp_path, monkeypatch
):
    """Picking a text begins at home, exporting proposes a folder there."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    await pilot.press("e")
    assert (await opened(pilot, ExportDialog)).query_one(Input).value == os.path.expanduser(
        "~/book"
    )
    await pilot.press("escape", "2", "ctrl+o")
    await opened(pilot, FilesScreen)


@pytest.mark.parametrize("line", ["a\0b", "x" * 300, "~nobody-of-this-name/", "file://[bad/x"])
def test_suggestions_and_drops_survive_any_line(line):
    """What names no file is neither completed nor dropped."""
    assert asyncio.run(PathSuggester().get_suggestion(line)) is None
    assert dropped_paths(line) == ""
