"""The chat in a real pseudo-terminal: replies stream and stop, settings and keys steer them."""

import re

import pytest

SETTINGS = {
    "temperature": ("0.7", "0.7"),
    "top_k": ("40", "40"),
    "top_p": ("0.9", "0.9"),
    "min_p": ("0.05", "0.05"),
    "repetition_penalty": ("1.1", "1.1"),
    "max_new_tokens": ("12", "12"),
    "n_keep": ("4", "4"),
    "heal": ("no", "no"),
    "seed": ("7", "7"),
    "stop": ('"THE END" "\\n\\n"', r"'THE END' '\n\n'"),
}


@pytest.fixture
def chat(talk):
    """The chat on a small model, with replies of 40 tokens."""
    return talk("--seed", "1", "-n", "40")


def test_a_reply_streams_and_the_toolbar_shows_the_figures(talk):
    """A line of text gets a reply; the toolbar has model, settings, speed and context used.

    It does so in fewer words in a narrow window.
    """
    chat = talk("--seed", "1", "-n", "40", columns=100)
    assert "book continues your text. /help explains" in chat.text
    assert len(chat.say("Marda said")) > 60
    assert re.fullmatch(
        r" book  temperature 0.8  top_k 200  first token \d\.\d\d s  "
        r"[\d,]+ tokens/s  context \d+/32",
        chat.toolbar,
    )
    chat.leave()
    assert chat.wait_end() == 0
    small = talk("--seed", "1", "-n", "40", columns=60)
    small.say("Marda said")
    assert re.fullmatch(
        r" book  temp 0.8  top_k 200  (\d\.\d\d s  )?[\d,]+ tok/s  \d+/32", small.toolbar
    )


@pytest.mark.slow
def test_every_setting_is_set_shown_and_checked(chat):
    """/set changes each setting, /show tells all; a wrong value or name gets one line."""
    for name, (typed, shown) in SETTINGS.items():
        assert chat.say(f"/set {name} {typed}") == f"{name} is {shown}"
    assert "temperature 0.7  top_k 40" in chat.wait("temperature 0.7")
    page = chat.say("/show")
    for name, (_, shown) in SETTINGS.items():
        assert re.search(rf"^  {name} +{re.escape(shown)}  ", page, re.M), name
    assert "top_p cannot be 2 (allowed: 0 < number <= 1)" in chat.say("/set top_p 2")
    assert "did you mean 'temperature'?" in chat.say("/set temprature 1")
    assert "as in /set temperature 0.7" in chat.say("/set")
    about = chat.say("/set top_p")
    assert about.startswith("top_p is 0.9: choose among") and "0 < number <= 1" in about
    assert chat.say("/set stop none") == "stop is none"
    assert chat.say("/set seed auto") == "seed is auto"
    chat.type("/bye")
    assert chat.wait_end() == 0


@pytest.mark.slow
def test_what_is_set_holds_for_the_next_reply(chat):
    """Stop strings end a reply and are not shown; max_new_tokens bounds it; 0 repeats itself."""
    whole = chat.say("Marda said")
    letter = next(char for char in whole[5:] if char.isalpha())
    chat.say("/clear")
    chat.say(f'/set stop "{letter}" "@@"')
    cut = chat.say("Marda said")
    assert cut.strip() == whole[: whole.index(letter)].strip()
    chat.say("/set stop none")
    chat.say("/set temperature 0")
    chat.say("/set max_new_tokens 5")
    chat.say("/clear")
    short = chat.say("Marda said")
    chat.say("/clear")
    assert chat.say("Marda said") == short and 0 < len(short) < 40


@pytest.mark.slow
def test_profiles_are_chosen_saved_and_removed(chat, talk):
    """Shipped profiles and the person's own, which the next chat with the model has too."""
    chat.say("/set top_k 7")
    assert chat.say("/profile save quiet") == "kept for book: /set profile quiet"
    said = chat.say("/set profile wild")
    assert "it speaks wild now: temperature 1.4, top_k 0" in said
    assert re.search(r"wild +now: anything that is not absurd", chat.say("/show"))
    assert "temperature 0," in chat.say("/set profile greedy")
    assert "comes with tuillm" in chat.say("/profile save wild")
    assert "as in /profile save quiet" in chat.say("/profile keep")
    assert "there is no profile 'wlid' (did you mean 'wild'?)" in chat.say("/set profile wlid")
    chat.leave()
    assert chat.wait_end() == 0
    later = talk()
    assert "top_k 7" in later.say("/set profile quiet")
    assert re.search(r"quiet +now: yours", later.say("/show"))
    assert later.say("/profile rm quiet") == "the profile quiet is gone"
    assert "no profile 'quiet' of yours" in later.say("/profile rm quiet")


def test_keys_steer_a_reply_while_it_streams(chat, kept):
    """Arrows change temperature and top_k, Space pauses, Esc stops; what was set holds on."""
    chat.say("/set max_new_tokens 1000000")
    before = chat.row
    chat.type("Tib")
    chat.wait(lambda text: chat.row > before + 3)
    for keys, shown in (
        ("\x1b[A\x1b[A", "0.9 "),
        ("\x1b[B", "0.85 "),
        ("\x1b[D", "top_k 100"),
        ("\x1b[C\x1b[C", "top_k 500"),
        (" ", "paused"),
    ):
        chat.press(keys)
        chat.wait(lambda text, shown=shown: shown in chat.toolbar)
    pausing = chat.since(before)
    chat.press("\x1b[A")
    chat.wait(lambda text: "0.9 " in chat.toolbar)
    assert chat.since(before) == pausing, "nothing was said in the pause"
    chat.press(" ")
    chat.wait(lambda text: len(chat.since(before)) > len(pausing) + 200)
    chat.press("\x1b")
    chat.wait_prompt(before)
    page = chat.say("/show")
    assert re.search(r"temperature +0\.9 ", page) and re.search(r"top_k +500 ", page)
    reply = kept()[-1]["tree"]["nodes"][-1]
    changes = [change for _, change in reply["changes"]]
    assert (
        changes[-4:]
        == [{"temperature": 0.85}, {"top_k": 100}, {"top_k": 500}, {"temperature": 0.9}]
        and reply["stopped"] is True
    )


@pytest.mark.slow
def test_a_reply_far_past_the_context_says_what_fell_out_of_view(chat):
    """800 tokens with a context of 32: it goes on, the meter stays in bounds, a line tells."""
    chat.say("/set max_new_tokens 800")
    said = chat.say("Marda said")
    lines = said.split("\n")
    place = next(place for place, line in enumerate(lines) if line.startswith("32 tokens of"))
    assert len("".join(lines[:place])) > 1000
    told = " ".join(lines[place:])
    dropped = re.match(
        r"32 tokens of context were full: (\d+) more fell out of view, (\d+) in all,"
        r' up to "….+"',
        told,
    )
    assert dropped and dropped[1] == dropped[2] and 770 < int(dropped[1]) < 803
    assert re.search(r"context \d+/32|  \d+/32", chat.toolbar)
    chat.say("/set max_new_tokens 5")
    assert "fell out of view" not in chat.say("/clear") + chat.say("Marda said")


def test_ctrl_c_stops_the_reply_and_not_the_program(chat):
    """Ctrl-C in a long reply gives the prompt back at once, and the chat goes on."""
    chat.say("/set max_new_tokens 1000000")
    before = chat.row
    chat.type("Tib")
    chat.wait(lambda text: chat.row > before + 40)
    chat.interrupt()
    chat.wait_prompt(before)
    chat.say("/set max_new_tokens 10")
    assert chat.say("Marda").strip()
    chat.leave()
    assert chat.wait_end() == 0


@pytest.mark.slow
def test_modes(chat):
    """/mode chat takes turns by a transcript, /mode completion goes back; others are refused."""
    assert "though it was not made for it" in chat.say("/mode chat")
    chat.say("Who are you?")
    assert re.search("mode +chat", chat.say("/show"))
    assert "did you mean 'chat'?" in chat.say("/mode chatt")
    assert "book continues your text" in chat.say("/mode completion")
    page = chat.say("/compare book")
    assert "You: Who are you?" in page and "Model:" in page, "what the last reply was drawn from"


@pytest.mark.slow
def test_a_model_with_a_template_answers_from_the_start(talk, home, model):
    """Its stop strings end a turn, and the line at the start says that it answers."""
    import json

    card = home / "models" / model / "tuillm.json"
    values = json.loads(card.read_text())
    turns = {"mode": "qa", "template": "Q: {question}\nA: {answer}", "stop": ["e"]}
    card.write_text(json.dumps(values | turns))
    chat = talk("--seed", "1", "-n", "200")
    assert "book answers you. /help explains" in chat.text
    for question in ("Who?", "Where?"):
        assert "e" not in chat.say(question).partition("fell out")[0].partition("32 tok")[0]


@pytest.mark.slow
def test_another_model_goes_on_with_the_text(chat, letters, home, kept):
    """/model switches in place, to another tokenizer too; one that is missing or broken does not.

    The old model then stays, and goes on.
    """
    chat.say("Marda said")
    assert "loading letters" in chat.say(f"/model {letters}")
    chat.wait(lambda text: chat.toolbar.startswith(" letters "))
    assert chat.say("").strip()
    assert "at token N, 0 to 39" in chat.say("/why")
    (session,) = kept()
    assert session["session"]["model"] == "letters" and session["session"]["title"] == "Marda said"
    assert "did you mean 'letters'?" in chat.say("/model leters")
    assert "wants the name of a model" in chat.say("/model")
    (home / "models" / "broken").mkdir()
    (home / "models" / "broken" / "config.json").write_text("{}")
    assert "broken" in chat.say("/model broken")
    assert chat.toolbar.startswith(" letters ") and chat.say("more").strip()
    assert "book continues your text" in chat.say("/model book")
    assert chat.say("").strip()


@pytest.mark.slow
def test_themes_are_changed_and_kept(chat, talk):
    """/theme colours the prompt from now on, in the next chat too; a wrong name lists them."""

    def color():
        return chat.screen.buffer[chat.screen.cursor.y][0].fg

    before = color()
    assert chat.say("/theme foxed").startswith("foxed: ")
    after = color()
    assert after != before
    assert "did you mean 'foxed'?" in chat.say("/theme foxd")
    assert "lamplight" in chat.say("/theme")
    chat = talk()
    assert color() == after


@pytest.mark.slow
def test_help_is_one_screenful(chat, talk):
    """All commands and keys stand on 24 rows of 80; one command is explained by its name."""
    from tuillm.chat.commands.slash_commands import COMMANDS

    page = chat.say("/help")
    assert page.count("\n") + 1 <= 21
    assert all(f"/{name}" in chat.picture for name in COMMANDS)
    assert all(key in chat.picture for key in ("Alt-Enter", "Ctrl-G", "Ctrl-R", "Space", "Esc"))
    assert max(map(len, page.split("\n"))) < 80
    assert "/why N K puts number K of those" in " ".join(chat.say("/help why").split())
    assert "did you mean 'book'?" in chat.say("/help bok")
    assert "did you mean 'help'?" in chat.say("/hlp")
    narrow = talk(columns=50)
    page = narrow.say("/help")
    assert all(
        f"  {command.usage} " in page and command.brief in page for command in COMMANDS.values()
    )
