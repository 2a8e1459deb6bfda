"""Streams and an environment as they should not be: other encodings, closed streams, readers that
leave, proxies and certificates that are not there. One line each, and the exit code tells the rest.
"""

import json
import os
import subprocess
import sys

import pytest
from furnished_names import NAME, named_home

TUILLM = [sys.executable, "-m", "tuillm"]


def shell(line, *, stdin="", **environment):
    """Run a line of a shell in which `tuillm` is our command."""
    script = f'tuillm() {{ "{sys.executable}" -m tuillm "$@"; }}\nset -o pipefail\n{line}'
    return subprocess.run(
        ["bash", "-c", script],
        input=stdin.encode(),
        capture_output=True,
        env=os.environ | environment,
        timeout=120,
    )


def told(done, code=1):
    """Assert that a command ended with one line on stderr; return it."""
    line = done.stderr.decode("utf-8", "replace")
    assert done.returncode == code, line
    assert line.startswith("tuillm: ") and line.count("\n") == 1, line
    return line


@pytest.fixture
def house(home):
    """Two models and a run, one of each with letters that no ASCII has in their names and cards."""
    return named_home(home)


@pytest.mark.everyday(1)
@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "utf-16"},
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=lambda each: "-".join(each.values()),
)
def test_output_of_another_encoding(house, environment):
    """What an encoding does not have is a question mark; JSON loses nothing of it."""
    encoding = {"utf-16": "utf-16", "latin-1": "latin-1"}.get(
        environment.get("PYTHONIOENCODING", ""), "utf-8"
    )
    for line in ("list", f"show {NAME}", "runs show plain-1", "train --help"):
        done = shell(f"tuillm {line}", **environment)
        assert done.returncode == 0 and not done.stderr, (line, done.stderr)
        assert done.stdout.decode(encoding)
    for line in (f"show {NAME} --json", "runs --json"):
        done = shell(f"tuillm {line}", **environment)
        values = json.loads(done.stdout.decode(encoding))
        # in the locale C file names are bytes: each reads back as the very same name
        text = json.dumps(values, ensure_ascii=False).encode("utf-8", "surrogateescape")
        assert NAME in text.decode(), line
    done = shell(f"tuillm show {NAME}x", **environment)
    assert done.returncode == 1 and b"Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
    ids=["io", "locale"],
)
def test_a_terminal_of_another_encoding(house, terminal, environment):
    """Tables, the live view and the dashboard are drawn with what there is."""
    for arguments in (["list"], ["runs", "attach", "plain-1"]):
        screen = terminal(*arguments, environment=environment)
        code = screen.wait_end()
        assert code == 0 and "Traceback" not in screen.text, screen.text
    screen = terminal("dashboard", environment=environment)
    screen.wait(lambda _: "plain" in screen.picture)
    screen.press("q")
    assert screen.wait_end() == 0


@pytest.mark.everyday(3)
@pytest.mark.parametrize(
    "line",
    [
        "list",
        "--help",
        "--version",
        "show plain --json",
        "runs",
        "generate plain -n 3",
        "rename plain other",
        "train x.txt",
    ],
)
def test_stdout_is_closed(house, line):
    """Nothing is done that nobody could hear of."""
    assert "stdout is closed" in told(shell(f"tuillm {line} >&-"))
    assert (house / "models" / "plain").exists()


def test_stderr_is_closed(house):
    """What cannot be told is still an exit code, and stdout gets nothing of it."""
    for line, code in (("show ghost", 1), ("trian", 2), ("list", 0)):
        done = shell(f"tuillm {line} 2>&-")
        assert done.returncode == code and b"tuillm:" not in done.stdout, done
    done = shell("tuillm show ghost >&- 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")


def test_stdin_is_closed(house, model):
    """A prompt cannot be read from it; everything else needs none."""
    for line in ("generate book -p -", "chat book", "compare book plain -p -"):
        assert "stdin is closed" in told(shell(f"tuillm {line} <&-"), 2)
    assert "needs a terminal" in told(shell("tuillm <&- dashboard"), 2)
    done = shell("tuillm rm book <&-")
    assert done.returncode == 0 and done.stdout == b"removed book\n"
    done = shell("tuillm list <&- >&- 2>&-")
    assert done.returncode == 1


@pytest.mark.everyday(2)
@pytest.mark.parametrize(
    "line",
    [
        "list",
        "list --json",
        "runs",
        f"show {NAME}",
        "--help",
        "train --help",
        "show plain --json",
        "runs attach plain-1",
        "runs attach plain-1 --json-lines",
        "presets",
        "--version",
    ],
)
def test_a_reader_that_leaves(house, line):
    """`| head -c 1` and `| true` end quietly, as well; so it is with stderr in the pipe."""
    for reader in ("| head -c 1", "| true", "2>&1 | true"):
        done = shell(f"tuillm {line} {reader}")
        assert done.returncode == 0 and not done.stderr, (reader, done)


@pytest.mark.everyday(2)
@pytest.mark.parametrize("line", ["list", "--help", "show plain --json", "runs"])
def test_a_full_disk_behind_stdout(house, line):
    """Where stdout cannot be written, one line says why."""
    assert "No space left" in told(shell(f"tuillm {line} >/dev/full"))


def test_an_answer_that_is_no_text(house, terminal):
    """Bytes that are no UTF-8 answer a question with no."""
    screen = terminal("rm", "plain")
    screen.wait("Remove plain")
    os.write(screen._child.child_fd, b"\xff\xfe\r")
    screen.wait("Error: invalid input")
    screen.type("n")
    assert screen.wait_end() == 130 and (house / "models" / "plain").exists()
