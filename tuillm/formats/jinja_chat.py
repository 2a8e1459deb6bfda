"""Chat templates: Jinja programs out of anybody's model folder, run in a sandbox.

They see the messages of a conversation and the names of special tokens, as they do in transformers,
and write the text that a model reads. Knows no tokenizer and no folder.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn, TypedDict, TypeVar

from tuillm.errors import TuillmError, brief

if TYPE_CHECKING:
    from jinja2 import Template

    from tuillm.formats.jinja_sandbox import ChatEnvironment

# where Hugging Face's folders have it
TEMPLATE_FILE = "chat_template.jinja"
# what a template may look for in a reply, to leave out what was thought
THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
LONGEST_TEMPLATE = 256 * 1024
_LONGEST_TEXT = 64 << 20
_WIDEST_INDENT = 8
_Made = TypeVar("_Made")
# a strftime directive with a width of its own
_WIDE_DATE = re.compile(r"%\W*\d{2}")


class Message(TypedDict):
    """One turn: `role` is system, user, assistant, or another that the template knows."""

    role: str
    content: str


class Marks(TypedDict):
    """The tokens that a template may put at the beginning and end of texts, "" for none."""

    bos_token: str
    eos_token: str


@dataclass(frozen=True)
class ChatTemplate:
    """A template with the names of the tokens that begin and end a text in its model's folder."""

    source: str
    bos_token: str = ""
    eos_token: str = ""

    def render(
        self,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = True,
        now: datetime | None = None,
        **variables: Any,
    ) -> str:
        """Return the text of a conversation; see `render_chat`."""
        return render_chat(
            self.source,
            messages,
            add_generation_prompt=add_generation_prompt,
            bos_token=self.bos_token,
            eos_token=self.eos_token,
            now=now,
            **variables,
        )


def render_chat(
    template: str,
    messages: Sequence[Message],
    *,
    add_generation_prompt: bool = False,
    bos_token: str = "",
    eos_token: str = "",
    around: tuple[str, str] = ("", ""),
    now: datetime | None = None,
    **variables: object,
) -> str:
    """Return the text of a conversation, as transformers' `apply_chat_template` writes it.

    With `add_generation_prompt` it ends where the assistant's next reply begins. `around` are put
    before and behind what a template says in `{% generation %}`, `now` is what it takes for the
    time, `variables` are what else it may ask for, as `enable_thinking`. Raises TuillmError for a
    template that is damaged, refuses the conversation, or does what no template needs.
    """
    from tuillm.formats.jinja_sandbox import AROUND

    environment, compiled = _compiled(template)
    date = now or datetime.now()
    size = sum(len(message["content"]) for message in messages)

    def render() -> str:
        with environment.budget(size):
            return compiled.render(
                messages=list(messages),
                add_generation_prompt=add_generation_prompt,
                bos_token=bos_token,
                eos_token=eos_token,
                tools=None,
                documents=None,
                strftime_now=lambda form: _date(date, form),
                **dict(zip(AROUND, around, strict=True)),
                **variables,
            )

    text = _attempt(render, "cannot be used")
    if len(text) > _LONGEST_TEXT:
        raise TuillmError("the chat template writes more than a conversation has")
    return text


@lru_cache(8)
def _compiled(template: str) -> "tuple[ChatEnvironment, Template]":
    from tuillm.formats.jinja_sandbox import ChatEnvironment

    if len(template) > LONGEST_TEMPLATE:
        raise TuillmError(f"the chat template is too long: {len(template):,} characters")
    environment = ChatEnvironment()
    environment.add_filter("tojson", _to_json)
    environment.globals["raise_exception"] = _refuse

    def compile_it() -> "Template":
        with environment.budget():
            return environment.from_string(environment.guarded_tree(template))

    return environment, _attempt(compile_it, "is damaged")


def _attempt(make: Callable[[], _Made], otherwise: str) -> _Made:
    """Return what is made; whatever goes wrong in others' code is told in one line."""
    from jinja2 import TemplateError

    try:
        return make()
    except TuillmError:
        raise
    except TemplateError as error:
        reason = error.message or ""
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    raise TuillmError(f"the chat template {otherwise}: {brief(reason)}")


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    if isinstance(indent, str) or (indent or 0) > _WIDEST_INDENT:
        raise ValueError("it indents further than a line has")
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _refuse(message: object) -> NoReturn:
    raise TuillmError(f"the chat template refuses this conversation: {brief(str(message))}")


def _date(now: datetime, form: str) -> str:
    if len(form) > 100 or _WIDE_DATE.search(form):
        raise ValueError("it writes dates as no template needs to")
    return now.strftime(form)
