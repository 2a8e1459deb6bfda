"""Conversations as the text that a model learns: through a chat template, with what it predicts.

Also a person's turn in a chat, so that both are the same ids. Knows templates and messages.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from os.path import commonprefix
from typing import TYPE_CHECKING, Any

from tuillm.errors import TuillmError
from tuillm.formats.jinja_chat import Marks, Message, render_chat
from tuillm.store.chat_template import QUESTION, ChatMode
from tuillm.text.chat_messages import encode_messages, system_and_user
from tuillm.text.tokenizer_json import END_OF_TEXT

if TYPE_CHECKING:
    from tuillm.text.tokenizer import Tokenizer

# the special tokens that a tokenizer of ours has for turns
TURN_TOKENS = ("<|system|>", "<|user|>", "<|assistant|>")
# the special tokens of ours as they stand in a rendered conversation: they are no text
SPECIAL_TOKENS = re.compile("|".join(map(re.escape, (*TURN_TOKENS, END_OF_TEXT))))
# put around what a template says that a model generates; of Unicode's private use
_AROUND = ("\ue010", "\ue011")
# what `strftime_now` tells of in a text to learn, which has to be the same on another day: the day
# that Llama 3.2's template names where there is no clock
_DAY = datetime(2024, 7, 26)
# what a template has that marks by itself what a model generates
_MARKS_GENERATED = re.compile(r"\{%[-+]?\s*generation\b")
_ALL = "learn the questions as well: --no-mask-prompt"
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
    template: str, messages: Sequence[Message], marks: Marks
) -> tuple[str, list[tuple[int, int]]]:
    """Return a conversation as text, and the ranges of its UTF-8 bytes that a model learns.

    `marks` are the template's `bos_token` and `eos_token`. Learned is what the template says in
    `{% generation %}`; where it has none, what assistants say behind the prompt for it, with what
    ends it. A template that writes a turn otherwise once others follow, without its reasoning,
    gives one text for each answer, one behind the other: it is learned as it is written when it
    is the last. Raises TuillmError for a template that does not write a conversation turn by turn.
    """
    whole = render_learned(template, messages, marks)
    if ranges := _generated(template, messages, marks, whole):
        return whole, _in_bytes(whole, ranges)
    answers = [
        answer
        for index, message in enumerate(messages)
        if message["role"] == "assistant"
        and (answer := _last_answer(template, messages[: index + 1], marks))
    ]
    if not answers:
        raise TuillmError("the chat template writes nothing that an assistant says", _ALL)
    if all(whole.startswith(text) for text, _ in answers):
        return whole, _in_bytes(whole, [learned for _, learned in answers])
    texts, ranges, length = [], [], 0
    for text, learned in answers:
        texts.append(text)
        ranges += [(length + begin, length + end) for begin, end in _in_bytes(text, [learned])]
        length += len(text.encode())
    return "".join(texts), ranges


def render_learned(template: str, messages: Sequence[Message], marks: Marks, **how: Any) -> str:
    """Return a conversation as text that is the same on every day; see `render_chat`."""
    return render_chat(template, messages, now=_DAY, **marks, **how)


def encode_turn(
    mode: ChatMode, text: str, before: Sequence[int], tokenizer: "Tokenizer", system: str = ""
) -> tuple[str, list[int]]:
    """Return what a person's text becomes behind the ids `before`: the text put in, and its ids.

    They are those that the model has learned. In what a person types the names of special tokens
    are plain text. A `system` text stands before the first turn, where a template takes one.
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


def _generated(
    template: str, messages: Sequence[Message], marks: Marks, whole: str
) -> list[tuple[int, int]]:
    """Return the ranges of characters that the template itself marks; none where it marks none."""
    if not _MARKS_GENERATED.search(template):
        return []
    marked = render_learned(template, messages, marks, around=_AROUND)
    ranges: list[tuple[int, int]] = []
    begin = at = 0
    for piece in re.split(f"([{_AROUND[0]}{_AROUND[1]}])", marked):
        if piece == _AROUND[0]:
            begin = at
        elif piece == _AROUND[1]:
            ranges += [(begin, at)] if begin < at else []
        else:
            at += len(piece)
    # else the template, or what is said, has such characters itself
    return ranges if at == len(whole) and len(marked) > at else []


def _last_answer(
    template: str, messages: Sequence[Message], marks: Marks
) -> tuple[str, tuple[int, int]] | None:
    """Return a conversation that ends with an answer, and in which characters that is learned.

    None for an answer to nothing, where the template puts something else before it.
    """
    text, before = render_learned(template, messages, marks), messages[:-1]
    prompt = render_learned(template, before, marks, add_generation_prompt=True)
    begin = len(prompt)
    if not text.startswith(prompt):
        if not before:
            return None
        # a prompt may open a reasoning that an answer has not: what both have is the prompt
        if not text.startswith(asked := render_learned(template, before, marks)):
            raise TuillmError("the chat template does not write a conversation turn by turn", _ALL)
        begin = max(len(asked), len(commonprefix([text, prompt])))
    bare, end = text.rstrip(), marks["eos_token"]
    return text, (begin, len(bare) if end and bare.endswith(end) else len(text))


def _in_bytes(text: str, ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(len(text[:begin].encode()), len(text[:end].encode())) for begin, end in ranges]
