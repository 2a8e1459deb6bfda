"""Values as they are typed: paths, numbers, prompts and stop strings, and the help beside them."""

import io
import json
import os
import subprocess
import sys

import click
import pytest

from tuillm.cli.generate import read_prompt
from tuillm.cli.main import tuillm
from tuillm.config import PRESETS, TrainConfig, preset_values, settings_of
from tuillm.errors import TuillmError, UsageError

LONG = "x" * 300
HUGE = "9" * 5000


def refused(*words):
    """What typed words are answered with, in one line."""
    with pytest.raises((click.UsageError, TuillmError)) as caught:
        tuillm.main([str(word) for word in words], standalone_mode=False, prog_name="tuillm")
    told = caught.value
    line = told.format_message() if isinstance(told, click.UsageError) else str(told)
    assert "\n" not in line
    return line


def printed(capsys, *words):
    """What a command prints."""
    tuillm.main([str(word) for word in words], standalone_mode=False, prog_name="tuillm")
    return capsys.readouterr().out


# every place of the command line where a path is typed
PATHS = {
    "config": ("train", "b.txt", "--config", "PATH"),
    "prompt": ("generate", "book", "-p", "FILE:PATH"),
    "prompt to compare": ("compare", "book", "book", "-p", "FILE:PATH"),
    "export": ("export", "book", "PATH"),
    "export gguf": ("export", "book", "PATH", "--to", "gguf"),
    "import": ("import", "PATH"),
    "import tokenizer": ("import", "MODEL", "--name", "a", "--tokenizer", "PATH"),
    "from": ("train", "BOOK", "--from", "PATH"),
    "generate": ("generate", "PATH"),
    "chat": ("chat", "PATH"),
    "compare": ("compare", "book", "PATH"),
    "eval": ("eval", "PATH", "BOOK"),
    "eval alone": ("eval", "PATH"),
    "show": ("show", "PATH"),
    "rm": ("rm", "PATH"),
    "cp": ("cp", "PATH", "other"),
    "pull": ("pull", "PATH"),
    "runs": ("runs", "show", "PATH"),
}


@pytest.mark.parametrize("place", PATHS)
@pytest.mark.parametrize(
    "hostile",
    [
        LONG,
        f"{LONG}/below",
        f"./{LONG}",
        "~nobody-of-this-name/x",
        "loop",
        "./loop/x",
        "no\0thing",
        "./no\0thing",
        "b\udce9/x",
    ],
    ids=[
        "long",
        "below long",
        "long here",
        "nobody's",
        "a loop",
        "in a loop",
        "NUL",
        "NUL here",
        "not UTF-8",
    ],
)
def test_a_path_that_cannot_be_is_one_line(
    place, hostile, model, book, home, tmp_path, monkeypatch
):
    """Wherever a path is typed, one that the system refuses is told, and nothing is begun."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    os.symlink("loop", "loop")
    words = [
        word.replace("PATH", hostile)
        .replace("BOOK", str(book))
        .replace("MODEL", str(home / "models" / "book"))
        for word in PATHS[place]
    ]
    if place.startswith("export") and hostile.startswith("b"):
        return  # a name that is not UTF-8 is a name
    refused(*words)
    assert not [path for path in (home / "models").iterdir() if path.name != "book"]
    assert not (home / "runs").exists()


@pytest.mark.parametrize("hostile", [LONG, "~nobody-of-this-name/x", "loop"])
@pytest.mark.parametrize("verb", ["list", "runs", "generate", "train"])
def test_a_data_folder_that_cannot_be_is_one_line(verb, hostile, book, tmp_path, monkeypatch):
    """TUILLM_HOME is a path that a person types too, and the line names it."""
    monkeypatch.chdir(tmp_path)
    os.symlink("loop", "loop")
    monkeypatch.setenv("TUILLM_HOME", hostile)
    words = {"generate": ["generate", "book"], "train": ["train", book]}.get(verb, [verb])
    assert refused(*words).startswith("TUILLM_HOME is no folder: ")


def test_a_home_folder_is_expanded_wherever_a_path_is_typed(model, home, tmp_path, monkeypatch):
    """`~` means it for settings, prompts and models too."""
    monkeypatch.setenv("HOME", str(home))
    (home / "run.toml").write_text("n_layer = 999")
    assert "n_layer cannot be 999" in refused("train", "b.txt", "--config", "~/run.toml")
    (home / "prompt").write_text("Marda")
    assert read_prompt("FILE:~/prompt") == "Marda"
    assert "n_layer cannot be 3" in refused(
        "train", "b.txt", "--from", "~/models/book", "--n-layer", "3"
    )


# every option that takes a number and is no setting; settings are walked below
NUMBERS = {
    "num-samples": ("generate", "book", "--num-samples", "N"),
    "stride": ("eval", "book", "BOOK", "--stride", "N"),
    "val-fraction": ("eval", "book", "BOOK", "--val-fraction", "N"),
    "minutes": ("demo", "--minutes", "N"),
    "nnodes": ("train", "--forecast", "--device-kind", "h100", "--nnodes", "N"),
    "tokens": ("train", "--forecast", "--device-kind", "h100", "--tokens", "N"),
}
ABSURD = ["1e400", "-1", HUGE, "nan", "-inf", "0x10", "1.5.2", "", "many", "1_0_", "٣x", "\0"]


@pytest.mark.parametrize("number", [*ABSURD, "100000000"], ids=lambda number: repr(number[:12]))
@pytest.mark.parametrize("option", NUMBERS)
def test_an_absurd_number_is_one_line(option, number, model, book):
    """The line has the option, the value in short, and what is allowed."""
    words = [word.replace("BOOK", str(book)) if word != "N" else number for word in NUMBERS[option]]
    if option in ("stride", "tokens") and number == "100000000":
        return  # as wide as the window, or a text of that length: nothing wrong with it
    line = refused(*words)
    assert line.startswith(f"--{option} cannot be ") and "allowed: " in line and len(line) < 250


@pytest.mark.parametrize("number", ABSURD, ids=lambda number: repr(number[:12]))
@pytest.mark.parametrize("verb", ["train", "generate"])
def test_an_absurd_number_for_a_setting_is_one_line(verb, number):
    """Each setting that is a number refuses what is none or none of its own."""
    command = tuillm.get_command(click.Context(tuillm), verb)
    for option in command.params:
        setting = getattr(option, "setting", None)
        if setting is not None and setting.type in (int, float):
            line = refused(verb, "x.txt", f"{setting.flag}={number}")
            assert line.startswith(f"{setting.name} cannot be "), line
            assert f"allowed: {setting.range}" in line and len(line) < 250
            assert setting.range, f"{setting.name} has no limits"


@pytest.mark.parametrize("preset", PRESETS)
def test_the_help_shows_the_values_of_the_preset(preset, capsys):
    """What stands in brackets is what a run with that preset has, wherever --help stands."""
    values = preset_values(preset)
    for words in (["--preset", preset, "--help"], ["--help", f"--preset={preset}"]):
        told = " ".join(printed(capsys, "train", *words).split())
        assert f"values of the preset {preset};" in told
        for setting in settings_of(TrainConfig):
            if setting.name != "corpus":
                assert f"{setting.help} [{setting.words(values[setting.name])}" in told


def test_the_help_shows_the_values_of_a_plain_run(model, capsys, tmp_path):
    """Without a preset those of the one that is taken, for --from the model's own."""
    told = " ".join(printed(capsys, "train", "--help").split())
    assert (
        "values of the preset tiny" in told
        and "minutes to train; the schedule ends on the clock [1;" in told
    )
    told = " ".join(printed(capsys, "train", "--from", model, "--lora", "--help").split())
    assert "preset finetune" in told and "width of the model [48;" in told
    assert "block matrices and leaves the rest to adamw ['adamw']" in told
    assert "width of the model" in printed(capsys, "train", "--from", "gone", "--help")
    (tmp_path / "run.toml").write_text("n_embd = 96")
    told = printed(capsys, "train", "--config", str(tmp_path / "run.toml"), "--help")
    assert "width of the model [96;" in told
    assert "did you mean 'tiny'?" in refused("train", "--preset", "tinny", "--help")


def test_presets_lists_and_shows(capsys):
    """`tuillm presets` names all, `tuillm presets NAME` every value of one."""
    told = printed(capsys, "presets")
    assert all(f"{name} " in told and preset.help in told for name, preset in PRESETS.items())
    told = printed(capsys, "presets", "heart")
    assert "n_embd " in told and "256 *" in told and "weight_decay" in told
    assert json.loads(printed(capsys, "presets", "heart", "--json"))["n_embd"] == 256
    assert list(json.loads(printed(capsys, "presets", "--json"))) == list(PRESETS)
    assert "did you mean 'heart'?" in refused("presets", "hart")


def test_help_config_shows_the_values_of_a_preset(capsys):
    """From Python too: those of a plain run, or of the preset that is named."""
    from tuillm import Trainer

    tables = []
    for preset in (None, "tiny", "heart"):
        Trainer.help_config(preset)
        tables.append(capsys.readouterr().out)
    assert tables[0] == tables[1] and "0 < number <= 100000; default 1\n" in tables[0]
    assert "default 36" in tables[2] and "1 <= whole number <= 12288; default 256" in tables[2]
    with pytest.raises(UsageError, match="unknown preset 'hart'"):
        Trainer.help_config("hart")


def test_a_preset_with_a_shape_is_refused_with_a_model(model, book):
    """The message names the preset that is meant for it."""
    line = refused("train", book, "--from", model, "--preset", "small")
    assert line.startswith("preset 'small' says what shape") and "finetune" in line


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (r"\n\n", "\n\n"),
        (r"THE END\n", "THE END\n"),
        (r"\\n", r"\n"),
        (r"a\tb", "a\tb"),
        (r"\section", r"\section"),
        ("é", "é"),
    ],
)
def test_stop_strings_have_line_ends_in_the_shell(typed, meant, monkeypatch, model):
    r"""`--stop '\n\n'` is an empty line, as in /set."""
    from tuillm.chat.commands.settings import apply_set
    from tuillm.config import SamplingConfig

    seen = []
    monkeypatch.setattr(
        "tuillm.cli.generate.write_reply",
        lambda sampler, text, config, **rest: seen.append(config.stop),
    )
    tuillm.main(["generate", model, "--stop", typed], standalone_mode=False)
    assert seen == [(meant,)]
    assert apply_set(f"stop {typed}", SamplingConfig()).stop == (meant,)


@pytest.mark.parametrize(
    ("content", "prompt", "kept"),
    [
        (b"Marda said\n", "Marda said", "Marda said\n"),
        (b"Marda said\r\n", "Marda said", "Marda said\r\n"),
        (b"Marda said\n\n", "Marda said\n", "Marda said\n\n"),
        (b"\xef\xbb\xbfMarda", "Marda", "Marda"),
        (b"", "", ""),
        (b"\n", "", "\n"),
        ("Mërda\u2028\n".encode(), "Mërda\u2028", "Mërda\u2028\n"),
    ],
)
def test_a_prompt_is_read_without_what_the_shell_adds(content, prompt, kept, tmp_path, monkeypatch):
    """The last line end and a byte order mark are dropped, of files and of stdin alike."""
    (tmp_path / "prompt").write_bytes(content)

    def read(**how):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        texts = {read_prompt("-", **how), read_prompt(f"FILE:{tmp_path / 'prompt'}", **how)}
        assert len(texts) == 1
        return texts.pop()

    assert read() == prompt and read(keep_newline=True) == kept


@pytest.mark.slow
def test_generate_and_chat_take_a_piped_prompt_alike(model):
    """`echo TEXT |` is the same prompt for both, and --keep-newline another one."""

    def piped(*words):
        done = subprocess.run(
            [sys.executable, "-m", "tuillm", *words, "-n", "12", "--seed", "1", "--stats"],
            input=b"Marda said\n",
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr.split(b"prompt_tokens=")[1].split()[0]

    said, read = piped("chat", model)
    assert piped("generate", model, "-p", "-", "--no-echo") == (said, read)
    assert piped("generate", model, "-p", "-", "--no-echo", "--keep-newline")[1] != read


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"Marda \xff said", "line 1, byte 7"),
        ("Marda".encode("utf-16"), "UTF-16"),
        (b"\xff\xfe\0\0", "UTF-32"),
        (b"x" * 16_000_001, "longer than 16 MB"),
    ],
)
def test_a_prompt_that_is_no_text_is_one_line(content, words, tmp_path, monkeypatch):
    """The line says where it came from and what is wrong."""
    (tmp_path / "prompt").write_bytes(content)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    for prompt, place in (("-", "on stdin"), (f"FILE:{tmp_path / 'prompt'}", "in /")):
        with pytest.raises(UsageError) as caught:
            read_prompt(prompt)
        assert words in str(caught.value) and place in str(caught.value)
    with pytest.raises(UsageError, match="not UTF-8"):
        read_prompt("Marda \udcff said")
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError, match="there is no stdin"):
        read_prompt("-")
