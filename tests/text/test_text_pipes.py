"""Pipes and standard input are read once and kept: a run reads its text more often than that."""

import os
import subprocess
import sys
import threading

import pytest

from tuillm import Trainer
from tuillm.errors import TuillmError
from tuillm.store.paths import cache_dir
from tuillm.store.run_folder import get_run
from tuillm.text.corpus import read_corpus
from tuillm.text.sources.source_names import shown_source
from tuillm.text.stdin_pipes import keep_pipes

QUICK = ("--preset", "nano", "--max-steps", "2", "--tokenizer", "char")


def bash(line, **options):
    """Run a line of bash in which TUILLM is the command; return the finished process."""
    return subprocess.run(
        ["bash", "-c", line.replace("TUILLM", f"{sys.executable} -m tuillm")],
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


@pytest.fixture
def fifo(tmp_path, book):
    """A function that makes a named pipe which a thread writes the book to, once."""
    path = tmp_path / "the-pipe.txt"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(book.read_bytes()), daemon=True)

    def begin():
        writer.start()
        return str(path)

    yield begin
    if writer.is_alive():  # nobody read
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        writer.join(10)
        os.close(reader)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("TUILLM train <(cat {book}) {quick}", "pipe"),
        pytest.param("cat {book} | TUILLM train - {quick}", "stdin", marks=pytest.mark.slow),
    ],
)
def test_a_run_learns_from_a_pipe(book, line, name):
    """What comes through it is the text of the run, which can be read again."""
    done = bash(line.format(book=book, quick=" ".join(QUICK)))
    assert done.returncode == 0, done.stderr
    assert f"tuillm chat {name}" in done.stdout
    assert done.stderr.startswith("reading ") and done.stderr.count("\n") == 1
    assert read_corpus(get_run(f"{name}-1").config.corpus).text == book.read_text()


@pytest.mark.slow
def test_a_forecast_reads_a_pipe_once(book):
    """The text and the speed are of what came through."""
    done = bash(f"TUILLM train --forecast /dev/stdin --preset nano < <(cat {book})")
    assert done.returncode == 0, done.stderr
    assert "30,000 characters" in done.stdout and "speed" in done.stdout


@pytest.mark.slow
def test_a_file_behind_standard_input_is_that_file(book, tmp_path):
    """`< book.txt` needs no copy: the worker finds the file itself."""
    done = bash(f"TUILLM train - --detach {' '.join(QUICK)} < {book}; TUILLM runs attach book-1")
    assert done.returncode == 0, done.stderr
    assert get_run("book-1").config.corpus == (str(book),)
    assert not (cache_dir() / "pipes").exists()


def test_python_learns_from_a_pipe(fifo):
    """`Trainer(corpus=PIPE).run()` reads it once; the run's own text is the copy."""
    model = Trainer(corpus=fifo(), preset="nano", tokenizer="char", max_steps=2).run()
    assert model.name == "the-pipe"
    assert get_run("the-pipe-1").config.corpus[0].startswith(str(cache_dir() / "pipes"))


def test_the_same_text_is_kept_once(fifo, book):
    """The copy is named by its contents, and everything else comes back as it is."""
    kept = keep_pipes((fifo(), str(book), "http://h/x", "no-such-file"))
    assert kept[1:] == (str(book), "http://h/x", "no-such-file")
    assert read_corpus(kept[:1]).text == book.read_text()
    assert [path.name for path in (cache_dir() / "pipes").iterdir()] == [kept[0].split("/")[-2]]


def test_whoever_cannot_keep_a_pipe_refuses_it(fifo):
    """Workers, forecasts and the dashboard never hang on one: it is refused before it is read."""
    with pytest.raises(TuillmError, match="is a pipe, which can be read only once"):
        read_corpus((fifo(),))


@pytest.mark.everyday(3)
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("TUILLM train - <&-", "no standard input"),
        ("TUILLM train /dev/null", "is a device"),
        ("TUILLM train /dev/zero", "is a device"),
        ("TUILLM train - < /dev/null", "is empty"),
        ("TUILLM train <(true)", "is empty"),
        ("TUILLM train <(head -c 99 /dev/zero)", "binary"),
    ],
)
def test_what_gives_no_text_is_one_line(line, words):
    """Closed, empty and endless inputs are each told."""
    done = bash(line)
    assert done.returncode in (1, 2) and words in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert [line for line in done.stderr.splitlines() if not line.startswith("reading ")][1:] == []


def test_an_emptied_cache_is_told(fifo):
    """Without the copy, the words say so."""
    (kept,) = keep_pipes((fifo(),))
    assert shown_source(kept) == "the pipe the-pipe.txt"
    os.unlink(kept)
    with pytest.raises(TuillmError, match="no longer in the cache"):
        read_corpus((kept,))
