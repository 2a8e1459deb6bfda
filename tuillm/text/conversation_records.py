"""Records as conversations: questions with answers, instructions, chats of many turns.

Knows the field names that data sets use; knows neither templates nor tokens.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tuillm.errors import UsageError, brief, did_you_mean
from tuillm.formats.jinja_chat import Message
from tuillm.text.sources.record_fields import field_value, listed

Format = Literal["text", "qa", "instruct", "chat"]

QUESTIONS = ("question", "query", "prompt", "input", "q")
ANSWERS = ("answer", "answers", "response", "completion", "output", "reply", "a")
INSTRUCTIONS = ("instruction",)
OUTPUTS = ("output", "response", "answer", "completion")
_NAME_QUESTION, _NAME_ANSWER = "name it: --question-field NAME", "name it: --answer-field NAME"
# how far an answer may be nested in lists and objects
_DEEPEST = 8
CHATS = ("messages", "conversations", "conversation")
# where an object has its text
_INNER = ("text", "value", "content")
_ROLES = {
    "human": "user",
    "user": "user",
    "prompter": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "system": "system",
}


@dataclass(frozen=True)
class ConversationFields:
    """Which fields of a record hold what; '' where there is none."""

    question: str = ""
    answer: str = ""
    context: str = ""
    system: str = ""
    chat: str = ""


def guess_format(fields: Iterable[str]) -> Format:
    """Return the format that the names of a record's fields speak of."""
    names = set(fields)
    if names & set(CHATS):
        return "chat"
    if names & set(INSTRUCTIONS) and names & set(OUTPUTS):
        return "instruct"
    if _first(QUESTIONS, names) and _first(ANSWERS, names - {_first(QUESTIONS, names)}):
        return "qa"
    return "text"


def choose_fields(
    form: Format, names: Sequence[str], *, question: str = "", answer: str = "", context: str = ""
) -> ConversationFields:
    """Return the fields of a format among `names`; what a person named wins.

    Raises UsageError for a field that is not there, and where none can be guessed.
    """
    for given in filter(None, (question, answer, context)):
        if given.partition(".")[0].partition("[")[0] not in names:
            raise UsageError(
                f"no record has a field {brief(given)}",
                did_you_mean(given, names, f"there are: {listed(names)}"),
            )
    known = set(names)
    if form == "chat":
        return ConversationFields(
            chat=_needed(CHATS, known, names, "--format text learns one field")
        )
    if form == "instruct":
        return ConversationFields(
            question=question or _needed(INSTRUCTIONS, known, names, _NAME_QUESTION),
            answer=answer or _needed(OUTPUTS, known, names, _NAME_ANSWER),
            context=context or _first(("input", "context"), known),
            system=_first(("system", "system_prompt"), known),
        )
    question = question or _needed(QUESTIONS, known, names, _NAME_QUESTION)
    return ConversationFields(
        question=question,
        answer=answer or _needed(ANSWERS, known - {question}, names, _NAME_ANSWER),
        context=context,
        system=_first(("system", "system_prompt"), known),
    )


def conversations_of(
    values: dict[str, object], fields: ConversationFields, *, every_answer: bool = False
) -> Iterator[list[Message]]:
    """Yield the conversations of a record: one, or one for each of its answers.

    None where it has no question or no answer, or a chat without an assistant's turn.
    """
    if fields.chat:
        if (turns := _turns(field_value(values, fields.chat))) is not None:
            yield turns
        return
    question = first_text(field_value(values, fields.question))
    context = first_text(field_value(values, fields.context)) if fields.context else ""
    system = first_text(field_value(values, fields.system)) if fields.system else ""
    answers = list(dict.fromkeys(filter(None, texts_of(field_value(values, fields.answer)))))
    if not question:
        return
    # a passage stands before the question, further input behind the instruction
    parts = (context, question) if fields.question not in INSTRUCTIONS else (question, context)
    head: list[Message] = [{"role": "system", "content": system}] if system else []
    head.append({"role": "user", "content": "\n".join(filter(None, parts))})
    for answer in answers if every_answer else answers[:1]:
        yield [*head, {"role": "assistant", "content": answer}]


def texts_of(value: object) -> list[str]:
    """Return the texts of a value: itself, those of a list, or those under `text` in an object.

    None that are nested deeply, and none for numbers that are none.
    """
    return _texts(value, 0)


def path_of_text(value: object) -> str:
    """Return the path inside a value to the first of its texts: `.text[0]`, "" for the value."""
    if not texts_of(value):  # nor is it nested too deeply, then
        return ""
    if isinstance(value, Mapping):
        key = next(key for key in _INNER if key in value)
        return f".{key}{path_of_text(value[key])}"
    if isinstance(value, list | tuple):
        at = next(at for at, each in enumerate(value) if texts_of(each))
        return f"[{at}]{path_of_text(value[at])}"
    return ""


def first_text(value: object) -> str:
    """Return the first text of a value, or ''."""
    return next(iter(texts_of(value)), "")


def _texts(value: object, depth: int) -> list[str]:
    if isinstance(value, str):
        return [value.strip()]
    if isinstance(value, bool) or value is None or depth > _DEEPEST:
        return []
    if isinstance(value, float) and not math.isfinite(value):
        return []
    if isinstance(value, int | float):
        return [str(value)]
    if isinstance(value, Mapping):
        inner = next((value[key] for key in _INNER if key in value), None)
        return _texts(inner, depth + 1)
    if isinstance(value, list | tuple):
        return [text for each in value for text in _texts(each, depth + 1)]
    return []


def _turns(value: object) -> list[Message] | None:
    """Return the turns of OpenAI's `messages` or ShareGPT's `conversations`; None for neither."""
    turns: list[Message] = []
    for each in value if isinstance(value, list | tuple) else ():
        if not isinstance(each, Mapping):
            return None
        told = each.get("role", each.get("from", each.get("speaker", "")))
        role = _ROLES.get(str(told).strip().lower())
        if role is None:
            return None
        text = first_text(each.get("content", each.get("value", each.get("text"))))
        if text:
            turns.append({"role": role, "content": text})
    while turns and turns[-1]["role"] != "assistant":
        turns.pop()  # a question without its answer teaches nothing
    return turns or None


def _first(names: Sequence[str], known: set[str]) -> str:
    return next((name for name in names if name in known), "")


def _needed(options: Sequence[str], known: set[str], names: Sequence[str], how: str) -> str:
    if found := _first(options, known):
        return found
    raise UsageError(
        f"no field of the records is called {' or '.join(options)}",
        f"{how}; there are: {listed(names)}",
    )
