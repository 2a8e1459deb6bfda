"""Watching a run on a real terminal: the live view, Ctrl-C once and twice, attaching again."""

import time

import pytest

from tuillm.store.run_folder import get_run


def until(condition, seconds=60.0):
    """Wait for a condition, or fail."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.fixture
def long_run(terminal, book):
    """A training that would take minutes, watched live and past its first steps."""
    opened = terminal("train", book, "--preset", "nano", "--minutes", "5")
    opened.wait(lambda text: "running" in text and "tokens/s" in text and "┤" in text)
    yield opened
    run = get_run("book-1")
    run.request("stop")
    until(lambda: run.status().state not in ("preparing", "running", "paused"))


@pytest.mark.slow
def test_the_live_view_shows_curve_figures_and_sample(terminal, book):
    """On a terminal one sees the curve, the figures, the progress and a sample, then the end."""
    opened = terminal("train", book, "--preset", "nano")
    opened.wait("tuillm chat book")
    screen = opened.text
    for words in (
        "book-1",
        "parameters",
        "train loss",
        "validation loss",
        "bits/byte",
        "tokens/s",
        "100%",
        "finished after 80 steps",
    ):
        assert words in screen, words
    assert any(0x2800 < ord(character) <= 0x28FF for character in screen), "no curve"
    assert opened.wait_end() == 0


def test_ctrl_c_once_stops_saves_and_publishes(long_run):
    """One Ctrl-C ends the run at a step boundary, with its model in the registry."""
    long_run.interrupt()
    long_run.wait("Ctrl-C again leaves the run")
    long_run.wait("tuillm chat book")
    assert long_run.wait_end() == 0
    status = get_run("book-1").status()
    assert (status.state, status.model) == ("stopped", "book")


@pytest.mark.slow
def test_ctrl_c_twice_leaves_the_run_going(long_run, terminal):
    """Two Ctrl-C leave; the run goes on, and `runs attach` shows it again."""
    long_run.interrupt()
    long_run.wait("Ctrl-C again leaves the run")
    long_run.interrupt()
    long_run.wait("tuillm runs attach book-1")
    assert long_run.wait_end() == 0
    run = get_run("book-1")
    before = run.status().step
    until(lambda: run.status().step > before)
    assert run.status().state == "running"
    again = terminal("runs", "attach", "book-1")
    again.wait(lambda text: "running" in text and "┤" in text)


@pytest.mark.slow
def test_pause_resume_and_stop_from_another_terminal(long_run):
    """`tuillm runs pause | resume | stop` steer a run that another terminal watches."""
    from cli.test_cli_verbs import tuillm

    run = get_run("book-1")
    assert tuillm("runs", "pause", "book-1").returncode == 0
    until(lambda: run.status().state == "paused")
    long_run.wait("paused")
    step = run.status().step
    assert "still going" in tuillm("runs", "rm", "book-1").stderr
    assert tuillm("runs", "resume", "book-1").returncode == 0
    until(lambda: run.status().step > step)
    assert tuillm("runs", "stop", "book-1").returncode == 0
    long_run.wait("stopped after")
    assert "book" in tuillm("runs").stdout
    assert tuillm("runs", "rm", "book-1").returncode == 0
    assert "No runs yet" in tuillm("runs").stdout
    run.path.mkdir()  # for the fixture, which asks the run to stop
