"""`tuillm compare` as a person meets it: columns on a terminal, pages in a pipe, errors."""

import json
import re
import shutil
from typing import Any

import pyte
import pytest
import torch
from cli.test_cli_verbs import one_line, tuillm

from tuillm import Sampler
from tuillm.chat.compare.columns import Rows
from tuillm.errors import printable
from tuillm.model import GPT, GPTConfig, write_model
from tuillm.store.usage import users_of
from tuillm.text.new_tokenizer import make_tokenizer

pytestmark = pytest.mark.slow

COMMON = ("-p", "abc", "--seed", "7", "--temperature", "1")
EVIL = "\x1b\x07\r\u202e\u2066"


@pytest.fixture(scope="session")
def talkers(tmp_path_factory):
    """Two random models: `plain` says letters, `wild` wide ones and what acts on a terminal too."""
    place = tmp_path_factory.mktemp("talkers")
    letters = {"plain": "abcdefghij klm\n", "wild": f"abc 日本語é🙂[2J;|*{EVIL}\n"}
    for seed, (name, said) in enumerate(letters.items()):
        tokenizer = make_tokenizer("char", [said])
        shape: dict[str, Any] = dict(
            block_size=64, n_layer=2, n_head=2, n_embd=32, bias=True, tie_weights=False
        )
        model = GPT(GPTConfig(vocab_size=tokenizer.n_vocab, **shape))
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(0, 0.2, generator=generator)
            model.ln_f.weight[0], model.get_parameter("ln_f.bias")[0] = 0, 1
            head = model.get_parameter("lm_head.weight")
            head[len(set(said)) :, 0] = -40  # no bytes of other characters
        (place / name).mkdir()
        write_model(model, place / name, tokenizer.eot)
        tokenizer.save(place / name, 64)
    return place


@pytest.fixture(autouse=True)
def registry(home, talkers):
    """Both in the registry, and one of them as the best checkpoint of a run."""
    shutil.copytree(talkers, home / "models")
    shutil.copytree(talkers / "wild", home / "runs" / "wild-1" / "best")
    return home


def column(screen, first, end):
    """What stands in some columns of the screen, row by row."""
    return [
        "".join(screen.buffer[line][place].data for place in range(first, end)).rstrip()
        for line in range(screen.lines)
    ]


def resize(terminal, columns, lines):
    """Give the window another size."""
    terminal.screen.resize(lines, columns)
    terminal._child.setwinsize(lines, columns)


def test_json_tells_all_of_it(tmp_path):
    """Prompt, seed, settings and each reply with its figures, as one object in plain ASCII."""
    (tmp_path / "prompt.txt").write_text("abc")
    done = tuillm(
        "compare",
        "plain",
        "wild",
        *COMMON[2:],
        "-n",
        80,
        "--json",
        "-p",
        f"FILE:{tmp_path / 'prompt.txt'}",
    )
    assert done.returncode == 0 and done.stderr == "" and done.stdout.isascii()
    told = json.loads(done.stdout)
    assert (told["prompt"], told["seed"], told["settings"]["max_new_tokens"]) == ("abc", 7, 80)
    for entry in told["models"]:
        tokens = list(
            Sampler(entry["name"]).stream("abc", seed=7, temperature=1, max_new_tokens=80)
        )
        reply = entry["reply"]
        assert reply["text"] == "".join(token.text for token in tokens)
        nats = -sum(token.logprob for token in tokens) / len(tokens)
        assert reply["nats_per_token"] == pytest.approx(nats, rel=1e-3)
        assert (reply["tokens"], reply["finish"]) == (80, "length")


def test_two_columns_show_what_generate_says_and_harm_nothing(terminal):
    """At 80x24 each column has the text of `tuillm generate` for its model alone with that seed.

    Wide letters move no line, and nothing that a model says reaches the terminal raw.
    """
    opened = terminal("compare", "plain", "wild", *COMMON, "-n", "70")
    assert opened.wait_end() == 0
    left, right = column(opened.screen, 0, 38), column(opened.screen, 41, 80)
    assert left[0] == "› abc" and left[2] == "plain" and right[2] == "wild"
    assert all("parameters" in row for row in (left[3], right[3]))
    for rows, name in ((left, "plain"), (right, "wild")):
        alone = tuillm("generate", name, *COMMON, "-n", 70, "--json").stdout.splitlines()
        wanted = Rows(38, "".join(json.loads(token)["text"] for token in alone)).newest()
        assert rows[5 : 5 + len(wanted)] == wanted
    assert set(column(opened.screen, 39, 40)[2:12]) == {"│"}
    assert any("seed 7" in row for row in left) and "longest length" in opened.picture
    assert b"\x1b[?1049h" in opened.raw, "they grow on the other screen"
    sent = opened.raw.decode()
    assert printable(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", sent)) == re.sub(
        r"\x1b\[[0-9;?]*[A-Za-z]|\r(?=\n)", "", sent
    )
    assert "\x1b[2J" not in sent.replace("\x1b[H\x1b[2J", "", 1), "that one is ours"


def test_a_narrow_window_shows_one_below_the_other(terminal):
    """At 50x20 each model has the whole width, and both are seen while they grow."""
    opened = terminal("compare", "plain", "wild", *COMMON, "-n", "60", columns=50, lines=20)
    assert opened.wait_end() == 0
    growing = pyte.Screen(50, 20)
    pyte.ByteStream(growing).feed(opened.raw.rpartition(b"\x1b[H\x1b[2J")[0])
    heads = [row.strip() for row in growing.display]
    assert (
        0
        == heads.index("plain")
        < heads.index("wild")
        < heads.index("Esc or Ctrl-C stops, Space pauses")
        == 19
    )
    lines = opened.text.splitlines()
    assert "│" not in opened.text
    assert lines.index("plain") < lines.index("wild") < len(lines)
    ends = re.findall(r"^\s*60 tokens\b", opened.text, re.MULTILINE)  # not "7,860 tokens/s"
    assert len(ends) == 2


def test_ctrl_c_stops_both_and_keeps_what_was_said(terminal):
    """The columns follow the window; Ctrl-C ends both at once, and all that was said is there."""
    opened = terminal(
        "compare", "plain", "wild", *COMMON, "-n", "1000000", environment={"COLUMNS": ""}
    )
    opened.wait(lambda text: "│" in text and "Space pauses" in text)
    assert [user.split()[0] for name in ("plain", "wild") for user in users_of(name)] == [
        "compare"
    ] * 2
    resize(opened, 50, 20)
    opened.wait(lambda text: "│" not in opened.picture and "wild" in opened.picture)
    resize(opened, 80, 24)
    opened.wait(lambda text: re.search(r"\d\d\d tokens .*│ \d\d\d tokens", opened.picture))
    seen = max([row for row in column(opened.screen, 0, 38)[5:18] if row][:-1], key=len)
    opened.interrupt()
    assert opened.wait_end() == 130
    assert seen in opened.text.rpartition("› abc")[2], "what was seen is in the whole"
    assert opened.picture.count("stopped") == 2 and "^C" not in opened.text
    assert users_of("plain") == users_of("wild") == []


def test_markdown_and_a_checkpoint_by_its_folder(registry):
    """The page is a table that GitHub shows as it should; a run's folder is a model too."""
    from markdown_it import MarkdownIt

    done = tuillm(
        "compare",
        "plain",
        registry / "runs" / "wild-1" / "best",
        "-p",
        "-",
        *COMMON[2:],
        "-n",
        40,
        "--markdown",
        stdin="abc | d",
    )
    assert done.returncode == 0 and not set(done.stdout) & set(EVIL)
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(done.stdout)
    assert re.findall("<th>(.*?)</th>", page) == ["plain", "wild-1/best"]
    assert len(re.findall("<td>.*?</td>", page)) == 6 and "abc | d" in page


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["plain", "wlid"], 1, "no model named 'wlid' (did you mean 'wild'?)"),
        (["plain"], 2, "1 model was named (compare takes 2 to 4)"),
        (["plain"] * 5, 2, "5 models were named"),
        (["plain", "wild", "--top-p", "2"], 2, "top_p cannot be 2"),
        (["plain", "wild", "--markdown", "--json"], 2, "choose one"),
        (["plain", "wild", "-p", "FILE:gone.txt"], 2, "gone.txt"),
    ],
)
def test_what_is_typed_wrongly_gets_one_line(arguments, code, words):
    """Names and settings are checked before anything is loaded."""
    assert words in one_line(tuillm("compare", *arguments), code)
