"""A walk of every verb through a home full of hostile names, cards and figures.

Nothing that came out of the data acts on the terminal, nothing ends with a traceback, and what is
called JSON is JSON. A new verb has to be added to the walk, or a test fails.
"""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hostile import EVIL, NAMES, NUMBERS, acts, hostile_home, text_of

from tuillm.cli.main import COMMANDS
from tuillm.cli.runs import runs_command
from tuillm.errors import printable

CLI = Path(sys.modules["tuillm.cli.main"].__file__).parent
WALKING = Path(__file__).parents[1] / "walking.py"
NAMED = [text_of(name) for name in NAMES]
ALL = [*NAMED, *(f"number-{number}" for number in range(len(NUMBERS)))]
SHORT = ["-n", "3", "--seed", "1"]
MISSING = [f"no {EVIL}", "no caf\udce9", "x" * 300, "[/]"]

# verb -> command lines without the verb; TEXT and OUT are a file and a folder of hostile names,
# EVIL is a file of hostile words
VISITS = {
    "dashboard": [[], [EVIL]],
    "demo": [["--no-chat"], [EVIL]],
    "train": [
        *([name] for name in MISSING),
        ["TEXT", "--name", EVIL],
        ["TEXT", "--preset", EVIL],
        ["TEXT", "--config", EVIL],
        ["TEXT", "--config", "TEXT"],
        ["TEXT", "--from", EVIL],
        ["TEXT", "--from", NAMED[0]],
        ["http://x\x1b[31337m.invalid/b"],
        [f"--{EVIL}"],
        ["TEXT", "--device-kind", EVIL],
        ["TEXT", "--forecast", "--device-kind", EVIL],
        ["--forecast", "--device-kind", "h100", "--tokens", EVIL],
        ["--forecast", "--device-kind", "h100", "--nnodes", EVIL, "--tokens", "9B"],
        ["--forecast", "--device-kind", "h100", "--tokens", "9B", "--preset", "gpt2"],
        [f"no {EVIL}", "--forecast", "--device-kind", "h100"],
    ],
    "prepare": [
        *([name] for name in MISSING),
        ["TEXT"],
        ["TEXT", "--json"],
        ["TEXT", "--glob", EVIL],
        ["TEXT", "--text-field", EVIL],
        ["TEXT", "--from", EVIL],
        ["EVIL", "--as-text"],
        ["http://x\x1b[31337m.invalid/b"],
        ["hf://datasets/\x1b[31337m"],
    ],
    "explore": [
        *([name] for name in MISSING),
        ["TEXT"],
        ["TEXT", "--json"],
        ["TEXT", "--html", "OUT"],
        ["TEXT", "--html", EVIL],
        ["TEXT", "--html", "TEXT"],
        ["TEXT", "--encoding", EVIL],
        ["EVIL", "--as-text"],
        ["EVIL", "--as-text", "--json"],
    ],
    "pull": [
        [],
        ["--json"],
        *([name] for name in MISSING),
        *([word, "--cancel"] for word in NAMED),
        *([name, "--discard"] for name in NAMED),
    ],
    "push": [
        *([name, "me/x", "--yes"] for name in MISSING),
        [NAMED[0], EVIL, "--yes"],
        *([name, "me/x", "--yes"] for name in NAMED),
        [NAMED[0], "me/x"],
    ],
    "chat": [[name] for name in MISSING],
    "generate": [
        *([name] for name in MISSING),
        ["TEXT"],
        ["-p", f"FILE:{EVIL}", NAMED[0]],
        ["-p", "FILE:TEXT", NAMED[0], "--top-k", EVIL],
    ],
    "compare": [[NAMED[0], name] for name in MISSING],
    "eval": [*([name, "TEXT"] for name in MISSING), [NAMED[0], EVIL], [EVIL]],
    "verify": [[name] for name in MISSING],
    "list": [[], ["--json"], [EVIL]],
    "show": [*(["--", name] for name in [*ALL, *MISSING]), *(["--json", "--", n] for n in ALL)],
    "rename": [
        *(["--", name, EVIL] for name in NAMED[:3]),
        ["--", NAMED[0], "plain"],
        *(["--", name, "other"] for name in MISSING),
        ["--", NAMED[1], "plain"],
    ],
    "cp": [
        *(["--", name, EVIL] for name in NAMED[:3]),
        ["--", NAMED[0], "plain"],
        *(["--", name, "other"] for name in MISSING),
        ["--", NAMED[1], "plain"],
    ],
    "import": [*([name] for name in MISSING), ["TEXT"], ["TEXT", "--name", EVIL]],
    "export": [
        *(["--", name, "OUT"] for name in MISSING),
        ["--", NAMED[0], "OUT"],
        ["--", NAMED[1], "OUT"],
        ["--to", EVIL, "--", NAMED[1], "OUT"],
    ],
    "rm": [*(["--", name] for name in [*NAMED, *MISSING]), *(["-y", "--", n] for n in NAMED)],
    "doctor": [[], ["--json"], ["--mend"], ["--mend", "--yes"], [EVIL]],
    "presets": [[], ["--json"], ["nano"], ["nano", "--json"], *([name] for name in MISSING)],
    "bench": [
        [EVIL],
        *(["--no-peers", "--", name] for name in MISSING),
        ["--dtype", EVIL],
        ["--threads", EVIL],
        ["--rounds", EVIL],
    ],
    "runs": [
        [],
        ["--json"],
        ["list"],
        ["list", "--json"],
        [EVIL],
        *(["show", "--", name] for name in [*ALL, *MISSING]),
        *(["show", "--json", "--", name] for name in ALL),
        *(["attach", "--", name] for name in ALL),
        *(["attach", "--json-lines", "--", name] for name in ALL),
        *([verb, "--", name] for verb in ("stop", "pause", "attach") for name in MISSING),
        *([verb, "--", NAMED[0]] for verb in ("stop", "pause", "resume")),
        *(["log", "--to", "csv", "--", name] for name in [*NAMED[:3], *MISSING]),
        ["log", NAMED[0], "--to", EVIL],
        ["log", EVIL, "--to", "csv"],
        ["queue"],
        *(["queue", "--", name, "up"] for name in [*NAMED[:2], *MISSING]),
        ["queue", NAMED[0], EVIL],
        ["extend", NAMED[0], EVIL],
        ["extend", EVIL, "3"],
        ["rm", "--", *MISSING],
        *(["rm", "--", name] for name in NAMED[:3]),
        *(["rm", "-y", "--", name] for name in NAMED),
    ],
}
# those that load a model take seconds
LOADING = {
    "chat": [[*SHORT, "--", name] for name in NAMED[:2]] + [["--json", *SHORT, "--", NAMED[0]]],
    "generate": [
        ["-p", f"say {EVIL}", *SHORT, "--stats", "--", NAMED[0]],
        ["--json", *SHORT, "--", NAMED[1]],
    ],
    "compare": [
        [*SHORT, *more, "--", NAMED[0], NAMED[1]]
        for more in (["-p", EVIL], ["--json"], ["--markdown"])
    ]
    + [["--", NAMED[0], "number-0"]],
    "eval": [["--", NAMED[0], NAMED[1], "TEXT"], ["--json", "--", NAMED[0], "TEXT"]],
    "import": [["MODEL", "--name", "mine"], ["MODEL"]],
    "export": [["--to", "gguf", "--", NAMED[0], "OUT"], ["--to", "ollama", "--", NAMED[1], "OUT"]],
    "train": [
        ["TEXT", "--preset", "nano", "--max-steps", "2", "--name", "mine"],
        [
            "TEXT",
            "--preset",
            "nano",
            "--max-steps",
            "2",
            "--name",
            "mine",
            "--replace",
            "--json-lines",
        ],
        ["TEXT", "--preset", "nano", "--forecast"],
    ],
}


@pytest.fixture(scope="module")
def home_to_copy(tmp_path_factory, trained_folders):
    return hostile_home(tmp_path_factory.mktemp("hostile") / "home", trained_folders["bpe"])


@pytest.fixture
def walk(home_to_copy, home, tmp_path, book, terminal, monkeypatch):
    """A function that runs all of a verb's command lines, piped or on a terminal."""
    monkeypatch.chdir(tmp_path)  # where a page of such a name is written
    subprocess.run(["cp", "-r", home_to_copy, home], check=True)
    text, model = tmp_path / NAMED[0], tmp_path / f"m{NAMED[1]}"
    text.write_text(book.read_text()[:9000], encoding="utf-8")
    shutil.copytree(home / "models" / NAMED[0], model)
    words = tmp_path / "words"
    words.write_text(f"w{EVIL}rd {EVIL}\n" * 50, encoding="utf-8")
    places = {
        "EVIL": str(words),
        "TEXT": str(text),
        "MODEL": str(model),
        "FILE:TEXT": f"FILE:{text}",
    }

    def run(verb, lines, piped):
        commands = [
            [
                verb,
                *(
                    str(tmp_path / f"out-{number}{EVIL}")
                    if word == "OUT"
                    else places.get(word, word)
                    for word in line
                ),
            ]
            for number, line in enumerate(lines)
        ]
        place = tmp_path / "commands.json"
        place.write_text(json.dumps(commands))
        codes = _piped(place, tmp_path) if piped else _drawn(terminal, place)
        assert len(codes) == len(commands) and set(codes) <= {0, 1, 2, 130}, codes
        return commands, codes

    return run


def _piped(place, folder):
    done = subprocess.run(
        [sys.executable, WALKING, place, folder],
        input=b"Some words.\n",
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(place.with_name("codes.json").read_text())


def _drawn(terminal, place):
    opened = terminal(place, program=[str(WALKING)])
    opened.press("n\r" * 40)  # to the questions that come
    assert opened.wait_end() == 0, opened.text
    assert acts(opened.raw) == []
    assert b"Traceback" not in opened.raw, opened.text
    return json.loads(place.with_name("codes.json").read_text())


def _check_piped(commands, codes, folder):
    """Each command's two outputs, and that JSON is JSON."""
    for number, (command, code) in enumerate(zip(commands, codes, strict=True)):
        out, err = ((folder / f"{number}.{name}").read_bytes().decode() for name in ("out", "err"))
        assert "Traceback" not in out + err, (command, out, err)
        assert printable(err) == err, command
        options = command[: (command + ["--"]).index("--")]  # behind it stand names
        raw = command[0] in ("generate", "chat")  # their text is data for the next program
        if not raw or "--json" in options:
            assert printable(out) == out, command
        assert err.startswith("tuillm: ") == (code in (1, 2)) or code == 130, (command, err)
        assert code not in (1, 2) or err.count("\n") == 1, (command, err)
        if code == 0 and "--json" in options and not raw:
            json.loads(out, parse_constant=pytest.fail)
        elif "--json" in options or "--json-lines" in options:
            for line in out.splitlines():
                json.loads(line, parse_constant=pytest.fail)


def test_the_walk_visits_every_verb():
    """A verb that is added to tuillm is added here, too."""
    assert VISITS.keys() == COMMANDS.keys()
    assert runs_command.commands.keys() == {
        line[0] for line in VISITS["runs"] if line and line[0] in runs_command.commands
    }


@pytest.mark.everyday(4)
@pytest.mark.parametrize("verb", COMMANDS)
def test_piped(verb, walk, tmp_path):
    """Piped, not a single control character comes out, and one line says what is wrong."""
    commands, codes = walk(verb, VISITS[verb], piped=True)
    _check_piped(commands, codes, tmp_path)


@pytest.mark.everyday(1)
@pytest.mark.parametrize(
    "verb",
    [
        verb
        if verb in ("list", "show", "rm", "pull")
        else pytest.param(verb, marks=pytest.mark.slow)
        for verb in COMMANDS
    ],
)
def test_on_a_terminal(verb, walk):
    """On a terminal nothing of the data acts on it."""
    walk(verb, [line for line in VISITS[verb] if (verb, line) != ("dashboard", [])], piped=False)


@pytest.mark.slow
@pytest.mark.parametrize("verb", LOADING)
def test_piped_with_a_model(verb, walk, tmp_path):
    """The verbs that compute."""
    commands, codes = walk(verb, LOADING[verb], piped=True)
    _check_piped(commands, codes, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("verb", sorted(LOADING.keys() - {"chat"}))
def test_on_a_terminal_with_a_model(verb, walk):
    """The verbs that compute, on a terminal; the chat has its own tests there."""
    walk(verb, LOADING[verb], piped=False)


@pytest.mark.parametrize("path", sorted(CLI.glob("*.py")), ids=lambda path: path.name)
def test_nothing_is_printed_but_through_the_gate(path):
    """`output` alone writes to a stream, asks a question, or makes a console for rich."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = [ast.unparse(call.func) for call in calls]
    around = {
        "print",
        "input",
        "click.echo",
        "click.secho",
        "click.confirm",
        "click.prompt",
        "click.echo_via_pager",
        "click.pause",
        "click.progressbar",
        "Console",
        "SafeConsole",
        "sys.stdout.write",
        "sys.stderr.write",
        "sys.stdout.buffer.write",
        "os.write",
    }
    assert path.name == "output.py" or not around & set(names)
    for call, name in zip(calls, names, strict=True):
        # without a console of ours rich makes its own, and reads markup in what it is given
        assert name not in ("Live", "Progress") or "console" in {each.arg for each in call.keywords}
        assert (
            name != "TextColumn"
            or "markup" in {each.arg for each in call.keywords}
            or ("{task.description}" not in ast.unparse(call) and "fields" not in ast.unparse(call))
        )


def test_rich_has_one_console():
    """All of tuillm draws with rich through the console that leaves out what acts."""
    makers = [
        path
        for path in CLI.parent.rglob("*.py")
        if re.search(
            r"(?<!Safe)\bConsole\(|rich import print|get_console", path.read_text(encoding="utf-8")
        )
    ]
    assert makers == []
