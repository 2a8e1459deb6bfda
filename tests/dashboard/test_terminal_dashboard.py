"""The dashboard in a real pseudo-terminal, with real workers and the real chat beside it."""

import os
import pty
import re
import shutil
import subprocess
import sys
from typing import Any

import psutil
import pytest
from dashboard.furnished import furnish

from tuillm.store.jsonl import read_rows
from tuillm.store.registry import list_models
from tuillm.store.run_folder import get_run, metric_rows


def steps(run):
    """How many rows of metrics a run has."""
    return len(read_rows(run.metrics)[0])


def goes_on(terminal, run):
    """Wait until a run has taken further steps."""
    before = steps(run)
    terminal.wait(lambda _: steps(run) > before)


def reached(terminal, run, *states):
    """Wait until a run's folder says one of some states; return its status."""
    terminal.wait(lambda _: run.status().state in states)
    return run.status()


def shows(terminal, *texts):
    """Wait until all texts are on the screen, not above it; return the screen."""
    terminal.wait(lambda _: all(text in terminal.picture for text in texts))
    return terminal.picture


def prompted(terminal):
    """Whether the chat waits for a line: an empty prompt just above its toolbar."""
    lines = [line for line in terminal.picture.splitlines() if line.strip()]
    return lines[-2].strip() == "›" and "tokens/s" in lines[-1]


def written(run):
    """The steps of a run's metrics, in their order; without a gap it is 1, 2, 3 ..."""
    return [row["step"] for row in read_rows(run.metrics)[0]]


@pytest.fixture
def dashboard(terminal):
    """A function that opens `tuillm dashboard` and waits for its first look at the disk."""

    def open_dashboard(wait_for="Palette", **options):
        opened = terminal("dashboard", **options)
        shows(opened, wait_for)
        return opened

    return open_dashboard


def test_keys_typed_while_the_form_opens_are_not_lost(dashboard, book):
    """They stand in its first field, in their order, although that was not there yet."""
    screen = dashboard("No models yet", columns=120, lines=40)
    screen.press(f"2{book}")
    shows(screen, "1  Which text?", str(book)[-30:])


@pytest.mark.slow
def test_chat_and_back_while_a_run_goes_on(dashboard, model, trained_folders, home, start):
    """Chat streams, Ctrl-C stops only the reply, Ctrl-D leads back to the same model.

    A key that is typed before the dashboard is back does nothing there.
    """
    shutil.copytree(trained_folders["char"], home / "models" / "letters")
    run = start(name="other")
    screen = dashboard("(bpe)", columns=120, lines=40)
    screen.press("G")
    shows(screen, "(char)", "other-1")
    screen.press("c")
    shows(screen, "letters continues your text")
    screen.type("/set max_new_tokens 1000000")
    screen.wait("max_new_tokens is")
    before = len(screen.raw)
    screen.type("Tib")
    screen.wait(lambda _: len(screen.raw) > before + 4000)
    screen.interrupt()
    screen.wait(lambda _: prompted(screen))
    screen.press("\x04d")
    shows(screen, "Palette", "(char)")
    goes_on(screen, run)
    assert "Delete letters?" not in screen.picture
    assert run.status().state == "running" and psutil.pid_exists(screen.pid)
    screen.press("q")
    assert screen.wait_end() == 0
    assert run.status().state == "running"


@pytest.mark.slow
def test_a_killed_dashboard_leaves_the_run_steerable(dashboard, book):
    """Started from the form, the run outlives SIGKILL; the next dashboard pauses and stops it."""
    screen = dashboard("No models yet")
    screen.press("t")
    shows(screen, "corpus")
    screen.press(str(book))
    shows(screen, "book.txt")
    screen.press("\x12")  # Ctrl-R
    shows(screen, "book-1", "running", "train loss")
    run = get_run("book-1")
    screen.kill()
    assert run.status().state == "running"
    again = dashboard("book-1")
    goes_on(again, run)
    again.press("3")
    shows(again, "running")
    again.press("p")
    paused = reached(again, run, "paused").step
    shows(again, "paused")
    again.press("\r")
    shows(again, "train loss", "paused")
    again.press("p")
    reached(again, run, "running")
    again.wait(lambda _: steps(run) > paused)
    shows(again, "running")
    again.press("x")
    stopped = reached(again, run, "stopped")
    shows(again, "stopped", "model book")
    assert stopped.model == "book" and [each.name for each in list_models()] == ["book"]
    assert written(run) == list(range(1, stopped.step + 1))


@pytest.mark.slow
def test_a_closed_window_ends_the_dashboard_and_not_the_run(dashboard, start):
    """SIGHUP ends the dashboard quietly, and training goes on."""
    run = start()
    screen = dashboard("book-1")
    screen.hang_up()
    again = dashboard("book-1")
    goes_on(again, run)
    taken = written(run)
    assert taken == list(range(1, len(taken) + 1))


@pytest.mark.slow
def test_a_lost_run_is_seen_and_resumed(dashboard, start):
    """A worker killed while one looks at its run: `lost` within 15 s, and R goes on to the end."""
    run = start(max_steps=300)
    run.request("pause")  # which saves a checkpoint after the first steps
    screen = dashboard("paused")
    screen.press("3\r")
    shows(screen, "‖ paused")
    saved = run.status().step
    screen.press("p")
    screen.wait(lambda _: steps(run) > saved)
    psutil.Process(run.status().pid).kill()
    screen.wait(lambda _: "? lost" in screen.picture and "R resumes it" in screen.picture, 15)
    assert run.status().state == "lost"
    screen.press("R")
    assert reached(screen, run, "finished").step == 300
    shows(screen, "✓ finished", "model book")
    assert [row["step"] for row in metric_rows(run)] == list(range(1, 301))


@pytest.mark.slow
def test_plain_tuillm_opens_the_dashboard(terminal):
    """On a terminal that is; q leaves it as it was found: screen, cursor, mouse and typing."""
    screen = terminal()
    shows(screen, "No models yet")
    assert b"\x1b[?1049h" in screen.raw and not screen.cooked
    screen.press("q")
    assert screen.wait_end() == 0
    for switched_on, switched_off in (
        (b"?1049h", b"?1049l"),
        (b"?25l", b"?25h"),
        (b"?1000h", b"?1000l"),
        (b"?2004h", b"?2004l"),
    ):
        assert screen.raw.rfind(switched_off) > screen.raw.rfind(switched_on) > 0


@pytest.mark.slow
def test_plain_tuillm_without_a_terminal_prints_help():
    """In a pipe it says what there is, as --help does."""
    bare, helped = (
        subprocess.run(
            [sys.executable, "-m", "tuillm", *words],
            text=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
        )
        for words in ([], ["--help"])
    )
    assert bare.returncode == 0 and bare.stdout == helped.stdout and "Commands:" in bare.stdout
    assert not bare.stderr


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["stdin", "stdout", "stderr"])
def test_the_dashboard_wants_a_terminal(missing):
    """One line and exit code 2 when any of the three streams is no terminal."""
    master, slave = pty.openpty()
    streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), slave) | {
        missing: subprocess.PIPE
    }
    command = [sys.executable, "-m", "tuillm", "dashboard"]
    done: subprocess.Popen[bytes] = subprocess.Popen(command, text=False, **streams)
    output, errors = done.communicate(timeout=60)
    os.close(slave)
    if missing != "stderr":
        errors = os.read(master, 4096)
    os.close(master)
    line = "tuillm: the dashboard needs a terminal (tuillm list, tuillm runs)"
    assert done.returncode == 2 and errors.decode().strip() == line and not output


@pytest.mark.slow
def test_a_failure_is_one_line_and_written_down(terminal, home):
    """What breaks the dashboard is told in a line without a traceback; the log has the rest."""
    screen = terminal("dashboard", environment={"TEXTUAL_DRIVER": "no_such_driver"})
    assert screen.wait_end() == 1
    told = " ".join(screen.picture.split())
    assert told.startswith("tuillm: the dashboard failed: ") and "Traceback" not in told
    assert "dashboard.log" in told.replace(" ", "")
    log = (home / "dashboard.log").read_text()
    assert log.startswith("Traceback") and "no_such_driver" in log


@pytest.mark.slow
def test_a_home_that_goes_away_does_not_end_the_dashboard(dashboard, home):
    """The data directory taken away under it: an empty registry, and no word of Python."""
    furnish(home)
    screen = dashboard("tang-poems")
    screen.press("3\r")
    shows(screen, "train loss")
    shutil.rmtree(home)
    screen.press("1")
    shows(screen, "No models yet")
    screen.press("3")
    shows(screen, "No runs yet")
    screen.press("q")
    assert screen.wait_end() == 0 and "Traceback" not in screen.text


@pytest.mark.slow
@pytest.mark.parametrize("place", ["a file", "a place where nothing can be made"])
def test_a_home_that_cannot_be_written_is_named_when_it_matters(dashboard, tmp_path, place):
    """An impossible TUILLM_HOME shows nothing to choose, and the first start says why."""
    (tmp_path / "file").write_text("")
    home = {"a file": str(tmp_path / "file")}.get(place, "/proc/tuillm")
    screen = dashboard("No models yet", environment={"TUILLM_HOME": home})
    screen.press("d")
    shows(screen, "cannot write to")
    screen.press("q")
    assert screen.wait_end() == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [{"TERM": "xterm"}, {"COLORTERM": "truecolor", "NO_COLOR": "1"}],
    ids=["16 colours", "none"],
)
def test_the_run_view_in_few_colours(dashboard, home, environment):
    """Curves, marks and states are there with 16 colours, and in shades of grey for NO_COLOR."""
    furnish(home)
    screen = dashboard("tang-poems", columns=120, lines=40, environment=environment)
    screen.press("3\r")
    picture = shows(screen, "train loss", "★ best", "✓ finished")
    assert re.search("[\u2801-\u28ff]", picture)
    more = re.findall(rb"[34]8;(?:5;\d+|2;(\d+);(\d+);(\d+))", screen.raw)
    assert all(red == green == blue for red, green, blue in more)
    assert bool(more) == ("NO_COLOR" in environment)
    assert re.search(rb"\x1b\[(?:\d+;)*(?:[39][1-6])[m;]", screen.raw) or more
    screen.press("q")
    assert screen.wait_end() == 0


@pytest.mark.slow
def test_one_panel_at_a_time(dashboard, home):
    """At 80x24 Tab turns to the next panel, drawn for the size it has; none is skipped or lost."""
    furnish(home)
    screen = dashboard("tang-poems")
    screen.press("3\r")
    shows(screen, "train loss", "c talks to it")
    screen.press("\t")
    shows(screen, "throughput")
    screen.wait(lambda _: re.search("[▁▂▃▄▅▆▇█]{70}", screen.picture))
    screen.press("\t\t")  # at once, as a key that is held down sends them
    shows(screen, "published salt-road")
    screen.press("\t")
    shows(screen, "train loss")


@pytest.mark.slow
def test_a_form_that_was_left_keeps_its_text(dashboard):
    """After Escape, digits lead to places; no question in between puts them into the field."""
    screen = dashboard("No models yet")
    screen.press("t")
    shows(screen, "corpus")
    screen.press("some book.txt")
    shows(screen, "some book.txt")
    screen.press("\x1b")
    screen.settle(0.3)  # else Escape and q are Alt-q
    screen.press("q")
    shows(screen, "filled in but not started")
    screen.press("n1")
    shows(screen, "No models yet")
    screen.press("2")
    shows(screen, "some book.txt")
    screen.press("!")
    shows(screen, "some book.txt!")
