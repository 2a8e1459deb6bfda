"""Whatever is named as a text trains or is refused in one clear line, in bounded time and memory.

Hundreds of inputs of a hundred kinds are made by a seeded generator, with options at random. A
server process that has loaded everything forks for each; some go through the real command.
"""

import os
import signal
import subprocess
import sys

import pytest
from text.nasty.byte_kinds import seeded
from text.nasty.client import Servers, faults
from text.nasty.inputs import COUNTS, KINDS, all_inputs, nasty

from tuillm.config import build_train
from tuillm.errors import TuillmError, printable
from tuillm.text.corpus import read_corpus
from tuillm.text.read_options import ReadOptions
from tuillm.text.tokens import tokenize

# small ones, for every day
EVERYDAY = (
    *("lone_surrogates", "nuls", "mark_inside", "zalgo", "special_names", "not_assigned"),
    *("tar_of_names", "nested", "deep_nesting", "answers", "odd_epub", "no_files"),
)
# through the real command: one of each that is not large
THROUGH_THE_COMMAND = (
    *("random_bytes", "lone_surrogates", "nuls", "only_blanks", "one_character", "empty"),
    *("mark_inside", "mixed_encodings", "terminal_escapes", "zalgo", "special_names"),
    *("blanks_between", "gutenberg_marks", "false_magic", "folder_of_encodings"),
    *(
        "cut_archive",
        "nested",
        "zip_bomb",
        "gzip_bomb",
        "tar_of_names",
        "zip_of_names",
        "tar_of_links",
    ),
    *("half_lines", "deep_nesting", "evil_names", "many_names", "answers", "chats", "one_object"),
    *("odd_csv", "odd_parquet", "broken_page", "deep_page", "odd_pdf", "odd_epub", "odd_docx"),
    *("links_in_a_circle", "no_files", "odd_file_names", "empty_folder"),
)


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Two processes that train in forks of their own."""
    made = Servers(tmp_path_factory.mktemp("nasty"))
    yield made
    made.close()


@pytest.mark.parametrize("kind", EVERYDAY)
def test_a_text_becomes_tokens_or_one_line(kind, tmp_path):
    """Up to the model, which no input reaches but as numbers; without options."""
    folder = tmp_path / "input"
    folder.mkdir()
    source = str(KINDS[kind](folder, seeded(kind, 1)))
    try:
        config = build_train({"corpus": source, "preset": "nano", "tokenizer": "bpe"})
        tokens = tokenize(read_corpus(config.corpus, options=ReadOptions.of(config)), config)
    except TuillmError as error:
        words = f"{error.message}{error.hint}"
        assert words == printable(words) and "\n" not in words and len(words) < 800
    else:
        assert len(tokens.train) > 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", COUNTS)
def test_it_trains_or_says_in_one_line_why_not(kind, servers):
    """Nothing else is raised, said, written or left over, within a minute and a gigabyte."""
    wrong = [
        f"{one.kind} {one.number} {one.settings}: {each}"
        for one, told in servers.ask_all(all_inputs(kind))
        for each in faults(told)
    ]
    assert not wrong, "\n\n".join(wrong)


def test_there_are_five_hundred_of_them():
    """And each is the same in every run."""
    assert sum(COUNTS.values()) >= 500
    assert nasty("chats", 3) == nasty("chats", 3)


def command(source, home, elsewhere):
    """`tuillm train` in an empty folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "tuillm", "train", source, "--preset", "nano", "--max-steps", "2"]
        + ["--sample-tokens", "0", "--name", "x"],
        cwd=elsewhere,
        env=os.environ | {"TUILLM_HOME": str(home), "HOME": str(elsewhere), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="backslashreplace",
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", THROUGH_THE_COMMAND)
def test_the_command_ends_well_or_in_one_line(kind, tmp_path, home):
    """Exit code 0 and a model, or 1 or 2, one line on stderr, and none."""
    folder, elsewhere = tmp_path / "input", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    process = command(str(KINDS[kind](folder, seeded(kind, 0))), home, elsewhere)
    said, errors = process.communicate(timeout=300)
    assert "Traceback" not in said + errors and "panicked" not in said + errors
    trained = (home / "models" / "x" / "model.safetensors").exists()
    assert (process.returncode, trained) in ((0, True), (1, False), (2, False))
    if not trained:
        assert errors.startswith("tuillm: ") and errors.count("\n") == 1 and len(errors) < 900
        assert errors == printable(errors)
    assert not list(elsewhere.iterdir())
    assert not [path for path in home.rglob("*") if path.suffix in (".part", ".partial")]


@pytest.mark.slow
def test_a_pipe_nobody_writes_to_is_waited_for_and_left(tmp_path, home):
    """It is said what is waited for; Ctrl-C ends it at once."""
    os.mkfifo(tmp_path / "pipe")
    process = command(str(tmp_path / "pipe"), home, tmp_path)
    assert "reading the pipe" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert (process.returncode, said, errors.strip()) == (130, "", "")
