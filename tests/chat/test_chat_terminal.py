"""The chat in a real pseudo-terminal: what is typed, what is seen, what Ctrl-C and Ctrl-D do."""

import re
import shutil

import pytest


@pytest.fixture
def chat(terminal, model):
    """The chat on a small model, waiting for the first line."""
    opened = terminal("chat", model, "--seed", "1", "-n", "40")
    opened.wait("\n›")
    return opened


def ready(text):
    """Whether the last line with text above the toolbar is an empty prompt."""
    lines = [line for line in text.splitlines() if line.strip()]
    return len(lines) > 1 and lines[-2].strip() == "›" and "tokens/s" in lines[-1]


def test_a_reply_streams_and_the_toolbar_shows_the_figures(chat):
    """A line of text gets a reply; the toolbar has model, settings, speed and context used."""
    chat.type("Marda said")
    screen = chat.wait(ready)
    toolbar = screen.rstrip().splitlines()[-1]
    assert re.search(r"book  temperature 0.8  top_k 200 .* tokens/s  context \d+/32", toolbar)
    chat.leave()
    assert chat.wait_end() == 0


def test_settings_are_set_shown_and_checked(chat):
    """/set changes a setting for the next reply, a wrong value or name gets one line."""
    chat.type("/set temperature 0.7")
    chat.wait("temperature is 0.7")
    chat.wait("temperature 0.7  top_k 200")
    chat.type("/set top_k 40")
    chat.wait("top_k is 40")
    chat.type("/show")
    chat.wait(lambda text: re.search(r"top_k +40", text))
    chat.type("/set top_p 2")
    chat.wait("top_p cannot be '2' (allowed: 0 < number <= 1)")
    chat.type("/set temprature 1")
    chat.wait("did you mean 'temperature'?")
    chat.type("/bye")
    assert chat.wait_end() == 0


def test_an_unknown_command_names_the_nearest_and_help_lists_all(chat):
    """/hlp is no command; /help has every command on it."""
    chat.type("/hlp")
    chat.wait("did you mean 'help'?")
    chat.type("/help")
    chat.wait(lambda text: all(f"/{name}" in text for name in
                               ("help", "set", "show", "regen", "clear", "bye")))


def test_regen_draws_another_reply_and_clear_forgets(chat):
    """/regen gives a different reply to the same text; /clear empties the context."""
    chat.type("/regen")
    chat.wait("there is no reply to draw again")
    chat.type("Marda said")
    chat.wait(ready)
    first = replies(chat.text)[-1]
    chat.type("/regen")
    chat.wait(lambda text: ready(text) and len(replies(text)) == 2)
    assert replies(chat.text)[-1] != first
    chat.type("/clear")
    chat.wait("the text is forgotten")
    chat.wait("context 0/32")
    chat.type("Marda said")
    chat.wait(lambda text: ready(text) and len(replies(text)) == 3)
    assert replies(chat.text)[-1] == first, "same seed, same text so far, same reply"


def replies(screen):
    """The replies on a screen: what stands between a line with text or /regen and the next note."""
    parts = re.split(r"^› ", screen, flags=re.M)[1:]
    cut = (re.split(r"\nthe context was full|\n book  ", part)[0] for part in parts)
    return [part.split("\n", 1)[1].removeprefix("loading book\n").strip() for part in cut
            if part.startswith(("Marda said\n", "/regen\n")) and "no reply" not in part]


def test_ctrl_c_stops_the_reply_and_not_the_program(chat):
    """Ctrl-C in a long reply gives the prompt back at once, and the chat goes on."""
    chat.type("/set max_new_tokens 1000000")
    chat.wait("max_new_tokens is")
    chat.type("Tib")
    before = chat.wait(lambda text: text.count("\n") > 40)
    chat.interrupt()
    chat.wait(ready)
    assert len(chat.text) >= len(before)
    chat.type("/set max_new_tokens 10")
    chat.wait("max_new_tokens is 10")
    chat.type("Marda")
    chat.wait(ready)
    chat.leave()
    assert chat.wait_end() == 0


def test_ctrl_c_on_the_prompt_clears_the_line(chat):
    """A half-typed line goes away with Ctrl-C; Ctrl-D on an empty line leaves."""
    chat.press("half a thou")
    chat.wait("half a thou")
    chat.interrupt()
    chat.wait(lambda text: text.rstrip().splitlines()[-2].strip() in ("›", ""))
    chat.leave()
    assert chat.wait_end() == 0


def test_what_was_typed_is_remembered(chat, home, terminal, model):
    """The next chat finds what was typed with the up key."""
    chat.type("Marda and the ferry")
    chat.wait(ready)
    chat.leave()
    chat.wait_end()
    second = terminal("chat", model)
    second.wait("\n›")
    second.press("\x1b[A")
    second.wait("› Marda and the ferry")


def test_control_characters_of_a_model_never_reach_the_terminal(terminal, home, trained_folders):
    """A model whose vocabulary spells escape sequences shows them harmlessly."""
    import json

    folder = home / "models" / "evil"
    shutil.copytree(trained_folders["char"], folder)
    spec = json.loads((folder / "tokenizer.json").read_text())
    vocab = spec["model"]["vocab"]
    unused = [name for name in vocab if name.startswith("<0x")]
    # the commonest letters become ESC, bell, carriage return and a text-direction override
    for letter, evil in zip("etao", ("<0x1B>", "<0x07>", "<0x0D>", "\u202e"), strict=True):
        id_of_letter = vocab.pop(letter)
        if evil in vocab:
            vocab[letter] = vocab.pop(evil)
        else:
            vocab[letter] = vocab.pop(unused[0])
        vocab[evil] = id_of_letter
    (folder / "tokenizer.json").write_text(json.dumps(spec))
    chat = terminal("chat", "evil", "--seed", "1", "-n", "200")
    chat.wait("\n›")
    start = len(chat.raw)
    chat.type("Mr")
    chat.wait(ready)
    reply = chat.raw[start:]
    assert b"\x07" not in reply
    assert "\u202e".encode() not in reply
    # every escape sequence left is one of the terminal's own: CSI, or OSC-free two-byte forms
    assert re.fullmatch(rb"(?s)(?:[^\x1b]|\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>78M])*", reply)


def test_the_chat_wants_a_terminal(model):
    """Piped, the chat says what to use instead."""
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-m", "tuillm", "chat", model], input="hello",
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "tuillm generate book" in done.stderr
