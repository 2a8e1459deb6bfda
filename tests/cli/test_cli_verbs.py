"""The command line as a person meets it: real processes, their output, their exit codes."""

import json
import os
import re
import subprocess
import sys

import pytest


def tuillm(*arguments, stdin=None, **environment):
    """Run the command and return the finished process."""
    return subprocess.run(
        [sys.executable, "-m", "tuillm", *map(str, arguments)],
        input=stdin,
        text=True,
        capture_output=True,
        env=os.environ | environment,
        timeout=120,
    )


def one_line(done, code=1):
    """Assert that a command failed with one clear line, and return that line."""
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("tuillm: ") and done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def leftovers(home):
    """Everything in the models and runs folders, hidden staging folders included."""
    return [path for part in ("models", "runs") for path in (home / part).glob("*")]


def test_train_grows_a_model_and_says_how_to_talk_to_it(book, home):
    """`tuillm train` piped prints plain lines, and the model is in the registry afterwards."""
    done = tuillm("train", book, "--preset", "nano")
    assert done.returncode == 0, done.stderr
    assert "tuillm chat book" in done.stdout
    assert re.search(r"step 80 .* val \d\.\d+  \d\.\d+ bits/byte", done.stdout)
    shown = json.loads(tuillm("show", "book", "--json").stdout)
    wanted = {"name", "path", "parameters", "bits_per_byte", "val_loss", "origin", "parent"}
    assert wanted <= shown.keys()
    assert (shown["name"], shown["origin"], shown["run"]) == ("book", "trained", "book-1")
    runs = json.loads(tuillm("runs", "list", "--json").stdout)
    assert [(run["id"], run["state"], run["model"]) for run in runs] == [
        ("book-1", "finished", "book")
    ]


@pytest.mark.slow
def test_json_lines_tell_every_step(book):
    """`--json-lines` prints one object a step, then the state with the published model."""
    done = tuillm("train", book, "--preset", "nano", "--max-steps", 12, "--json-lines")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    steps = [event["step"] for event in events if event["event"] == "step"]
    assert steps == list(range(1, 13))
    assert events[-1]["state"] == "finished" and events[-1]["model"] == "book"
    assert any(event["event"] == "sample" and event["text"] for event in events)


@pytest.mark.slow
def test_settings_come_from_file_and_command_line(book, tmp_path):
    """A TOML file overrides the preset, what is typed overrides the file; run.json has it all."""
    (tmp_path / "run.toml").write_text('preset = "nano"\nn_embd = 32\nmax_steps = 5\n')
    done = tuillm("train", book, "--config", tmp_path / "run.toml", "--max-steps", 3, "--name", "a")
    assert done.returncode == 0, done.stderr
    config = json.loads(tuillm("runs", "show", "a-1", "--json").stdout)["config"]
    assert (config["preset"], config["n_embd"], config["max_steps"]) == ("nano", 32, 3)


@pytest.mark.slow
def test_generate_is_repeatable_and_reads_prompts_from_anywhere(model, tmp_path):
    """One seed gives one text; FILE: and - stand for the prompt in a file and on stdin."""
    (tmp_path / "prompt.txt").write_text("Marda said", encoding="utf-8")
    common = ("-n", 30, "--temperature", 0.8, "--top-k", 200, "--seed", 1)
    typed = tuillm("generate", model, "-p", "Marda said", *common)
    assert typed.returncode == 0, typed.stderr
    assert typed.stdout.startswith("Marda said") and typed.stderr == ""
    from_file = tuillm("generate", model, "-p", f"FILE:{tmp_path / 'prompt.txt'}", *common)
    from_stdin = tuillm("generate", model, "-p", "-", *common, stdin="Marda said")
    assert typed.stdout == from_file.stdout == from_stdin.stdout
    several = tuillm("generate", model, "-p", "Marda said", *common, "--num-samples", 3).stdout
    first, second, third = several.split("---------------\n")
    assert first == typed.stdout and len({first, second, third}) == 3
    bare = tuillm("generate", model, "-p", "Marda said", *common, "--no-echo").stdout
    assert "Marda said" + bare == typed.stdout


@pytest.mark.slow
def test_generate_starts_from_nothing(model):
    """Without a prompt the text begins after a newline."""
    done = tuillm("generate", model, "-n", 20, "--seed", 3)
    assert done.returncode == 0 and done.stdout.startswith("\n") and len(done.stdout) > 10


def test_registry_verbs(model, home):
    """cp, rename, rm and list do what they say, and refuse what they must."""
    assert tuillm("cp", "book", "twin").returncode == 0
    assert json.loads(tuillm("show", "twin", "--json").stdout)["parent"] == "book"
    assert "already exists" in one_line(tuillm("rename", "twin", "book"))
    assert tuillm("rename", "twin", "other").returncode == 0
    assert "'other'" in one_line(tuillm("show", "othr"))
    assert "no model named 'ghost'" in one_line(tuillm("rm", "book", "ghost"))
    names = [entry["name"] for entry in json.loads(tuillm("list", "--json").stdout)]
    assert names == ["book", "other"]
    assert tuillm("rm", "book", "other").returncode == 0
    assert leftovers(home) == []


def test_removing_asks_on_a_terminal(model, home, terminal):
    """What was grown for hours does not go by a slip; --yes and scripts are not asked."""
    screen = terminal("rm", "book")
    screen.wait("Remove book (")
    screen.type("n")
    assert screen.wait_end() == 130 and "nothing was removed" in screen.text
    assert (home / "models" / "book").exists()
    screen = terminal("rm", "book", "--yes")
    assert screen.wait_end() == 0 and "removed book" in screen.text


@pytest.mark.slow
def test_a_full_disk_behind_stdout_gets_one_line(model):
    """Where stdout cannot be written, one line says why."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tuillm", "generate", "book", "-n", "5"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1 and "No space left" in one_line(done)


@pytest.mark.slow
def test_a_damaged_model_is_named_and_the_others_listed(model, home):
    """Cut weights and broken JSON show up as damaged; the rest of the registry stays usable."""
    for name in ("cut", "torn"):
        assert tuillm("cp", "book", name).returncode == 0
    weights = home / "models" / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    (home / "models" / "torn" / "config.json").write_text("{")
    listed = tuillm("list")
    assert listed.returncode == 0
    assert listed.stdout.count("damaged") >= 2 and "book" in listed.stdout
    assert "damaged" in one_line(tuillm("generate", "cut", "-n", 5))
    assert "damaged" in one_line(tuillm("chat", "torn"))


@pytest.mark.everyday(8)
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["trian"], 2, "did you mean 'train'?"),
        (["train"], 2, "no text was named"),
        (["train", "BOOK", "--preset", "tini"], 2, "did you mean 'tiny'?"),
        (["train", "BOOK", "--n-embd", "130", "--n-head", "4"], 2, "not divisible"),
        (["train", "BOOK", "--max-steps", "-3"], 2, "max_steps cannot be -3"),
        (["train", "BOOK", "--learning-rate", "nan"], 2, "learning_rate"),
        (["train", "BOOK", "--name", "../evil"], 2, "cannot be a name"),
        (["train", "BOOK", "--config", "none.toml"], 2, "cannot read none.toml"),
        (["train", "BOOK", "--encoding", "klingon"], 1, "unknown encoding 'klingon'"),
        (["train", "nowhere.txt"], 1, "nowhere.txt does not exist"),
        (["generate", "nobody"], 1, "no model named 'nobody'"),
        (["chat", "nobody"], 1, "no model named 'nobody'"),
        (["generate", "nobody", "--top-p", "2"], 2, "top_p cannot be 2 (allowed: 0 < number <= 1)"),
        (["generate", "nobody", "-p", "FILE:gone.txt"], 2, "gone.txt"),
        (["generate", "nobody", "--num-samples", "0"], 2, "num-samples"),
        (["generate", "nobody", "--num-samples", "9" * 400], 2, "whole number <= 1000"),
        (["generate", "nobody", "--top-k", "9" * 400], 2, "top_k"),
        (["generate", "nobody", "--stop", "x" * 2000], 2, "at most 64, each of at most 1000"),
        (["generate", "nobody", "--temperature", "warm"], 2, "warm"),
        (["runs", "show", "none"], 1, "no run named 'none'"),
        (["runs", "stop", "none"], 1, "no run named 'none'"),
        (["rename", "a"], 2, "NEW"),
    ],
)
def test_what_is_typed_wrongly_gets_one_line(arguments, code, words, book, home):
    """The line names the value and what is allowed; nothing is started and nothing left behind."""
    done = tuillm(*[str(book) if word == "BOOK" else word for word in arguments])
    assert words in one_line(done, code)
    assert leftovers(home) == []


@pytest.mark.everyday(2)
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"  \n\n ", "is empty"),
        (b"x", "only 1 character"),
        (bytes(range(256)) * 4, "binary"),
        (None, "holds no text"),
    ],
)
def test_a_text_that_cannot_be_learned_from_gets_one_line(content, words, tmp_path, home):
    """Empty, binary and one-character files and directories are refused before a run exists."""
    path = tmp_path / "text"
    path.mkdir() if content is None else path.write_bytes(content)
    assert words in one_line(tuillm("train", path))
    assert leftovers(home) == []


@pytest.mark.slow
def test_a_taken_name_is_refused_and_replaced_only_on_request(model, book):
    """Training never overwrites a model by surprise."""
    assert "already exists" in one_line(tuillm("train", book, "--preset", "nano"))
    done = tuillm("train", book, "--preset", "nano", "--max-steps", 2, "--replace")
    assert done.returncode == 0, done.stderr
    assert json.loads(tuillm("show", "book", "--json").stdout)["steps"] == 2


def test_an_unwritable_data_directory_gets_one_line(book, tmp_path):
    """A data directory that cannot be made is named, with the way out."""
    (tmp_path / "file").write_text("in the way")
    line = one_line(tuillm("train", book, TUILLM_HOME=str(tmp_path / "file" / "home")))
    assert "cannot write to" in line and "TUILLM_HOME" in line


@pytest.mark.slow
def test_a_device_that_is_not_there_gets_one_line(model):
    """Asking for a GPU on a machine without one says what there is."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert "this machine has cpu" in one_line(tuillm("generate", model, "--device", "cuda"), 2)


def test_every_setting_is_an_option_of_train():
    """`tuillm train --help` lists each declared setting and each preset."""
    from tuillm.config import PRESETS, TrainConfig, settings_of

    done = tuillm("train", "--help")
    for setting in settings_of(TrainConfig):
        if setting.name != "corpus":
            assert setting.flag in done.stdout
    assert all(name in done.stdout for name in PRESETS)


@pytest.mark.slow
def test_a_reader_that_leaves_early_is_no_error(model):
    """`tuillm generate ... | head -c 10` ends quietly."""
    command = f"{sys.executable} -m tuillm generate {model} -n 2000 --seed 1 | head -c 10"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert len(done.stdout) == 10 and done.stderr == ""


@pytest.mark.slow
def test_demo_grows_its_model_once(home):
    """`tuillm demo --no-chat` publishes `demo`, and says so instead of growing it twice."""
    done = tuillm("demo", "--no-chat", "--minutes", 0.03)
    assert done.returncode == 0, done.stderr
    assert (home / "models" / "demo" / "model.safetensors").exists()
    again = tuillm("demo", "--no-chat")
    assert again.returncode == 0 and "there already" in again.stdout
