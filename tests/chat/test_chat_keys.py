"""Keys while a reply streams: a slow false model in a real pseudo-terminal, and keys pressed."""

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pexpect
import psutil
import pyte
import pytest
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.input.typeahead import get_typeahead
from terminal import DEADLINE, Terminal

from tuillm.chat.terminal import reply_keys as keys_module
from tuillm.chat.terminal.reply_keys import Change, ReplyKeys
from tuillm.config import SamplingConfig

PROGRAM = r"""
import itertools, json, sys, time
from prompt_toolkit import PromptSession
from prompt_toolkit.styles import Style
from tuillm.chat.terminal.reply_keys import ReplyKeys
from tuillm.chat.terminal.status_line import StatusLine
from tuillm.chat.terminal.reply_stream import ReplyStream
from tuillm.config import SamplingConfig

prompt, style = PromptSession(), Style([])

def reply(broken):
    output, depth = prompt.app.output, prompt.app.color_depth
    facts, changes = {"idle": 0, "state": "streaming"}, []
    status = StatusLine(output, style, depth, lambda columns: [("", json.dumps(facts))])
    def idle():
        facts["idle"] += 1
        stream.refresh()
    with (ReplyStream(output, style, depth, status) as stream,
          ReplyKeys(prompt.app.input, SamplingConfig(), stream.aside) as keys):
        for count in itertools.count():
            time.sleep(0.004)  # a slow model
            stream.write(f"word{count} ")
            cpu, clock = time.process_time(), time.perf_counter()
            for name, value in keys.events(idle):
                changes.append([name, value])
                facts[name] = value
                facts["typed"] = keys.typed
                if name == "paused":
                    facts["state"] = "paused" if value else "streaming"
            if time.perf_counter() - clock > 0.1:
                facts["busy"] = (time.process_time() - cpu) / (time.perf_counter() - clock)
            if keys.stopped:
                break
            if broken and count == 20:
                raise SystemExit("broken reply")
    print("DONE", json.dumps({"count": count + 1, "changes": changes, **facts}))

while True:
    try:
        line = prompt.prompt("> ")
    except EOFError:
        break
    print(f"LINE {line!r}")
    if line in ("go", "break"):
        reply(line == "break")
"""


class Program(Terminal):
    """Runs the program above, or a shell that can, on a terminal."""

    def __init__(self, program, arguments, columns=100, lines=24):
        self.screen = pyte.HistoryScreen(columns, lines, history=2000)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        environment = os.environ | {"TERM": "xterm-256color", "PROGRAM": PROGRAM}
        self._child = pexpect.spawn(
            program, arguments, dimensions=(lines, columns), env=environment, timeout=DEADLINE
        )
        self._child.delaybeforesend = None

    def result(self):
        """What the reply came to."""
        self.wait(lambda text: "DONE {" in text and text.rstrip().endswith(">"))
        lines = self.text.replace("\n", "").split("DONE ")[-1]
        return json.JSONDecoder().raw_decode(lines)[0]


@pytest.fixture
def program():
    """The program with a reply streaming; closed at the end."""
    opened = Program(sys.executable, ["-c", PROGRAM])
    opened.wait(">")
    opened.type("go")
    opened.wait("word9")
    yield opened
    opened.close()


def words(text):
    """The numbers of the words on the screen."""
    return [int(word[4:]) for word in text.split() if word.startswith("word")]


def test_arrows_steer_and_escape_stops(program):
    """Each arrow is one change, seen at once below the text; what was said stays, whole."""
    program.press("\x1b[A\x1b[A\x1b[B\x1bOA")
    program.wait('"temperature": 0.9')
    program.press("\x1b[D\x1b[D\x1b[C\x1b[C\x1b[C")
    program.wait('"top_k": 500')
    program.press("\x1b")
    result = program.result()
    assert result["changes"] == [
        ["temperature", 0.85],
        ["temperature", 0.9],
        ["temperature", 0.85],
        ["temperature", 0.9],
        ["top_k", 100],
        ["top_k", 50],
        ["top_k", 100],
        ["top_k", 200],
        ["top_k", 500],
    ]
    assert words(program.text) == list(range(result["count"]))
    assert "streaming" not in program.text.split("DONE")[0], "the status line has gone"


def test_space_pauses_without_work_and_goes_on(program):
    """Paused, nothing comes and next to no time is used; settings change all the same."""
    program.press(" ")
    before = words(program.wait('"paused"'))[-1]
    program.press("\x1b[A")
    program.wait('"temperature": 0.85')
    assert words(program.wait('"idle": 4'))[-1] == before
    program.press(" ")
    program.wait(lambda text: words(text)[-1] > before + 10)
    program.interrupt()
    result = program.result()
    assert result["changes"] == [["paused", True], ["temperature", 0.85], ["paused", False]]
    assert result["busy"] < 0.2
    assert words(program.text) == list(range(result["count"]))


def test_ctrl_c_stops_a_paused_reply_and_is_not_shown(program):
    """Ctrl-C is heard in a pause too; no ^C and nothing else of the keyboard is on the screen."""
    program.press(" ")
    program.wait('"paused"')
    program.interrupt()
    assert program.result()["changes"] == [["paused", True]]
    assert "^" not in program.text
    program.press("still here\r")
    program.wait("LINE 'still here'")


def test_what_is_typed_ahead_is_the_next_input(program):
    """Lines typed while the reply streams are not shown in it, and not lost: spaces, corrections,
    letters of any script, a paste of several lines, a half line that waits for its end."""
    program.press("hello  wrod\x7f\x7f\x7forld, сәлем\r\x1b[200~one\rtwo \x1b[201~\rhalf a l")
    before = words(program.text)[-1]
    screen = program.wait(lambda text: words(text)[-1] > before + 40)
    assert "hello" not in screen and "one" not in screen
    program.press("\x03")
    screen = program.wait("> half a l")
    assert "LINE 'hello  world, сәлем'" in screen and "LINE 'one\\ntwo '" in screen
    program.press("ine\r")
    program.wait("LINE 'half a line'")


def test_signals_from_outside_stop_the_reply_or_end_the_program_cleanly(program):
    """SIGINT is Ctrl-C; SIGTERM leaves the terminal as it was, without figures on it."""
    os.kill(program.pid, signal.SIGINT)
    program.result()
    program.type("go")
    program.wait(lambda text: "word9" in text.split("DONE")[-1])
    os.kill(program.pid, signal.SIGTERM)
    assert program.wait_end() == 128 + signal.SIGTERM
    assert "streaming" not in program.text.split("DONE")[-1].split("}", 1)[-1]


@pytest.mark.parametrize("end", ["break", "kill"])
def test_the_terminal_is_given_back_whatever_happens(end):
    """An error in the middle of a reply, or SIGTERM: echo and lines are as before."""
    run = f'stty -a; "{sys.executable}" -c "$PROGRAM"; stty -a; echo END'
    shell = Program("/bin/sh", ["-c", run])
    shell.wait(lambda text: ">" in text.partition("-extproc")[2])  # "<undef>" has one, too
    shell.type("break" if end == "break" else "go")
    shell.wait("word9")
    if end == "kill":
        psutil.Process(shell.pid).children()[0].terminate()
    shell.wait("END")
    before, after = re.findall(r"speed.*?-extproc", shell.raw.decode(), re.DOTALL)
    assert before == after and {"echo", "icanon", "isig"} <= set(after.split())
    shell.close()


def test_ctrl_z_suspends_and_the_reply_goes_on_afterwards():
    """The job stops with a clean terminal, as any other; `fg` continues it in the middle."""
    shell = Program("/bin/bash", ["--norc", "--noprofile", "-i"])
    shell.press("PS1='$ '\r")
    shell.press(f'{sys.executable} -c "$PROGRAM"\r')
    shell.wait("\n>")
    shell.type("go")
    shell.wait("word40")
    shell.press("\x1a")
    assert "streaming" not in shell.wait("Stopped")
    shell.type("echo i am $((40+2))")
    shell.wait("i am 42")
    shell.type("fg")
    shell.wait("word99")
    shell.press("\x1b")
    result = shell.result()
    assert words(shell.text) == list(range(result["count"]))
    shell.close()


class Listening(ReplyKeys):
    """Keys that come out of a `pipe`, and are asked for `at` a time."""

    at: Callable[..., list[Change]]
    pipe: PipeInput


@pytest.fixture
def listening(monkeypatch):
    """Keys from a pipe, at a time the test sets: `at(seconds, bytes)` sends and asks."""
    with create_pipe_input() as pipe:
        now = [100.0]
        monkeypatch.setattr(
            keys_module,
            "time",
            SimpleNamespace(perf_counter=lambda: now[0], sleep=lambda seconds: None),
        )
        keys = Listening(pipe, SamplingConfig())

        def at(seconds, sent=b""):
            now[0] += seconds
            if sent:
                pipe.send_bytes(sent)
            return list(keys.events())

        keys.at, keys.pipe = at, pipe
        yield keys


def test_escape_alone_is_told_from_the_beginning_of_an_arrow(listening):
    """Half a sequence waits for its other half; alone for a tenth of a second it is the key."""
    with listening as keys:
        keys.at(0.03)
        assert keys.at(0.03, b"x\x1b") == []
        assert keys.at(0.05, b"[A") == [Change("temperature", 0.85)] and not keys.stopped
        assert keys.at(0.03, b"\x1b[1;5") == [] and not keys.stopped
        keys.at(0.03, b"y\x1b")
        assert not keys.stopped
        assert keys.at(0.11) == [] and keys.stopped


def test_escape_with_a_key_in_the_same_moment_is_alt(listening):
    """Alt-Enter is typed ahead; after a long token Esc and a key are Esc, and a key."""
    with listening as keys:
        keys.at(0.03)
        keys.at(0.03, b"a\x1b\rb\x1b ")
        assert not keys.stopped and not keys.paused
        keys.at(1.5, b"\x1bh")
        assert keys.stopped
    kept = [press.data for press in get_typeahead(keys.pipe)]
    assert kept == ["a", "\x1b", "\r", "b", "\x1b", " ", "h"]


def test_space_belongs_to_what_is_being_typed_and_enter_ends_the_pause(listening):
    """Once something is typed ahead a space is a space; a line sent off lets the reply go on."""
    with listening as keys:
        listening.pipe.send_bytes(b" hi yo\x1b[Au\r")
        assert keys.at(0.03) == [
            Change("paused", True),
            Change("temperature", 0.85),
            Change("paused", False),
        ]
        assert keys.typed == "hi you"


def test_settings_stay_within_what_is_allowed(listening):
    """Temperature ends at 0, top_k at 1 and at all; what lies between steps finds the next one."""
    with listening as keys:
        for _ in range(20):
            down = keys.at(0.03, b"\x1b[B\x1b[D")
        assert down == []
        assert keys.at(0.03, b"\x1b[C" * 12)[-1] == ("top_k", 0)
        assert keys.at(0.03, b"\x1b[D") == [("top_k", 500)]
    with ReplyKeys(keys.pipe, SamplingConfig(temperature=9.97, top_k=150)) as other:
        keys.pipe.send_bytes(b"\x1b[A\x1b[C\x1b[D\x1b[D")
        assert [change.value for change in other.events()] == [200, 100, 50]


def test_the_end_of_a_reply_takes_its_own_keys_and_leaves_the_rest(listening):
    """An arrow or Esc pressed at the last moment does not become input; a letter does."""
    with listening as keys:
        keys.at(0.03)
        keys.pipe.send_bytes(b"\x1b[A\x1b[10;1Rz\x1b")
    assert [press.data for press in get_typeahead(keys.pipe)] == ["z"]
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_asking_for_keys_costs_next_to_nothing(monkeypatch):
    """Between two tokens there is no time to lose: well under 20 µs, even when it looks."""
    from time import perf_counter

    monkeypatch.setattr(keys_module, "_OFTEN", 0)
    with create_pipe_input() as pipe, ReplyKeys(pipe, SamplingConfig()) as keys:
        rounds = []
        for _ in range(20):
            begin = perf_counter()
            for _ in range(100):
                list(keys.events())
            rounds.append((perf_counter() - begin) / 100)
    assert min(rounds) < 20e-6
