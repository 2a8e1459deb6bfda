"""The chat in a real pseudo-terminal: what acts on terminals is shown harmlessly wherever it is.

In replies, surprise, branches, titles, names of models and files, and in what is told of errors.
"""

import json
import re
import shutil
from typing import Any

import pytest

from tuillm import Sampler
from tuillm.chat.conversation.serialize import to_saved
from tuillm.chat.conversation.session import Session
from tuillm.chat.conversation.tree import Node, Tree
from tuillm.config import SamplingConfig
from tuillm.store.registry import find_model
from tuillm.store.sessions import save_session

pytestmark = pytest.mark.slow

# a blinking ground, a title, a reset, a bell, C1's CSI, an override: none of them is ever ours
EVIL = "\x1b[41;5mred \x1b]0;title\x07 \x1bcreset \x9b5mblink\u202eback\u2066to\rfront"
RAW = (
    b"\x1b[41;5m",
    b"\x1b]",
    b"\x07",
    b"\x1bc",
    "\x9b".encode(),
    "\u202e".encode(),
    "\u2066".encode(),
    b"5mblink\xe2",
)
SHOWN = "[41;5mred ]0;title creset 5mblinkbacktofront"
# a terminal's own: colours, the cursor, keypad and modes
OURS = re.compile(rb"(?s)(?:[^\x1b]|\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>78M])*")


def harmless(chat):
    """Whether nothing evil was ever sent to the terminal, nor stands on its screen."""
    assert not [evil for evil in RAW if evil in chat.raw]
    assert OURS.fullmatch(chat.raw) and "\u202e" not in chat.text
    return True


@pytest.fixture
def evil_model(home, trained_folders):
    """A model whose commonest letters are ESC, bell, carriage return and an override."""
    folder = home / "models" / "evil"
    shutil.copytree(trained_folders["char"], folder)
    spec = json.loads((folder / "tokenizer.json").read_text())
    vocab = spec["model"]["vocab"]
    unused = [name for name in vocab if name.startswith("<0x")]
    for letter, evil in zip("etao", ("<0x1B>", "<0x07>", "<0x0D>", "\u202e"), strict=True):
        id_of_letter = vocab.pop(letter)
        if evil in vocab:
            vocab[letter] = vocab.pop(evil)
        else:
            vocab[letter] = vocab.pop(unused[0])
        vocab[evil] = id_of_letter
    (folder / "tokenizer.json").write_text(json.dumps(spec))
    return "evil"


def test_replies_of_an_evil_model(talk, evil_model, kept):
    """It says ESC, bells, carriage returns, overrides; nobody sees anything of them.

    All commands that show its words do so, too.
    """
    chat = talk("--seed", "1", "-n", "120", name=evil_model)
    chat.say("Mr")
    said = kept()[-1]["tree"]["nodes"][-1]["text"]
    assert {"\x1b", "\x07", "\r", "\u202e"} <= set(said)
    for command in (
        "/why",
        "/why 3",
        "/regen",
        "/branches",
        "/goto 2",
        "/score Mr",
        "/compare evil",
        "/sessions",
        "/mode chat",
        "go",
        "/show",
    ):
        chat.say(command)
    before = chat.row
    chat.type("/edit reply")
    chat.wait(lambda text: chat.row > before + 1 and "^[" in chat.picture)
    chat.interrupt()
    chat.wait_prompt(before)
    assert harmless(chat)


@pytest.fixture
def evil_session(home, model):
    """A kept conversation whose texts are evil, in a file of an evil name."""
    tree, tokenizer = Tree(), Sampler(model).tokenizer
    turns: list[tuple[Any, int | None, str]] = [
        ("you", None, f"one {EVIL}"),
        ("model", 1, f" two {EVIL}"),
        ("model", 1, f" three {EVIL}"),
    ]
    for who, parent, text in turns:
        ids = tokenizer.encode(text)
        tree.append(Node(who, parent, text, ids, forced=len(ids)))
    session = Session(Sampler(model), SamplingConfig(), tree=tree)
    id = save_session(to_saved(session, find_model(model))).head.id
    shutil.copy(home / "chats" / f"{id}.json", home / "chats" / f"x{EVIL}.json")
    (home / "chats" / f"broken{EVIL}.json").write_text("{}")
    return id


def test_a_conversation_and_files_with_evil_names(talk, evil_session, home, tmp_path):
    """Titles, tails, branches, prefilled edits, names of conversations, models and files."""
    evil_folder = home / "models" / f"m{EVIL}".replace("/", "")
    evil_folder.mkdir()
    (evil_folder / "config.json").write_text("{}")
    chat = talk("--seed", "1", "-n", "12", columns=120, lines=50)
    page = chat.say("/sessions all")
    assert page.count(f"one {SHOWN[:20]}") == 2 and f"broken{SHOWN}" in page
    loaded = chat.say(f"/load {evil_session}")
    assert f"three {SHOWN}" in loaded
    assert f"two {SHOWN[:20]}" in chat.say("/branches")
    assert SHOWN[:20] in chat.say("/goto 2")
    assert "probability" in chat.say("/why") and chat.say("/why 3")
    for command, seen in (("/edit reply", "^[]0;title^G"), ("/edit", "^[]0;title^G")):
        chat.type(command)
        chat.wait(lambda text, seen=seen: seen in chat.picture.split("change it")[-1])
        before = chat.row
        chat.interrupt()
        chat.wait_prompt(before)
    chat.say("")
    for keys in ("/load \t", "/model \t", "/compare \t"):
        chat.press(keys)
        chat.wait(lambda text, keys=keys: chat.line.startswith(f"› {keys[:3]}"))
        chat.press("\x15")
        chat.wait(lambda text: chat.line == "›")
    chat.say("/set stop 5mblink")
    chat.say(f"/export {tmp_path}/page.md")
    assert SHOWN[:15] in (tmp_path / "page.md").read_text().replace("\\", "")
    assert harmless(chat)


def test_errors_tell_evil_names_harmlessly(terminal, talk, home, tmp_path, trained_folders):
    """A name on the command line, a theme, a file, a model folder, pasted commands."""
    wrong = terminal("chat", f"no{EVIL}")
    assert wrong.wait_end() == 1
    assert "no model named" in wrong.text and harmless(wrong)
    folder = tmp_path / f"f{EVIL}"
    shutil.copytree(trained_folders["bpe"], folder)
    chat = talk("--seed", "1", "-n", "12", name=str(folder), columns=200)
    assert "continues your text" in chat.text and SHOWN in chat.toolbar
    for command in (
        "/no",
        "/set ",
        "/model ",
        "/load ",
        "/theme ",
        "/mode ",
        "/export ",
        "/profile save ",
        "/goto ",
        "/why ",
        "/help ",
        "/set profile ",
    ):
        before = chat.row
        chat.press(f"{command}\x11\x1b\x11\x07\u202ex\x9b\r")
        chat.wait_prompt(before)
    assert chat.say("Marda said")
    assert harmless(chat)
