"""Conversations as the text that a model learns: through a chat template, with what it predicts.

Also a person's turn in a chat, so that both are the same ids. Knows templates and messages.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuillm.errors import TuillmError
from tuillm.formats.jinja_chat import Message, render_chat
from tuillm.store.chat_template import QUESTION, ChatMode
from tuillm.text.chat_messages import encode_messages, system_and_user
from tuillm.text.tokenizer_json import END_OF_TEXT

if TYPE_CHECKING:
    from tuillm.text.tokenizer import Tokenizer

# the special tokens that a tokenizer of ours has for turns
TURN_TOKENS = ("<|system|>", "<|user|>", "<|assistant|>")
# the special tokens of ours as they stand in a rendered conversation: they are no text
SPECIAL_TOKENS = re.compile("|".join(map(re.escape, (*TURN_TOKENS, END_OF_TEXT))))
# each turn behind its token; what an assistant says ends with the end of text
TOKEN_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' ~ message['role'] ~ '|>' ~ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
# for vocabularies that have no such tokens, as GPT-2's; words begin with the blank before them
TEXT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ 'User: ' ~ message['content'] ~ '\\n' }}"
    "{% elif message['role'] == 'assistant' %}"
    "{{ 'Assistant: ' ~ message['content'] ~ eos_token }}"
    "{% else %}{{ message['content'] ~ '\\n\\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def rendered(
    template: str, messages: Sequence[Message], eos_token: str
) -> tuple[str, list[tuple[int, int]]]:
    """Return a conversation as text, and the ranges of its UTF-8 bytes that assistants say.

    What ends a reply is part of its range. Raises TuillmError for a template that does not write
    a conversation turn by turn.
    """
    whole = render_chat(template, messages, eos_token=eos_token)
    ranges = []
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        head = render_chat(
            template, messages[:index], add_generation_prompt=True, eos_token=eos_token
        )
        tail = render_chat(template, messages[: index + 1], eos_token=eos_token)
        if not (whole.startswith(tail) and tail.startswith(head)):
            raise TuillmError(
                "the chat template does not write a conversation turn by turn",
                "learn the questions as well: --no-mask-prompt",
            )
        ranges.append((len(head.encode()), len(tail.encode())))
    return whole, ranges


def encode_turn(
    mode: ChatMode, text: str, before: Sequence[int], tokenizer: "Tokenizer", system: str = ""
) -> tuple[str, list[int]]:
    """Return what a person's text becomes behind the ids `before`: the text put in, and its ids.

    They are those that the model has learned. In what a person types the names of special tokens
    are plain text. A `system` text stands before the first turn, where a template has a place for
    it.
    """
    if mode.jinja is not None and not before:
        prompt = encode_messages(mode.jinja, system_and_user(system, text), tokenizer)
        return "".join(piece.text for piece in prompt.pieces), prompt.ids
    ended = bool(before) and before[-1] in tokenizer.ends
    if not mode.special:
        fresh_line = not before or tokenizer.token_bytes(before[-1]).endswith(b"\n")
        put = mode.apply(text, fresh_line)
        return put, tokenizer.encode(put)
    behind = mode.template.partition(QUESTION)[2]
    head = mode.between.removeprefix(tokenizer.names.get(before[-1], "") if ended else "")
    put = f"{head}{text}{behind}"
    if any(name in text for name in tokenizer.names.values()):
        parts = tokenizer.encode_special(head), tokenizer.encode(text)
        return put, [*parts[0], *parts[1], *tokenizer.encode_special(behind)]
    return put, tokenizer.encode_special(put)
