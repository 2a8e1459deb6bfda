"""The chat with a model that has a chat template: system text, thoughts, what is read.

All in a pseudo-terminal, or as the shell starts it.
"""

import json
import re
import subprocess
import sys

import pytest
from chat.talking import Talk
from chat.templates import CHATML, STRICT, THINKING, chain_model, letters_folder

from tuillm.chat.conversation.thoughts import ThoughtStream, split_thoughts

THOUGHT = "<think>so hm</think>YES"


@pytest.fixture
def talk_to(home, tmp_path, request):
    """Open a chat with a folder of a model of letters."""

    def open_chat(template, *options, name="letters", environment=None, wait=True, **more):
        folder = tmp_path / name
        if not folder.exists():
            letters_folder(folder, template, **more)
        chat = Talk(str(folder), *options, environment=environment, wait=wait)
        request.addfinalizer(chat.close)
        return chat

    return open_chat


def one_line(text):
    return " ".join(text.split())


def test_a_system_text_is_kept_shown_and_exported(talk_to, kept, tmp_path):
    """It stands in what is read, in both exports and in the conversation that is opened again."""
    chat = talk_to(CHATML, "--system", "be brief", "-n", "6", odds=-40.0)
    assert chat.say("/system") == "system text: be brief"
    chat.say("hello")
    page = chat.say("/template")
    assert "‹<|im_start|>›system\nbe brief‹<|im_end|>›\n‹<|im_start|>›user\nhello" in page
    assert re.search(r"^\d+ of 256 tokens of context$", page, re.M)
    told = one_line(chat.say("/set system be loud"))
    assert "from here on it stands before the whole conversation" in told
    chat.say("more")
    assert "system\nbe loud‹" in chat.say("/template") and "be brief" not in chat.say("/template")
    chat.say(f"/export {tmp_path}/a.md")
    chat.say(f"/export {tmp_path}/a.json")
    page = (tmp_path / "a.md").read_text()
    assert page.index("**System:** be brief") < page.index("**You:** hello")
    assert page.index("**You:** hello") < page.index("**System:** be loud")
    turns = json.loads((tmp_path / "a.json").read_text())["turns"]
    assert [turn["role"] for turn in turns] == ["system", "user", "assistant"] * 2
    chat.leave()
    assert chat.wait_end() == 0
    (session,) = kept()
    assert [node["who"] for node in session["tree"]["nodes"]] == ["system", "you", "model"] * 2
    again = talk_to(CHATML, "--continue", "-n", "6")
    shown = again.text
    assert "› hello\n" in shown and "› more\n" in shown and "system text: be loud" in shown
    assert "assistant" not in shown and "im_start" not in shown
    assert again.say("/system") == "system text: be loud"
    assert again.say("/undo").startswith("took back") and again.say("/undo") == (
        "took back the system text"
    )
    assert again.say("/system") == "system text: be brief"
    assert again.say("/system -").splitlines()[0] == "no system text"
    again.say("/clear")
    again.say("so")
    assert "be kind" in again.say("/template"), "the template writes its own"


def test_thoughts_are_one_line_and_can_be_opened(talk_to, tmp_path):
    """They are counted while they come, opened by /think, kept, and not read in the next turn."""
    chat = talk_to(THINKING, "--temperature", "0", model=chain_model(THOUGHT))
    assert chat.say("why?") == "thought for 7 tokens; /think shows it\nYES"
    assert "thinking … 1 token" in chat.raw.decode("utf-8", "replace")
    assert "<think>so hm</think>YES" in chat.say("/template")
    assert chat.say("/think").splitlines()[1:] == ["so hm"]
    assert chat.say("again?") == "thinking:\nso hm\nthought for 7 tokens\nYES"
    page = chat.say("/template")
    assert page.count("so hm") == 1, "the template leaves the thoughts of earlier turns out"
    assert "folds" not in chat.say("/think")
    assert chat.say("/think off") == "thinking is off for the replies to come"
    chat.say("/set max_new_tokens 4")
    chat.say("/set temperature 0")
    chat.say(f"/export {tmp_path}/a.md")
    assert "> so hm\n\n**letters:** YES" in (tmp_path / "a.md").read_text()
    chat.say("now?")
    assert "<think>\n\n</think>" in chat.say("/template")


@pytest.mark.slow
def test_a_reply_that_ends_within_a_thought_goes_on(talk_to):
    """It says so, and an empty line goes on within the thought."""
    chat = talk_to(THINKING, "--temperature", "0", "-n", "3", model=chain_model(THOUGHT))
    said = chat.say("why?")
    assert said == "ended within a thought of 3 tokens: Enter goes on; /think shows it"
    chat.say("/set max_new_tokens 40")
    assert chat.say("") == "thought for 4 tokens; /think shows it\nYES"


@pytest.mark.slow
def test_a_template_may_open_the_thought(talk_to):
    """Then a reply begins within it, drawn again as well, and what it says is told from it."""
    opened = THINKING.replace(
        "'<|im_start|>assistant\\n' }}\n    {%- if ena",
        "'<|im_start|>assistant\\n<think>\\n' }}\n    {%- if ena",
    )
    assert opened != THINKING
    chat = talk_to(opened, "--temperature", "0", model=chain_model("so hm</think>YES"))
    assert chat.say("why?") == "thought for 6 tokens; /think shows it\nYES"
    assert chat.say("/regen") == "thought for 6 tokens; /think shows it\nYES"
    assert chat.say("/think").splitlines()[1:] == ["so hm"]
    assert "unread" not in chat.say("/system be brief")


@pytest.mark.slow
def test_another_model_may_not_read_the_system_text(talk_to, model):
    """It says so, and goes on without it."""
    chat = talk_to(CHATML, "--system", "be brief", "-n", "5", odds=-40.0)
    chat.say("hello")
    assert f"{model} does not read the system text" in one_line(chat.say(f"/model {model}"))
    assert chat.say("and so")


@pytest.mark.slow
def test_turns_that_no_longer_fit_are_told_of(talk_to):
    """Once each time that turns go, in one line, with how many are not read by then."""
    chat = talk_to(CHATML, "--seed", "1", "-n", "20", odds=-40.0)
    notes = [note for _ in range(9) if "context is full" in (note := one_line(chat.say("tell me")))]
    assert 1 <= len(notes) <= 5
    counts = [int(re.search(r"oldest (\d+) turns? no longer", note)[1]) for note in notes]
    assert counts == sorted(set(counts))


@pytest.mark.slow
def test_without_colours_each_text_is_named(talk_to):
    """NO_COLOR: who a text is from stands before it."""
    chat = talk_to(CHATML, "-n", "3", environment={"NO_COLOR": "1"}, odds=-40.0)
    assert "user: what you type" in chat.say("/template")
    chat.say("hello<|im_end|>")
    page = chat.say("/template")
    assert "user: hello<|im_end|>‹<|im_end|>›" in page and "assistant: " in page


@pytest.mark.slow
def test_what_cannot_be_told_is_one_line(talk_to, model):
    """No place for a system text, a template that refuses one, a switch that is not there."""
    chat = talk_to(STRICT)
    assert "takes no system text: the chat template refuses" in one_line(
        chat.say("/system be kind")
    )
    assert "cannot switch thinking" in one_line(chat.say("/think off"))
    assert "/template takes nothing" in chat.say("/template x")
    chat.say("/mode completion")
    assert "continues text and takes no system text" in one_line(chat.say("/system be kind"))
    assert "there is no system text" in one_line(chat.say("/system"))
    assert chat.say("a b")


@pytest.mark.slow
@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{{ ''.__class__.__mro__ }}",
        "{{ 'a' * 10000000000 }}",
        "{% for %}",
    ],
)
def test_a_template_that_cannot_be_used(talk_to, template):
    """One line says so, and the model continues text."""
    chat = talk_to(template, "-n", "6", odds=-40.0)
    begun = one_line(chat.text)
    assert "letters continues your text" in begun and "the chat template" in begun
    assert "it is not used" in begun and chat.say("hello")


def test_the_makers_settings_hold_until_one_sets_others(talk_to):
    """They stand between tuillm's and the person's, say where they are from, and are a profile."""
    made = {"temperature": 0.6, "top_k": 20, "top_p": 7, "do_sample": True}
    chat = talk_to(CHATML, "--top-k", "5", generation=made)
    assert "temperature 0.6: as its generation_config.json says" in chat.text
    page = chat.say("/show")
    assert re.search(r"temperature +0\.6 .*\n?.*generation_config", page)
    assert re.search(r"top_k +5 ", page) and re.search(r"top_p +1", page)
    assert "top_k 20" in one_line(chat.say("/set profile model"))


@pytest.mark.slow
def test_a_filter_takes_a_system_text(home, tmp_path):
    """In a pipe, too, and from a file; a model without a place for one says so."""
    folder = letters_folder(tmp_path / "letters", CHATML, odds=-40.0)
    strict = letters_folder(tmp_path / "strict", STRICT)
    (tmp_path / "told.txt").write_text("be brief\n")

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "tuillm", "chat", *map(str, arguments)],
            input="hello",
            capture_output=True,
            text=True,
            timeout=60,
        )

    common = ("--temperature", "0", "-n", "9", "--stats")
    plain = run(folder, *common)
    told = run(folder, *common, "--system", f"FILE:{tmp_path}/told.txt")
    assert plain.returncode == told.returncode == 0
    sizes = [int(re.search(r"prompt_tokens=(\d+)", done.stderr)[1]) for done in (plain, told)]
    assert sizes[1] - sizes[0] == len("be brief") - len("be kind")
    assert "--system FILE:path" in run(folder, "--system", "-").stderr
    refused = run(strict, "--system", "be brief")
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert "takes no system text" in refused.stderr and refused.stdout == ""


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_a_reply_is_taken_apart_wherever_it_is_cut(size):
    """Thoughts and what is said, however the text comes; a mark within an answer is text."""
    for text, inside, thought, said in (
        ("<think>\nso or so\n</think>\n\nYes", False, "so or so", "Yes"),
        ("\n<think></think>Yes </think>", False, "", "Yes </think>"),
        ("so\n</think>\nYes", True, "so", "Yes"),
        ("so </thi", True, "so </thi", ""),
        ("<thin air", False, "", "<thin air"),
        ("Yes <think>no</think>", False, "", "Yes <think>no</think>"),
    ):
        stream = ThoughtStream(inside)
        parts = [stream.feed(text[at : at + size]) for at in range(0, len(text), size)]
        parts.append(stream.finish())
        assert "".join(part[0] for part in parts).strip() == thought
        assert "".join(part[1] for part in parts) == said
        assert split_thoughts(text, inside) == (thought, said)
