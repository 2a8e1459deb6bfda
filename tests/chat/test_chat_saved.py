"""Sessions kept and taken up again, with the same model, another training or another tokenizer."""

import json
import shutil

import pytest

from tuillm import Sampler
from tuillm.chat.conversation.export_text import export_json, export_markdown
from tuillm.chat.conversation.serialize import from_saved, to_saved
from tuillm.chat.conversation.session import Session
from tuillm.chat.conversation.tree import Node, Tree
from tuillm.config import build_sampling
from tuillm.errors import TuillmError
from tuillm.store.chat_template import TRANSCRIPT
from tuillm.store.registry import find_model
from tuillm.store.sessions import load_session, save_session


@pytest.fixture
def session(model, config):
    """A session with the small book's model, one reply of which was stopped."""
    session = Session(Sampler(model), build_sampling({"max_new_tokens": 12}, config))
    session.say("The road to the sa")
    list(session.reply())
    session.say("Алма 😀")
    tokens = session.reply()
    for _ in range(5):
        next(tokens)
    tokens.close()
    return session


def test_a_kept_session_goes_on_as_if_it_had_never_been_left(session, model):
    """Through the file: the same tree, settings and mode, and the very same tokens."""
    session.mode = TRANSCRIPT
    saved = save_session(to_saved(session, find_model(model)))
    again, told = from_saved(load_session(saved.head.id), Sampler(model), find_model(model))
    assert told == [] and again.tree.nodes == session.tree.nodes
    assert (again.config, again.mode) == (session.config, session.mode)
    rest = [
        [(token.id, token.text, token.finish) for token in one.reply()] for one in (again, session)
    ]
    assert rest[0] == rest[1] and len(rest[0]) == 7
    newer = save_session(to_saved(again, find_model(model), saved.head))
    assert newer.head.id == saved.head.id and newer.head.created == saved.head.created
    assert newer.head.title == "The road to the sa" and newer.head.nodes == 4


def test_another_training_is_noticed(session, model, home):
    """The weights' identity changed, the tokenizer did not: one line, and the ids stay."""
    saved = to_saved(session, find_model(model))
    card = home / "models" / model / "tuillm.json"
    values = json.loads(card.read_text())
    card.write_text(json.dumps(values | {"created": values["created"] + 1}))
    again, told = from_saved(saved, session.sampler, find_model(model))
    assert len(told) == 1 and "is not the model" in told[0] and again.ids == session.ids


def test_another_tokenizer_encodes_the_text_anew(session, model, home, trained_folders):
    """With another vocabulary the text is the same, its ids are not, and it can be gone on with."""
    saved = to_saved(session, find_model(model))
    shutil.copytree(trained_folders["char"], home / "models" / "letters")
    again, told = from_saved(saved, Sampler("letters"), find_model("letters"))
    assert len(told) == 1 and "another tokenizer" in told[0] and "letters" in told[0]
    assert again.text == session.text and again.ids != session.ids
    assert again.ids == again.sampler.tokenizer.encode(again.text)
    assert not any(node.drawn or node.logprobs for node in again.tree.nodes.values())
    list(again.reply())
    assert again.consistent() and again.text.startswith(session.text)


def test_ids_that_are_no_tokens(session, model):
    """A file whose ids the model does not have is damaged, and no index error in the model."""
    saved = to_saved(session, find_model(model))
    saved.tree["nodes"][0]["ids"][0] = 10**9
    with pytest.raises(TuillmError, match="no tokens"):
        from_saved(saved, session.sampler, find_model(model))


@pytest.fixture
def tree():
    """A small tree with marks of Markdown and characters that act on a terminal."""
    tree = Tree()
    tree.append(Node("you", None, "# A *star*\n\n  and\x1b[2J more ", [1]))
    tree.append(Node("model", 1, "finished\n- word\u202e", [2], logprobs=[-1.5], seed=3))
    tree.append(Node("you", 2, "next", [3], rendered="\nnext"))
    return tree


def test_markdown(tree):
    """One text goes on with the person's words in bold; marks and controls are harmless."""
    assert export_markdown(tree, "my_book", "temperature 0.8") == (
        "# \\# A \\*star\\* and\\[2J more\n\n*my\\_book* · temperature 0.8\n\n"
        "**\\# A \\*star\\***\n\n  **and\\[2J more** finished  \n\\- word  \n**next**\n"
    )
    assert export_markdown(tree, "book", turns=True).split("\n\n", 2)[2] == (
        "**You:** \\# A \\*star\\*\n\n  and\\[2J more\n\n**book:** finished  \n\\- word\n\n"
        "**You:** next\n"
    )
    assert export_markdown(Tree(), "book").startswith("# An empty page")


def test_a_thought_that_the_template_opened_is_quoted_even_if_it_never_ended():
    """The mark stands in what was read before the reply, not in the reply."""
    tree = Tree()
    tree.append(Node("you", None, "what is <think> for", [1]))
    tree.append(Node("model", 1, "so hm", [2], in_thought=True))
    tree.append(Node("you", 2, "and?", [3]))
    tree.append(Node("model", 3, "yes", [4]))
    page = export_markdown(Tree.from_json(tree.to_json()), "book", turns=True)
    assert "> so hm\n\n**book:**" in page and page.endswith("**book:** yes\n")


def test_json(tree):
    """As data all of it is there, and nothing raw that acts on a terminal."""
    text = export_json(tree, "book", settings={"top_k": 5})
    assert "\x1b" not in text and "\u202e" not in text and "\\u202e" in text
    values = json.loads(text)
    assert values["model"] == "book" and values["settings"] == {"top_k": 5}
    assert [turn["text"] for turn in values["turns"]] == [node.text for node in tree.nodes.values()]
    assert values["turns"][1]["tokens"] == [[2, -1.5]]
    assert Tree.from_json(values["tree"]).nodes == tree.nodes
