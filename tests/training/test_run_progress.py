"""`Trainer.run()` in a person's own Python: it tells how far it is on stderr, or keeps quiet."""

import fcntl
import os
import subprocess
import sys

import pexpect
import pytest

CODE = """
import sys
from tuillm import Trainer
trainer = Trainer(corpus=sys.argv[1], preset="nano", max_steps=60, sample_tokens=2)
model = trainer.run({how})
print("done", model.name)
"""


def run(book, how):
    return subprocess.run(
        [sys.executable, "-c", CODE.format(how=how), str(book)],
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
def test_a_run_in_a_pipe_tells_its_notes_and_evaluations_in_lines(book):
    """All of it on stderr, one line a thing: stdout is the script's own."""
    book.write_bytes(b"\xef\xbb\xbf" + book.read_bytes())
    done = run(book, "")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "done book\n"
    lines = done.stderr.splitlines()
    assert lines[0].startswith("started at step 0: ") and "parameters" in lines[0]
    assert [line for line in lines if line.startswith("step 60  train ") and "bits/byte" in line]
    assert "finished at step 60; published 'book'" in lines[-1]
    assert "\r" not in done.stderr and "\x1b" not in done.stderr


@pytest.mark.slow
def test_a_quiet_run_says_nothing(book):
    """For scripts that say what they want to say themselves."""
    done = run(book, "quiet=True")
    assert (done.returncode, done.stdout, done.stderr) == (0, "done book\n", "")


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["2>&-", "2>/dev/full"])
def test_a_run_without_anyone_to_tell_goes_on(book, ending):
    """A stderr that is closed or full costs nothing of the run."""
    line = f'"$0" -c "$1" "$2" {ending}'
    done = subprocess.run(
        ["bash", "-c", line, sys.executable, CODE.format(how=""), str(book)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "done book" in done.stdout


@pytest.mark.slow
def test_a_reader_that_never_reads_does_not_hold_up_training(book):
    """A pipe that is full takes nothing more, and the run comes to its end all the same."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    os.write(write, bytes(4096))  # not a byte of room is left
    try:
        done = subprocess.run(
            [sys.executable, "-c", CODE.format(how=""), str(book)],
            stdout=subprocess.PIPE,
            stderr=write,
            text=True,
            timeout=120,
        )
    finally:
        os.close(write)
        os.close(read)
    assert (done.returncode, done.stdout) == (0, "done book\n")


@pytest.mark.slow
def test_on_a_terminal_one_line_is_written_over(book):
    """The line tells step, loss, speed and what is left, and is gone in the end."""
    code = CODE.format(how="").replace("max_steps=60", "max_steps=400")
    words = ["-c", code, str(book)]
    child = pexpect.spawn(sys.executable, words, timeout=120, dimensions=(24, 100))
    child.expect(rb"\r\x1b\[K +\d+%  step \d+  loss \d\.\d+  \S+ tokens/s  \S+ left")
    child.expect(rb"\r\x1b\[Kfinished at step 400[^\r]*\r\n\r\x1b\[Kdone book")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
