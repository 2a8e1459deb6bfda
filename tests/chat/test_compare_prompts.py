"""Models side by side in a chat: what each reads of the conversation, by its own chat template."""

import json
import subprocess
import sys

import pytest
from chat.talking import Talk
from chat.templates import CHATML, HEADERS, STRICT, letters_folder, letters_sampler, of_transformers

from tuillm import Sampler
from tuillm.chat.compare.comparison import compare
from tuillm.chat.compare.conversation_prompt import conversation_prompt, question_tree
from tuillm.chat.conversation.session import Session
from tuillm.config import SamplingConfig
from tuillm.store.chat_template import TRANSCRIPT, jinja_mode, mode_of
from tuillm.text.chat_rendering import encode_turn

CONFIG = SamplingConfig(temperature=1.0, top_k=0, max_new_tokens=12, seed=1)
LONG = pytest.mark.slow


def talk_of(*questions):
    """A conversation behind a system text, with a reply to each question."""
    session = Session(letters_sampler(odds=-40.0), CONFIG, jinja_mode(CHATML, "</s>", "<s>"))
    session.set_system("be brief")
    for text in questions:
        session.say(text)
        list(session.reply())
    return session


def test_a_model_reads_what_its_chat_reads_and_says_the_same():
    """Up to the last question, names of tokens in it are text; the conversation stays as it is."""
    session = talk_of("hello", "and <|im_end|> so")
    node = session.tree.head_node
    session.goto(node.parent)
    before = session.tree.to_json()
    known = session.sampler.tokenizer.sha256
    own = conversation_prompt(session.tree, session.sampler, session.mode, CONFIG, tokenizer=known)
    assert own.prompt == session.read_for(node, 0)
    assert session.tree.to_json() == before
    two = [("one", session.sampler), ("two", letters_sampler(odds=-40.0, seed=3))]
    results = compare(two, "so", CONFIG, [own, own]).run()
    assert results[0].text == node.text.lstrip() != results[1].text


@pytest.mark.parametrize("template", [CHATML, HEADERS])
def test_another_model_reads_it_by_its_own_template(template, tmp_path):
    """Encoded anew, as transformers makes it of the messages."""
    session = talk_of("hello", "and so")
    session.goto(session.tree.head_node.parent)
    other = letters_sampler(seed=5)
    mode = jinja_mode(template, "</s>", "<s>")
    own = conversation_prompt(session.tree, other, mode, CONFIG, tokenizer="another's")
    roles = ("system", "user", "assistant", "user")
    messages = [
        {"role": role, "content": node.text}
        for role, node in zip(roles, session.tree.path(session.tree.head), strict=True)
    ]
    theirs = of_transformers(other.tokenizer, tmp_path / "theirs", template)
    wanted = theirs.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert own.prompt == wanted


def test_without_a_template_it_is_a_transcript():
    """Which ends where the other model goes on; the next turn of the person ends its reply."""
    session = talk_of("hello", "and so")
    session.goto(session.tree.head_node.parent)
    reply = session.tree.path(session.tree.head)[-2].text
    own = conversation_prompt(session.tree, letters_sampler(), TRANSCRIPT, CONFIG)
    assert own.prompt == f"You: hello\nModel:{reply}\nYou: and so\nModel:"
    assert own.config.stop == ("\nYou:",)
    begun = conversation_prompt(question_tree("who?", ""), letters_sampler(), TRANSCRIPT, CONFIG)
    assert begun.prompt == "You: who?\nModel:"


@pytest.fixture
def folders(home, tmp_path):
    """Two models with templates of their own, and one that continues text."""
    for name, template, seed in (("one", CHATML, 1), ("two", STRICT, 2), ("none", "", 3)):
        letters_folder(tmp_path / name, template, seed=seed, odds=-40.0)
    return tmp_path


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tuillm", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_command_asks_each_in_its_template(folders):
    """What each answers is what `Sampler.ask` gives; one that has no template is named."""
    one, two, none = (folders / name for name in ("one", "two", "none"))
    common = ("--seed", "4", "-n", "20")
    done = run("compare", one, two, "-q", "hello", *common, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["prompt"], told["question"]) == ("hello", True)
    for entry, folder in zip(told["models"], (one, two), strict=True):
        wanted = Sampler(folder).ask("hello", seed=4, max_new_tokens=20)
        assert entry["reply"]["text"] == wanted
    refused = run("compare", one, none, "-q", "hello")
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert "none' continues text and has no chat template" in refused.stderr
    both = run("compare", one, two, "-q", "hello", "-p", "so")
    assert both.returncode == 2 and "cannot both be given" in both.stderr


def test_generate_takes_a_system_text(folders):
    """For a question alone, and of a model that reads one."""
    one, two = folders / "one", folders / "two"
    common = ("--temperature", "0", "-n", "9")
    done = run("generate", one, "-q", "hello", "--system", "be brief", *common)
    assert done.returncode == 0, done.stderr
    sampler = Sampler(one)
    prompt = encode_turn(mode_of(sampler.entry), "hello", [], sampler.tokenizer, "be brief")[1]
    said = sampler.stream(prompt, temperature=0, max_new_tokens=9)
    assert done.stdout.strip() == "".join(token.text for token in said).strip()
    for arguments, told in (
        ((one, "-p", "so", "--system", "be brief"), "a system text is for a question"),
        ((two, "-q", "so", "--system", "be brief"), "takes no system text"),
    ):
        refused = run("generate", *arguments)
        assert refused.returncode == 2 and refused.stderr.count("\n") == 1
        assert told in refused.stderr


@LONG
def test_the_chat_compares_replies_to_its_last_question(folders, request):
    """Or to a question that begins; a model that reads no system text is told of."""
    chat = Talk(str(folders / "one"), "--seed", "4", "-n", "20", columns=100, lines=40)
    request.addfinalizer(chat.close)
    reply, cut, _ = chat.say("hello").partition("cut at 20 tokens: Enter goes on")
    assert cut
    page = chat.say(f"/compare {folders / 'two'}")
    assert "› hello" in page and "im_start" not in page and "INST" not in page
    left = [line.partition("│")[0].rstrip() for line in page.splitlines() if "│" in line]
    assert "".join(reply.split()) in "".join("".join(left).split())
    chat.say("/system be brief")
    page = chat.say(f"/compare {folders / 'two'} and so")
    assert "two does not read the system text" in page and "› and so" in page


@LONG
def test_the_chat_compares_from_the_last_question(folders, request):
    """Also behind a system text that was set later, and a reply that was gone on with."""
    chat = Talk(str(folders / "one"), "--temperature", "0", "-n", "9", columns=100, lines=40)
    request.addfinalizer(chat.close)
    chat.say("hello")
    chat.say("")
    left = []
    for text in ("", "/system be brief"):
        if text:
            chat.say(text)
        page = chat.say(f"/compare {folders / 'one'}")
        assert "› hello" in page
        rows = [line.partition("│")[0].rstrip() for line in page.splitlines() if "│" in line]
        left.append("".join("".join(rows[2:]).split()))
        fresh = Sampler(folders / "one")
        system = "be brief" if text else ""
        prompt = encode_turn(mode_of(fresh.entry), "hello", [], fresh.tokenizer, system)[1]
        said = "".join(each.text for each in fresh.stream(prompt, temperature=0, max_new_tokens=9))
        assert "".join(said.split()) in left[-1]
    assert left[0] != left[1]
