"""A Jinja chat template as the Go template that ollama wants, where the two can be the same.

ollama runs its template once a turn, with `.System` in the first, `.Prompt` and `.Response`, and in
the last turn leaves out all behind `.Response` (`template/template.go` of its repository). What a
Jinja template writes around the texts of a conversation is found by marker texts, and sample
conversations show that nothing else is written. Knows texts; knows neither tokens nor files.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tuillm.errors import TuillmError
from tuillm.formats.jinja_chat import Message, render_chat

_BRACES = re.compile(r"\{{2,}|\{\Z")  # the last would join those of an action behind it
_QUOTES = '"""'  # end a text in a Modelfile
# what a person says in turn, a model's replies, and a system text
_ASKED = (
    "Hi",
    'Say """{{ .x }}""" {% y %}\n\nin two lines',
    "Қалай? 日本語 😀 {",
    "And < > & 'q'?",
)
_SAID = ("Hello!", "First.\n\n- second }} {{", "Жақсы — 好", "Done")
_SYSTEM = "Be brief.\n{{ .z }}"
_ROLES = ("user", "assistant")
# texts that no template writes by itself
_ASK, _SAY, _AGAIN, _RULE = (f"\ue000{name}\ue001" for name in ("ask", "say", "again", "rule"))


class Write(Protocol):
    """Writes a conversation as a Jinja template does; one that `ends` does not ask for a reply."""

    def __call__(self, messages: Sequence[Message], ends: bool = False) -> str: ...


@dataclass(frozen=True)
class GoTurns:
    """What stands around the texts of a conversation, turn by turn.

    A turn is `user_head` question `user_tail` reply `reply_tail`; one with a system text begins
    with `system_head` text `system_tail` instead. `default_system` is what a conversation without
    one gets. Without `takes_system` none is written. Replies begin with `gap`, by themselves.
    """

    user_head: str
    user_tail: str
    reply_tail: str
    takes_system: bool = False
    system_head: str = ""
    system_tail: str = ""
    default_system: str = ""
    gap: str = ""

    @property
    def template(self) -> str:
        """The Go template."""
        head = go_literal(self.user_head)
        if self.takes_system:
            before, behind = go_literal(self.system_head), go_literal(self.system_tail)
            system = f"{before}{{{{ .System }}}}{behind}"
            head = f"{{{{ if .System }}}}{system}{{{{ else }}}}{head}{{{{ end }}}}"
        middle = f"{{{{ .Prompt }}}}{go_literal(self.user_tail)}{{{{ .Response }}}}"
        return f"{head}{middle}{go_literal(self.reply_tail)}"

    def render(self, messages: Sequence[Message]) -> str:
        """Return what ollama makes of a conversation that ends with a question."""
        system, rest = self.default_system, list(messages)
        if rest[0]["role"] == "system":
            system, rest = rest[0]["content"], rest[1:]
        out = ""
        for index, message in enumerate(rest):
            if message["role"] == "user":
                with_system = f"{self.system_head}{system}{self.system_tail}"
                first = index == 0 and system and self.takes_system
                out += (with_system if first else self.user_head) + message["content"]
                out += self.user_tail
            else:
                out += self.gap + message["content"] + self.reply_tail
        return out


def go_turns(
    template: str, bos_token: str, eos_token: str, adds_bos: bool
) -> tuple[GoTurns | None, tuple[str, ...]]:
    """Return the turns of a Jinja template, None where it has none; and where they differ.

    `adds_bos` tells that the first token of a text is written for ollama by llama.cpp. They differ
    in rare cases only, each told in a sentence.
    """

    def whole(messages: Sequence[Message], ends: bool = False) -> str:
        return render_chat(
            template,
            messages,
            add_generation_prompt=not ends,
            bos_token=bos_token,
            eos_token=eos_token,
        )

    def write(messages: Sequence[Message], ends: bool = False) -> str:
        return whole(messages, ends).removeprefix(bos_token if adds_bos else "")

    if "strftime_now" in template:  # what it writes is another text tomorrow
        return None, ()
    try:
        turns = _with_system(_without_system(write), write)
        if turns is None or not all(turns.render(each) == write(each) for each in _samples(turns)):
            return None, ()
        notes = _differences(turns, write)
        if adds_bos and not whole(_talk("Hi")).startswith(bos_token):
            notes.append(
                f"in ollama a conversation begins with {bos_token}, which its own chat template "
                "does not write"
            )
        return turns, tuple(notes)
    except TuillmError:
        return None, ()


def go_literal(text: str) -> str:
    """Return text that Go's templates write as it is, and whose quotes end no template.

    Characters that ollama drops from a Modelfile, as it does with all that cannot be printed, are
    spelled out.
    """
    text = _BRACES.sub(lambda found: f'{{{{ "{found[0]}" }}}}', text)
    text = text.replace(_QUOTES, r'{{ "\"\"\"" }}')
    return "".join(each if in_modelfile(each) else _spelled(each) for each in text)


def in_modelfile(text: str) -> bool:
    """Whether a Modelfile can hold a text in quotes, as it is."""
    return _QUOTES not in text and all(each.isprintable() or each in "\n\t" for each in text)


def _spelled(character: str) -> str:
    number = ord(character)
    code = f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
    return f'{{{{ "{code}" }}}}'


def _without_system(write: Write) -> GoTurns | None:
    """Return the turns of a conversation without a system text; their head is that of the first.

    What stands between two turns is `reply_tail` as a whole.
    """
    one, three = write(_talk(_ASK)), write(_talk(_ASK, _SAY, _AGAIN))
    head, _, tail = one.partition(_ASK)
    rest = three.removeprefix(f"{head}{_ASK}{tail}")
    gap, found, rest = rest.partition(_SAY)
    between, last, end = rest.partition(_AGAIN)
    if not (found and last) or rest == three or gap not in ("", " ") or end != tail:
        return None
    return GoTurns(head, tail, between, gap=gap)


def _with_system(turns: GoTurns | None, write: Write) -> GoTurns | None:
    """Return the turns with what stands around a system text, each turn with a head of its own."""
    if turns is None:
        return None
    head, tail, between, gap = turns.user_head, turns.user_tail, turns.reply_tail, turns.gap
    try:
        text = write([{"role": "system", "content": _RULE}, *_talk(_ASK)])
    except TuillmError:  # templates without a system text say so
        text = ""
    before, found, rest = text.partition(_RULE)
    behind = rest.removesuffix(f"{_ASK}{tail}")
    default = head[len(before) : len(head) - len(behind)]
    if found and default and head == f"{before}{default}{behind}" and in_modelfile(default):
        each = _head_of_each(f"{before}{_RULE}", behind, between, write)
        end = between.removesuffix(each)
        return GoTurns(each, tail, end, True, before, behind, default, gap)
    if not between.endswith(head):
        return None
    end = between.removesuffix(head)
    if not found:
        return GoTurns(head, tail, end, gap=gap)
    return GoTurns(head, tail, end, True, before, behind, gap=gap)


def _samples(turns: GoTurns) -> list[list[Message]]:
    """Conversations of one to four questions, with and without a system text."""
    talks = [_talk(*_woven(_ASKED, _SAID)[: 2 * count - 1]) for count in range(1, 5)]
    system: list[Message] = [{"role": "system", "content": _SYSTEM}]
    return talks + [system + talk for talk in talks if turns.takes_system]


def _differences(turns: GoTurns, write: Write) -> list[str]:
    """Return sentences on conversations of a kind in which the two differ."""
    kinds = {
        "blanks around a message": _talk("  Hi \n", "Hello", " Why? "),
        "the <think> parts of earlier replies": _talk(
            "Hi", "<think>\nHm.\n</think>\n\nYes", "Why?"
        ),
    }
    return [
        f"in ollama the model reads {kind}, which its own chat template leaves out"
        for kind, talk in kinds.items()
        if turns.render(talk) != write(talk)
    ]


def _talk(*said: str) -> list[Message]:
    """Messages of user and assistant in turn."""
    return [{"role": _ROLES[index % 2], "content": text} for index, text in enumerate(said)]


def _woven(asked: Sequence[str], said: Sequence[str]) -> list[str]:
    return [text for pair in zip(asked, said, strict=True) for text in pair]


def _head_of_each(system: str, behind: str, between: str, write: Write) -> str:
    """Return what begins a turn, where the first has a system text in any case.

    `behind` stands between that and a question, `between` between a reply and one. It is what both
    end with: without what ends a system text, if that can be told.
    """
    try:
        alone = write([{"role": "system", "content": _RULE}], ends=True)
    except TuillmError:
        alone = ""
    each = behind.removeprefix(alone.removeprefix(system)) if alone.startswith(system) else behind
    size = 0
    while size < min(len(each), len(between)) and each[-1 - size] == between[-1 - size]:
        size += 1
    return between[len(between) - size :]
