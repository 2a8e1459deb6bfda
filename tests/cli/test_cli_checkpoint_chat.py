"""`chat NAME` while NAME is still being trained: its run's checkpoint is offered, or named."""

import subprocess
import sys

import pytest

from tuillm.store.run_folder import get_run

pytestmark = pytest.mark.slow


def tuillm(*arguments, stdin=None, check=True):
    """Run the command away from terminals."""
    return subprocess.run(
        [sys.executable, "-m", "tuillm", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        check=check,
        timeout=120,
    )


@pytest.fixture
def grow(book, terminal):
    """A function that trains a model of this name in the background, until the test is over."""
    runs = []

    def begin(name, *more):
        tuillm(
            "train",
            book,
            "--name",
            name,
            "--preset",
            "nano",
            "--tokenizer",
            "char",
            "--max-steps",
            1_000_000,
            "--eval-interval",
            20,
            "--detach",
            *more,
        )
        runs.append(get_run(f"{name}-1"))
        return runs[-1]

    yield begin
    for run in runs:
        if run.status().state in ("preparing", "running", "paused"):
            run.request("stop")
        watching = terminal("runs", "attach", run.id)
        watching.wait_end()


def test_a_model_that_is_not_there_yet(grow, terminal):
    """At a terminal the checkpoint is offered and talked to; in a pipe its command is told."""
    run = grow("young")
    opened = terminal("runs", "attach", run.id)
    opened.wait(lambda text: (run.path / "best" / "config.json").exists())
    opened.close()
    piped = tuillm("chat", "young", stdin="hello", check=False)
    assert piped.returncode == 1 and piped.stdout == "" and piped.stderr.count("\n") == 1
    assert "there is no model 'young' yet: the run young-1 is running, step " in piped.stderr
    assert "tuillm chat young-1/best" in piped.stderr
    assert tuillm("chat", "young-1/best", "-n", 5, stdin="hello").stdout.strip()
    for answer, name in (("y", "young"), ("\r", "young-1")):
        chat = terminal("chat", name, columns=120)
        chat.wait("Talk to the checkpoint? [Y/n]")
        assert (
            f"The run young-1 has no model yet (running, step {run.status().step // 1000}"
            in chat.text
            or "it has the checkpoint young-1/best" in chat.text
        )
        chat.press(answer if answer == "\r" else f"{answer}\r")
        chat.wait("young-1/best continues your text")
        chat.type("hello")
        chat.wait("tokens/s")
        chat.leave()
        assert chat.wait_end() == 0
    again = terminal("chat", "young-1/best", "--continue", columns=120)
    again.wait("young-1-best-")
    again.wait("hello")
    declined = terminal("chat", "young")
    declined.wait("[Y/n]")
    declined.type("n")
    assert declined.wait_end() == 1


def test_an_older_model_of_the_name(grow, terminal, model):
    """The older one is talked to unless the person says otherwise, and that is said."""
    run = grow(model, "--replace")
    opened = terminal("runs", "attach", run.id)
    opened.wait(lambda text: (run.path / "best" / "config.json").exists())
    opened.close()
    piped = tuillm("chat", model, "-n", 5, stdin="hello")
    assert (
        piped.stdout.strip()
        and "this is the older one; the checkpoint: tuillm chat book-1/" in piped.stderr
    )
    chat = terminal("chat", model, columns=120)
    chat.wait("Talk to the checkpoint, instead of the older model? [y/N]")
    chat.type("")
    chat.wait("\n book  ")
    chat.leave()
    assert chat.wait_end() == 0


def test_the_id_of_a_run_that_has_ended(model, book):
    """It is told which model came of it."""
    tuillm(
        "train", book, "--name", "old", "--preset", "nano", "--tokenizer", "char", "--max-steps", 2
    )
    done = tuillm("chat", "old-1", stdin="hello", check=False)
    assert done.returncode == 1 and "'old-1' is a run, and its model 'old'" in done.stderr
