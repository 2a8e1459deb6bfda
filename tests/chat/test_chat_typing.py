"""The chat in a real pseudo-terminal: history, Tab, texts of several lines, pastes, odd lines."""

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def chat(talk):
    """The chat on a small model, with very short replies."""
    return talk("--seed", "1", "-n", "5")


def shown(chat, keys, line):
    """Press keys and wait until the line that is typed looks like this; return the screen."""
    chat.press(keys)
    chat.wait(lambda text: chat.line == f"› {line}".rstrip())
    return chat.picture


def typed(kept):
    """What the person said, as the conversation that was kept last has it."""
    return [node["text"] for node in kept()[-1]["tree"]["nodes"] if node["who"] == "you"]


def test_one_types_while_the_model_loads(talk):
    """The prompt is there before the model; what is sent meanwhile waits for it and is answered."""
    chat = talk("--seed", "1", "-n", "5", wait=False)
    assert "loading" in chat.wait(lambda text: "top_k" in chat.toolbar)
    assert shown(chat, "Marda sa", "Marda sa")
    assert "temperature is 0.5" in chat.say("\x15/set temperature 0.5")
    assert chat.say("Marda said").strip()


def test_what_is_typed_while_the_model_loads_waits_unseen(talk):
    """Keys pressed after a line was sent do not spoil the screen: they stand in the next prompt."""
    chat = talk("-n", "5", wait=False)
    chat.type("Marda said")
    chat.wait("loading book")
    chat.press("and so")
    chat.wait(lambda text: chat.line == "› and so")
    assert chat.raw.count(b"and so") == 1


def test_tab_completes_and_describes(talk, letters, home, tmp_path, monkeypatch):
    """Commands, settings, values, models, conversations, themes and files, each in a few words."""
    (home / "models" / "mo\x1b[41;5m\u202edel").mkdir()
    (tmp_path / "story.md").touch()
    monkeypatch.chdir(tmp_path)
    chat = talk("-n", "5")
    for keys, offered in (
        ("/s\t", ("set ", "change a setting", "sessions", "kept conversations", "score")),
        ("/set \t", ("temperature", "0 always takes the likeliest", "profile")),
        ("/set temperature \t", ("0.8", "as it is now", "1.4", "wild")),
        ("/set profile \t", ("greedy", "always the likeliest token")),
        ("/model \t", ("book", "letters", "parameters")),
        ("/theme \t", ("lamplight", "warm light on a dark page")),
        ("/mode \t", ("completion", "take turns")),
        ("/help \t", ("regen", "another reply")),
    ):
        chat.press(keys)
        chat.wait(
            lambda text, offered=offered: (
                chat.line.startswith("› /") and all(word in chat.picture for word in offered)
            )
        )
        assert "[41" not in chat.picture, "a name that no person gave is not offered"
        before = chat.row
        chat.interrupt()
        chat.wait_prompt(before)
    shown(chat, "/prof\t", "/profile")
    shown(chat, " sa\t", "/profile save")
    shown(chat, "\x15/export sto\t", "/export story.md")
    before = chat.row
    chat.interrupt()
    chat.wait_prompt(before)
    chat.say("Marda said")
    chat.press("/load \t")
    chat.wait("book-")
    assert b"\x1b[41;5m" not in chat.raw and "\u202e".encode() not in chat.raw


def test_what_was_typed_is_found_again(chat, talk):
    """Up and Ctrl-R find it, a suggestion stands ahead of the cursor; in the next chat, too."""
    chat.say("Marda and the ferry")
    chat.say("The road")
    shown(chat, "\x1b[A", "The road")
    shown(chat, "\x1b[A", "Marda and the ferry")
    shown(chat, "\x1b[B\x1b[B", "")
    chat.leave()
    assert chat.wait_end() == 0
    chat = talk("-n", "5")
    shown(chat, "\x1b[A", "The road")
    shown(chat, "\x15Mar", "Marda and the ferry")
    shown(chat, "\x1b[C", "Marda and the ferry")
    chat.press("\x15\x12ferr")
    chat.wait(lambda text: "I-search backward: ferr" in text and "› Marda and the ferry" in text)
    chat.press("\r")
    chat.wait(lambda text: "I-search" not in chat.picture)
    shown(chat, "\x05!", "Marda and the ferry!")
    before = chat.row
    chat.press("\r")
    chat.wait_prompt(before)
    assert 'took back "Marda and the ferry!"' in chat.say("/undo")


def test_texts_of_several_lines(chat, kept):
    """Alt-Enter begins a line; so does Enter in a text between three quotes and three quotes."""
    chat.press("one\x1b\rtwo")
    chat.wait("› one\n· two")
    chat.press("\r")
    chat.wait(lambda text: chat.line == "›" != chat.toolbar)
    before = chat.row
    chat.press('"""a\r')
    chat.wait('› """a\n·')
    chat.press('\r/show"""\r')
    chat.wait(lambda text: chat.row > before + 3 and chat.line == "›" != chat.toolbar)
    assert typed(kept) == ["one\ntwo", "a\n\n/show"]


def test_pastes_are_one_text_and_cannot_act(chat, kept):
    """Lines that are pasted wait for Enter; control characters in them are left out."""
    chat.press("\x1b[200~one\r\ntwo\x1b[41;5m\x07\x9b3m \u202ethree\x1b]0;title\x07\rfour\x1b[201~")
    chat.wait("› one\n· two[41;5m3m three]0;title\n· four")
    chat.press("!\r")
    chat.wait(lambda text: chat.line == "›" != chat.toolbar)
    assert typed(kept) == ["one\ntwo[41;5m3m three]0;title\nfour!"]
    chat.press("\x11\x1b")  # Ctrl-Q takes the next key as a character
    chat.wait("› ^[")
    chat.press("\u202eabc")
    chat.wait("› ^[<202e>abc")
    for evil in (b"\x1b[41;5m", b"\x07", "\u202e".encode(), b"\x1b]0;"):
        assert evil not in chat.raw


def test_odd_lines(chat, kept):
    """Unknown commands name the nearest, // is text with a slash, an empty line goes on."""
    assert "there is no command /hlp (did you mean 'help'?)" in chat.say("/hlp")
    assert "// begins text with a slash" in chat.say("/usr/bin/zqx")
    assert "/help lists all" in chat.say("/")
    assert "Ctrl-D" in chat.say("/help quit"), "which is /bye here"
    chat.say("//help me")
    assert typed(kept) == ["/help me"]
    chat.say("")
    chat.say("<|endoftext|>")
    nodes = kept()[-1]["tree"]["nodes"]
    assert [node["who"] for node in nodes] == ["you", "model", "model", "you", "model"]
    assert len(nodes[3]["ids"]) > 5, "typed by a person it is plain text"
    shown(chat, "half a thou", "half a thou")
    before = chat.row
    chat.interrupt()
    chat.wait_prompt(before)
    assert len(kept()[-1]["tree"]["nodes"]) == 5
    chat.press("\x1b[31337m\x1b[<1Mx\x7f")  # like a mouse's, and none
    chat.leave()
    assert chat.wait_end() == 0 and chat.text.rstrip().endswith("›")
    assert "went wrong" not in chat.text


def test_vi_keys(chat, talk):
    """/vi changes the keys of the prompt and back; --vi begins with them."""
    assert chat.say("/vi") == "vi keys"
    shown(chat, "abc\x1b0x", "bc")
    chat.press("ddi")
    shown(chat, "/vi", "/vi")
    before = chat.row
    chat.press("\r")
    chat.wait_prompt(before)
    assert chat.since(before) == "emacs keys"
    shown(chat, "abc\x01\x04", "bc")
    shown(talk("--vi"), "abc\x1b0x", "bc")


def test_a_model_that_cannot_be_loaded_ends_the_chat(talk, home, model):
    """What is wrong with it is the last line, and the exit code is 1."""
    path = home / "models" / model / "tokenizer.json"
    path.write_bytes(path.read_bytes()[:-10])  # looked at only when it is loaded
    chat = talk("--seed", "1", wait=False)
    chat.type("hello")
    assert chat.wait_end() == 1
    # however the line of a long path was broken
    assert "tuillm: " in chat.text and "tokenizer.jsonisdamaged" in "".join(chat.text.split())
