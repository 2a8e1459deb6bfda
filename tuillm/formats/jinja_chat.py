"""Chat templates: Jinja programs out of anybody's model folder, run in a sandbox.

They see the messages of a conversation and the names of special tokens, as they do in transformers,
and write the text that a model reads. Knows no tokenizer and no folder.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NoReturn, TypedDict

from tuillm.errors import TuillmError, brief

if TYPE_CHECKING:
    from jinja2 import Template

# where Hugging Face's folders have it
TEMPLATE_FILE = "chat_template.jinja"
LONGEST_TEMPLATE = 256 * 1024
_LONGEST_TEXT = 64 << 20
# variables of a template: what stands before and behind a part that is generated
_AROUND = ("_before_generation", "_behind_generation")


class Message(TypedDict):
    """One turn: `role` is system, user, assistant, or another that the template knows."""

    role: str
    content: str


class Marks(TypedDict):
    """The tokens that a template may put at the beginning and end of texts, "" for none."""

    bos_token: str
    eos_token: str


def render_chat(
    template: str,
    messages: Sequence[Message],
    *,
    add_generation_prompt: bool = False,
    bos_token: str = "",
    eos_token: str = "",
    around: tuple[str, str] = ("", ""),
    now: datetime | None = None,
) -> str:
    """Return the text of a conversation, as transformers' `apply_chat_template` writes it.

    With `add_generation_prompt` it ends where the assistant's next reply begins. `around` are put
    before and behind what a template says in `{% generation %}`; `now` is its `strftime_now`, by
    default the present. Raises TuillmError
    for a template that is damaged, refuses the conversation, or does what no template needs.
    """
    from jinja2 import TemplateError

    try:
        text = _compiled(template).render(
            messages=list(messages),
            add_generation_prompt=add_generation_prompt,
            bos_token=bos_token,
            eos_token=eos_token,
            tools=None,
            documents=None,
            strftime_now=(now or datetime.now()).strftime,
            **{_AROUND[0]: around[0], _AROUND[1]: around[1]},
        )
    except TuillmError:
        raise
    except TemplateError as error:
        raise TuillmError(
            f"the chat template cannot be used: {brief(error.message or '')}"
        ) from None
    except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise TuillmError(f"the chat template cannot be used: {brief(reason)}") from None
    if len(text) > _LONGEST_TEXT:
        raise TuillmError("the chat template writes more than a conversation has")
    return text


@lru_cache(8)
def _compiled(template: str) -> "Template":
    from jinja2 import TemplateError, nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}` marks what an assistant says: `around` may be put about it."""

        tags = {"generation"}

        def parse(self, parser: Parser) -> list[nodes.Node]:
            next(parser.stream)
            said = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            before, behind = (nodes.Output([nodes.Name(name, "load")]) for name in _AROUND)
            return [before, *said, behind]

    if len(template) > LONGEST_TEMPLATE:
        raise TuillmError(f"the chat template is too long: {len(template):,} characters")
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    try:
        return environment.from_string(template)
    except (TemplateError, RecursionError) as error:
        raise TuillmError(f"the chat template is damaged: {brief(str(error))}") from None


def _to_json(value: object, indent: int | None = None, ensure_ascii: bool = False) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _refuse(message: object) -> NoReturn:
    raise TuillmError(f"the chat template refuses this conversation: {brief(str(message))}")
