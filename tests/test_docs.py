"""README.md and the pages of docs/ are true: their links, commands, options, keys and tables.

Reads the pages as text and the commands as click declares them; runs no command, asks no network.
"""

import re
import shlex
import tomllib
from functools import cache
from pathlib import Path

import click
import pytest

from tuillm.chat.commands.slash_commands import COMMANDS as SLASH_COMMANDS
from tuillm.chat.commands.slash_commands import command_of
from tuillm.cli.main import tuillm
from tuillm.cli.suggest import ALIASES
from tuillm.config import PRESETS, SamplingConfig, settings_of
from tuillm.config.suggestions import is_foreign

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")] + DOCS
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PAGES}
every_page = pytest.mark.parametrize("page", TEXTS)

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)(`{1,2})(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_SHELL = set("|&;()<>")
# what Textual calls the keys of one character
_KEY_NAMES = {
    "/": "slash",
    "?": "question_mark",
    "+": "plus",
    "=": "equals_sign",
    "-": "minus",
    "[": "left_square_bracket",
    "]": "right_square_bracket",
    ".": "full_stop",
    "~": "tilde",
}


def _prose(text):
    """The page without its code blocks."""
    return _FENCE.sub("", text)


def _inline(text):
    """What stands between backticks, on one line each."""
    return [" ".join(match[2].split()) for match in _INLINE.finditer(_prose(text))]


@cache
def _anchors(path):
    """The anchors that GitHub gives the headings of a page."""
    lines = re.findall(r"^#+ +(.+)$", _prose(path.read_text(encoding="utf-8")), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", line.lower()) for line in lines)
    return {line.replace(" ", "-") for line in plain}


@every_page
def test_relative_links_lead_somewhere(page):
    """Each names a file or folder that is there, and a heading of it where it says one."""
    path, wrong = ROOT / page, []
    for link in _LINK.findall(_prose(TEXTS[page])):
        if re.match(r"\w+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.is_relative_to(ROOT) or not target.exists():
            wrong.append(link)
        elif anchor and anchor not in _anchors(target):
            wrong.append(link)
    assert not wrong


def test_the_pages_are_found_from_the_readme():
    """README.md links to every page of docs/."""
    linked = _LINK.findall(TEXTS["README.md"])
    assert DOCS and not [path.name for path in DOCS if f"docs/{path.name}" not in linked]


def _commands(text):
    """Every `tuillm ...` of a page as words; pipes and redirections end a command."""
    blocks = [match[2] for match in _FENCE.finditer(text) if match[1] in ("", "sh", "bash")]
    lines = [line for block in blocks for line in block.splitlines()]
    for line in lines + _inline(text):
        if "tuillm" not in line:
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError:  # an apostrophe: output or prose, no command
            continue
        command = []
        for word in [*words, ";"]:
            if set(word) <= _SHELL:
                if command[:1] == ["tuillm"]:
                    yield command[1:]
                command = []
            else:
                command.append(word)


@cache
def _options(command):
    """The options of a command, with `-h` and `--help`."""
    found = {"-h", "--help"}
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            found |= {*parameter.opts, *parameter.secondary_opts}
    return found


def _problem(words):
    """What is wrong with the words behind `tuillm`, or ''."""
    command: click.Command = tuillm
    context = click.Context(tuillm, info_name="tuillm")
    for word in words:
        if word.startswith("-") and len(word) > 1:
            option = word.partition("=")[0].replace("_", "-")
            if not re.fullmatch(r"-[.\d]+", word) and option not in _options(command):
                return f"no option {word}"
        elif isinstance(command, click.Group):
            if word in ("...", "VERB"):
                return ""
            verb = ALIASES.get(command.name or "", {}).get(word, word)
            found = command.get_command(context, verb)
            if found is None:
                return f"no command {word}"
            command = found
    return ""


@every_page
def test_commands_and_their_options_exist(page):
    """Every `tuillm VERB --option` in code blocks and inline code is one that click knows."""
    wrong = {
        f"tuillm {shlex.join(words)}": problem
        for words in _commands(TEXTS[page])
        if (problem := _problem(words))
    }
    assert not wrong


def test_a_wrong_command_would_be_found():
    """The reader of commands sees verbs, options and groups, behind pipes as well."""
    text = "```\ncat a | tuillm trian b.txt  # no\n```\n`tuillm chat x --stat` `tuillm runs halt x`"
    found = [_problem(words) for words in _commands(text)]
    assert found == ["no command trian", "no option --stat", "no command halt"]
    assert sum(len(list(_commands(text))) for text in TEXTS.values()) > 100


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in DOCS)])
def test_options_that_stand_alone_exist(page):
    """`--option VALUE` in inline code is an option of some command, or another program's word."""
    known = set(_options(tuillm))
    context = click.Context(tuillm)
    for name in tuillm.list_commands(context):
        command = tuillm.get_command(context, name)
        known |= _options(command)
        for each in getattr(command, "commands", {}).values():
            known |= _options(each)
    words = [re.split(r"[ =|]", code)[0] for code in _inline(TEXTS[page]) if code[:2] == "--"]
    assert not [word for word in words if word not in known and not is_foreign(word)]


def test_the_two_commands_of_the_readme():
    """A stranger pastes them, and `.ci/run` runs them."""
    lines = [line.partition(" #")[0].rstrip() for line in TEXTS["README.md"].splitlines()]
    assert "pip install . && tuillm demo" in lines
    assert "pip install '.[dev]' && pytest -n auto" in lines
    assert len(lines) <= 120


def test_presets_and_sampling_settings_are_complete():
    """The table of presets has each of them, the table of sampling settings too."""
    presets = re.findall(r"^\| `([\w-]+)` \| .* \| .* \|", TEXTS["docs/training.md"], re.MULTILINE)
    assert presets == list(PRESETS)
    chat = TEXTS["docs/chat.md"]
    flags = [each.flag for each in settings_of(SamplingConfig) if each.name != "heal"]
    assert not [flag for flag in flags if f"`{flag}" not in chat]


def test_slash_commands_exist_and_are_complete():
    """Each `/command` of a page is one of the chat's, and docs/chat.md has them all."""
    found = {}
    for page, text in TEXTS.items():
        for code in _inline(text):
            if match := re.match(r"/([a-z]+)(?![\w/.])", code):
                found.setdefault(match[1], set()).add(page)
    for name in found:
        command_of(name)
    assert not [name for name in SLASH_COMMANDS if "docs/chat.md" not in found.get(name, ())]


def test_keys_of_the_dashboard_are_the_usual_ones():
    """Each row of docs/dashboard.md names a binding that is there, with keys that it has."""
    from tuillm.dashboard.keymap import all_bindings

    bound = {each.id: [key.strip() for key in each.key.split(",")] for each in all_bindings()}
    row = re.compile(r"^\| (`.+?`(?: or `.+?`)*) \| .+ \| `([\w.]+)` \|$", re.MULTILINE)
    rows = row.findall(TEXTS["docs/dashboard.md"])
    assert len(rows) > 50
    for keys, name in rows:
        typed = [_KEY_NAMES.get(key, key) for key in re.findall("`(.+?)`", keys)]
        assert set(typed) <= set(bound.get(name, ())), f"{keys} of {name}: {bound.get(name)}"


def test_themes_are_complete():
    """docs/dashboard.md has every theme that is shipped, on the background it is made for."""
    shipped = {
        path.stem: tomllib.loads(path.read_text(encoding="utf-8"))["dark"]
        for path in (ROOT / "themes").glob("*.toml")
    }
    for dark, head in ((True, "dark"), (False, "light")):
        row = re.search(rf"^\| {head} \|.*$", TEXTS["docs/dashboard.md"], re.MULTILINE)[0]
        assert set(re.findall(r"`(\w+)`", row)) == {
            name for name, its in shipped.items() if its is dark
        }
