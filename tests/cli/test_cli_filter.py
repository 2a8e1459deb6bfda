"""`chat` and `generate` in pipes: text or JSON on stdout, figures on stderr, nothing else."""

import json
import os
import re
import subprocess
import sys

import pytest

COMMON = ("-n", "30", "--seed", "1")


def tuillm(*arguments, stdin="", **environment):
    """Run the command in a pipe and return its stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "tuillm", *map(str, arguments)],
        input=stdin.encode(),
        capture_output=True,
        env=os.environ | environment,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode(), done.stderr.decode()


def figures(line):
    """The line of --stats as names and values."""
    assert line.count("\n") == 1
    return dict(part.split("=") for part in line.split())


def tokens_of(output):
    """The objects of --json."""
    tokens = [json.loads(line) for line in output.split("\n")[:-1]]
    fields = ["text", "id", "logprob", "index", "row", "finish"]
    assert all(list(token) == fields and token["logprob"] <= 0 for token in tokens)
    return tokens


@pytest.mark.slow
def test_one_seed_gives_one_text_by_every_way(model, tmp_path):
    """chat and generate, as text and as JSON, from stdin and from a file, alone and with others."""
    (tmp_path / "prompt.txt").write_text("Marda said", encoding="utf-8")
    text, stats = tuillm("chat", model, *COMMON, "--stats", stdin="Marda said\n", LC_ALL="C")
    told = figures(stats)
    assert (told["tokens"], told["finish"]) == ("30", "length")
    assert float(told["tokens_per_sec"]) > 0 and int(told["prompt_tokens"]) > 0
    assert re.fullmatch(r"\d+\.\d{3}s", told["first_token"])
    output, nothing = tuillm("chat", model, *COMMON, "--json", stdin="Marda said")
    tokens = tokens_of(output)
    assert "".join(token["text"] for token in tokens) + "\n" == text and nothing == ""
    assert [token["index"] for token in tokens] == list(range(30))
    assert [token["finish"] for token in tokens] == [""] * 29 + ["length"]
    output, stats = tuillm(
        "generate",
        model,
        *COMMON,
        "--json",
        "--num-samples",
        2,
        "--stats",
        "-p",
        f"FILE:{tmp_path / 'prompt.txt'}",
    )
    rows = [[token for token in tokens_of(output) if token["row"] == row] for row in (0, 1)]
    alike = [[token[key] for key in ("text", "id", "index")] for token in tokens]
    assert [[token[key] for key in ("text", "id", "index")] for token in rows[0]] == alike
    assert len(rows[1]) == 30 and rows[1][3:] != rows[0][3:]
    assert figures(stats) | {"tokens": "60", "finish": "length,length"} == figures(stats)


@pytest.mark.slow
def test_each_of_several_stop_strings_ends_the_reply(model):
    """Whichever comes first counts, and is not part of the text."""
    text, _ = tuillm("generate", model, *COMMON, "-p", "Marda", "--no-echo")
    stop = text[10:12]
    cut, stats = tuillm(
        "generate",
        model,
        *COMMON,
        "-p",
        "Marda",
        "--no-echo",
        "--stats",
        "--stop",
        "zzz",
        "--stop",
        stop,
    )
    assert cut == text[: text.index(stop)] + "\n" and figures(stats)["finish"] == "stop"


@pytest.mark.slow
def test_a_filter_begins_from_nothing_and_takes_no_offence_at_a_closed_pipe(model):
    """No stdin at all means a newline; `| head` ends it without a word."""
    line = f"{sys.executable} -m tuillm chat {model} --seed 3 -n 2000 --json"
    done = subprocess.run(
        ["bash", "-c", f"{line} < /dev/null | head -n 2"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert len(tokens_of(done.stdout)) == 2 and done.stderr == ""


@pytest.mark.slow
def test_a_model_with_a_template_answers_in_its_turn(model, home):
    """The message is put into the template, and what begins the next turn ends the reply."""
    from tuillm.text import load_tokenizer

    card = home / "models" / model / "tuillm.json"
    content = json.loads(card.read_text()) | {
        "mode": "qa",
        "template": "Q: {question}\nA:",
        "stop": ["\n", "e"],
    }
    card.write_text(json.dumps(content))
    text, stats = tuillm("chat", model, "--seed", 1, "--stats", stdin="Who is Marda?\n")
    assert "\n" not in text[:-1] and "e" not in text
    count = len(load_tokenizer(card.parent).encode("Q: Who is Marda?\nA:"))
    told = figures(stats)
    assert told["finish"] == "stop" and told["prompt_tokens"] == str(count)


@pytest.mark.parametrize("option", ["--json", "--stats"])
def test_on_a_terminal_the_options_of_a_filter_are_refused(terminal, home, option):
    """They say how they are meant."""
    opened = terminal("chat", "book", option, columns=120)
    opened.wait(f"tuillm: {option} is for pipes (echo TEXT | tuillm chat book {option})")
    assert opened.wait_end() == 2


@pytest.mark.slow
def test_a_removed_folder_is_no_obstacle(model, tmp_path):
    """Without a current folder torch's libraries cannot be loaded; generate still answers."""
    gone = tmp_path / "gone"
    gone.mkdir()
    line = f"cd {gone} && rmdir {gone} && {sys.executable} -m tuillm generate book -p hi -n 2"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("hi")
