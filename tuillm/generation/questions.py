"""Questions to a model that takes turns: the prompt that each becomes, and the answer alone.

Used alike by `Sampler.ask`, `tuillm generate -q` and the chat as a filter. Knows chat modes and
tokens as they come; draws nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from tuillm.config import SamplingConfig
from tuillm.errors import UsageError
from tuillm.store.chat_template import COMPLETION, ChatMode, jinja_mode, mode_of
from tuillm.text.chat_rendering import encode_turn

if TYPE_CHECKING:
    from tuillm.generation.sampler import Sampler, Token
    from tuillm.text.tokenizer import Tokenizer


def answer_to(sampler: "Sampler", question: str, config: SamplingConfig) -> str:
    """Return the answer to a question; raises UsageError where there is none, or no template."""
    if not isinstance(question, str) or not question.strip():
        raise UsageError("the question is empty", 'Sampler.ask("Who speaks?")')
    mode = _mode_of(sampler)
    if not mode.turns:
        name = repr(sampler.name) if sampler.name else "the model"
        raise UsageError(
            f"{name} continues text and has no chat template to ask it in",
            "Sampler.generate(TEXT) continues a text",
        )
    prompt, config = as_turn(mode, question, config, sampler.tokenizer)
    tokens = without_first_blanks(sampler.stream(prompt, config))
    return "".join(token.text for token in tokens)


def as_turn(
    mode: ChatMode, message: str, config: SamplingConfig, tokenizer: "Tokenizer", system: str = ""
) -> tuple[str | list[int], SamplingConfig]:
    """Return the prompt and the settings with which a model takes a message for its turn."""
    if not (message and mode.turns):
        return message, config
    put, ids = encode_turn(mode, message, [], tokenizer, system)
    stops = tuple(dict.fromkeys(config.stop + mode.stop))
    if mode.special:
        return ids, config.model_copy(update={"stop": stops, "heal": False})
    # a word of the template is whole: only what the person wrote last may be finished
    heal = config.heal and put.endswith((message, " "))
    return put, config.model_copy(update={"stop": stops, "heal": heal})


def without_first_blanks(tokens: Iterable["Token"]) -> Iterator["Token"]:
    """Yield the tokens, without the blanks that some templates leave to the reply."""
    begun: set[int] = set()
    for token in tokens:
        text = token.text if token.row in begun else token.text.lstrip()
        if text:
            begun.add(token.row)
        yield token if text == token.text else replace(token, text=text)


def _mode_of(sampler: "Sampler") -> ChatMode:
    """The mode of a model's folder; of one in memory that of its tokenizer's template."""
    if sampler.entry is not None:
        return mode_of(sampler.entry)
    tokenizer = sampler.tokenizer
    if not tokenizer.chat_template:
        return COMPLETION
    end = tokenizer.names.get(tokenizer.eot, "") if tokenizer.eot is not None else ""
    return jinja_mode(tokenizer.chat_template, end)
