"""SIGTERM and SIGHUP: whatever the program has taken of the terminal goes back, and the exit code
tells the signal.

A shell that comes back must find a terminal that shows what is typed, the usual screen, the cursor
and no mouse. Runs that go on without a window still do.
"""

import os
import signal
import subprocess
import sys
import time

import pytest

from tuillm.store.run_folder import get_run

SIGNALS = pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, signal.SIGHUP, pytest.param(signal.SIGQUIT, marks=pytest.mark.slow)],
    ids=str,
)
# other screen, cursor, mouse, pastes: what is switched on must be switched off, and the cursor on
MODES = (
    (b"?1049h", b"?1049l"),
    (b"?25l", b"?25h"),
    (b"?1000h", b"?1000l"),
    (b"?2004h", b"?2004l"),
    (b"?1004h", b"?1004l"),
)


def ends(screen, number):
    """Send a signal and see that the terminal is given back."""
    os.kill(screen.pid, number)
    given_back(screen, number)


def given_back(screen, number):
    """Wait for the end; the exit code and the terminal are as they should be."""
    end = time.monotonic() + 30
    while screen.alive:
        assert time.monotonic() < end, screen.text
        screen.settle(0.02)
    screen.settle()
    cooked = screen.cooked
    code = screen.wait_end()
    assert code == 128 + number or screen.signal == number, (code, screen.signal, screen.text)
    assert cooked, "the terminal does not show what is typed"
    for on, off in MODES:
        assert on not in screen.raw or screen.raw.rfind(off) > screen.raw.rfind(on), on
    assert "Traceback" not in screen.text and "Exception" not in screen.text, screen.text


@pytest.fixture
def stopped():
    """Runs that go on are stopped when the test is over."""
    yield
    run = get_run("book-1")
    run.request("stop")
    while run.status().state in ("preparing", "running", "paused"):
        time.sleep(0.02)


@pytest.mark.slow
@SIGNALS
def test_the_dashboard(terminal, model, number):
    """Its other screen, its mouse and its raw keys."""
    screen = terminal("dashboard")
    screen.wait(lambda _: "book" in screen.picture)
    ends(screen, number)


@pytest.mark.slow
@pytest.mark.parametrize(
    "keys", ["r", "2", "\x10", "3"], ids=["a question", "form", "palette", "runs"]
)
def test_the_dashboard_anywhere(terminal, model, keys):
    """With a question open, in the form, in the palette."""
    screen = terminal("dashboard")
    screen.wait(lambda _: "book" in screen.picture)
    screen.press(keys)
    screen.settle(0.3)
    ends(screen, signal.SIGTERM)


@pytest.mark.slow
@SIGNALS
def test_the_dashboard_with_a_chat_in_front(terminal, model, number):
    """The chat ends, and the dashboard behind it."""
    screen = terminal("dashboard")
    screen.wait(lambda _: "book" in screen.picture)
    screen.press("c")
    screen.wait("continues your text")
    screen.wait(lambda _: "›" in screen.picture and "top_k" in screen.picture)
    ends(screen, number)


@pytest.mark.slow
@SIGNALS
def test_the_prompt_of_a_chat(terminal, model, number):
    """While one types, and the model has or has not loaded."""
    for words in ("", "top_k"):
        screen = terminal("chat", "book")
        screen.wait("\n›")
        if words:
            screen.wait(lambda text: "top_k" in text and "  loading" not in text)
        screen.press("some words")
        screen.settle()
        ends(screen, number)


@pytest.mark.slow
@SIGNALS
def test_a_chat_that_waits_for_its_model(terminal, model, number):
    """A line was sent before the model was there."""
    screen = terminal("chat", "book")
    screen.wait("\n›")
    screen.type("Marda said")
    ends(screen, number)


@pytest.mark.slow
@SIGNALS
def test_a_reply_that_streams(terminal, model, number):
    """In the middle of a long reply; the conversation is kept."""
    screen = terminal("chat", "book", "-n", "100000")
    screen.wait("\n›")
    screen.type("Marda said")
    screen.wait("tok/s")
    ends(screen, number)


@pytest.mark.slow
@SIGNALS
def test_the_live_view_of_a_training(terminal, book, stopped, number):
    """The view ends, the run goes on, and it is said."""
    screen = terminal("train", book, "--preset", "nano", "--minutes", "5")
    screen.wait(lambda text: "running" in text and "┤" in text)
    ends(screen, number)
    assert "goes on in the background" in " ".join(screen.text.split())
    assert get_run("book-1").status().state == "running"


@pytest.mark.slow
@SIGNALS
def test_models_side_by_side(terminal, model, number):
    """Columns that grow on the other screen."""
    screen = terminal("compare", "book", "book", "-n", "100000")
    screen.wait(lambda _: "Esc or Ctrl-C stops" in screen.picture)
    ends(screen, number)


@pytest.mark.slow
@SIGNALS
def test_the_progress_of_an_eval(terminal, model, tmp_path, book_text, number):
    """The line that is drawn anew is taken away."""
    (tmp_path / "long.txt").write_text(book_text * 40)
    screen = terminal("eval", "book", tmp_path / "long.txt", "--stride", "1")
    screen.wait("%, ")
    ends(screen, number)
    assert "left" not in screen.picture


@pytest.mark.slow
def test_a_question_and_a_text(terminal, model):
    """`rm` waits for an answer, `generate` writes on and on."""
    screen = terminal("rm", "book")
    screen.wait("Remove book (")
    ends(screen, signal.SIGTERM)
    screen = terminal("generate", "book", "-n", "100000")
    screen.wait(lambda text: len(text) > 200)
    ends(screen, signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [["dashboard"], ["chat", "book"], ["chat", "book", "-n", "100000"]]
)
def test_a_window_that_is_closed(terminal, model, arguments):
    """The terminal is gone when the program wants to give it back: it ends all the same."""
    screen = terminal(*arguments)
    screen.wait(
        lambda _: (
            "book" in screen.picture
            and "›" in screen.text + screen.picture
            or (arguments == ["dashboard"] and "book" in screen.picture)
        )
    )
    if len(arguments) > 2:
        screen.type("Marda said")
        screen.wait("tok/s")
    screen.hang_up()


_KILLED = """
import os, signal, sys
import tuillm.cli.models as listing
from tuillm.cli.main import main

number = int(sys.argv.pop())
if "ignored" in sys.argv:
    sys.argv.remove("ignored")
    signal.signal(number, signal.SIG_IGN)
listing.registry.list_models = lambda: os.kill(os.getpid(), number) or []
main()
"""


@SIGNALS
def test_a_signal_is_an_exit_code(number):
    """Without anything to give back, too; one that is ignored, as by nohup, stays so."""
    for words, code in (([], 128 + number), (["ignored"], 0)):
        done = subprocess.run(
            [sys.executable, "-c", _KILLED, "list", *words, str(int(number))],
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (code, "")


def test_a_file_is_saved_before_the_program_ends(tmp_path):
    """SIGTERM in the middle of saving comes when that is done."""
    from tuillm.store.defer_signals import uninterrupted
    from tuillm.terminal.ending import leave

    before = signal.signal(signal.SIGTERM, leave)
    saved = []
    try:
        with pytest.raises(SystemExit) as ended, uninterrupted():
            os.kill(os.getpid(), signal.SIGTERM)
            saved.append(True)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert saved and ended.value.code == 143


_ASLEEP = """
import signal, threading
from tuillm.terminal.ending import end_on_signals

end_on_signals()
threading.Thread(target=threading.Event().wait, daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, {int})
input("ready ")
"""


@SIGNALS
def test_a_signal_that_interrupts_no_waiting_ends_it_all_the_same(number):
    """One that comes right before the program waits, or to another thread, is not slept over."""
    child = subprocess.Popen(
        [sys.executable, "-c", _ASLEEP.replace("int", str(int(number)))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout.read(6) == b"ready "
    child.send_signal(number)
    assert child.wait(30) == 128 + number
    child.stdin.close()
    child.stdout.close()
