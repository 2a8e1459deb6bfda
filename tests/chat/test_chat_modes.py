"""Modes: what a person's words become, and which way of talking a model was made for."""

from pathlib import Path

import pytest

from tuillm import Sampler
from tuillm.chat.conversation.session import Session
from tuillm.config import build_sampling
from tuillm.errors import UsageError
from tuillm.store.card import ModelCard
from tuillm.store.chat_template import COMPLETION, TRANSCRIPT, card_mode, choose_mode
from tuillm.store.registry import Model


def test_mode_of_a_card():
    """A template makes turns with its stop strings, those of the card or the heading of a turn."""
    assert card_mode(ModelCard()) == COMPLETION
    assert card_mode(ModelCard(mode="qa")) == TRANSCRIPT
    card = ModelCard(mode="qa", template="Question: {question}\nAnswer: {answer}\n")
    mode = card_mode(card)
    assert mode.turns and mode.stop == ("\nQuestion:",)
    assert mode.apply("Why {x}?", True) == "Question: Why {x}?\nAnswer: "
    assert card_mode(card.model_copy(update={"stop": ("###",)})).stop == ("###",)
    assert card_mode(ModelCard(template="{question} =>")).stop == ("\n",)
    assert card_mode(ModelCard(template="no place for it")) == COMPLETION


def test_the_template_is_applied():
    """Words begin a line of their own; in a transcript they stand under their speaker."""
    assert COMPLETION.apply("so", True) == "so" and COMPLETION.apply("so", False) == "\nso"
    assert TRANSCRIPT.apply("so", False) == "\nYou: so\nModel:"


def with_card(card):
    """A model of which only its card is there."""
    return Model("m", Path("nowhere"), card, {}, 0)


def test_choose_mode():
    """Either mode can be had with any model; another name is refused with the nearest."""
    card = ModelCard(template="Q: {question}")
    assert choose_mode("chat", with_card(card)).template == card.template
    assert choose_mode("chat", with_card(ModelCard())) == TRANSCRIPT
    assert choose_mode("completion", with_card(card)) == COMPLETION
    with pytest.raises(UsageError, match="did you mean 'chat'"):
        choose_mode("chatt", with_card(card))


def test_modes_change_within_a_session(model, config):
    """One text can be gone on with in turns and back; what was said stays as it was."""
    session = Session(Sampler(model), build_sampling({"max_new_tokens": 6}, config))
    session.say("The road")
    list(session.reply())
    begun = session.text
    session.mode = TRANSCRIPT
    session.say("Who are you?")
    assert session.text == begun + "\nYou: Who are you?\nModel:"
    list(session.reply())
    assert session.tree.head_node.settings["stop"] == ["\nYou:"] and session.consistent()
    list(session.edit_reply(" I am Marda."))
    assert "Model: I am Marda." in session.text
    session.mode = COMPLETION
    session.say("The end")
    assert session.text.endswith("\nThe end") and session.tree.head_node.text == "The end"


@pytest.mark.slow
def test_a_template_that_ends_in_a_blank(line_folder, config):
    """The blank at the end of a template is read as the beginning of the reply's first word."""
    line = "Marda said that the ferryboat was resolved and the lamplighter agreed. "
    mode = card_mode(ModelCard(template="{question} said ", stop=("\n",)))
    session = Session(
        Sampler(line_folder), build_sampling({"temperature": 0, "max_new_tokens": 5}, config), mode
    )
    session.say("agreed. Marda")
    tokens = list(session.reply())
    assert "".join(token.text for token in tokens).startswith("that the")
    known = session.sampler.tokenizer.encode(line * 2)
    ids = session.ids[-6:]
    assert ids == known[known.index(ids[0], 5) :][:6]


def test_nothing_is_healed_inside_a_template(line_folder, config):
    """The words of a template are read as they are, whatever the model finds likelier."""
    session = Session(Sampler(line_folder), config, TRANSCRIPT)
    session.say("that the ferryboat was reso")
    put = session.ids
    list(session.reply())
    assert session.ids[: len(put)] == put
