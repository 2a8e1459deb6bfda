"""How what a person says becomes part of the transcript: as it is, or as a turn of a dialogue.

Knows words only. In a turn `{question}` stands for what the person says; what stands behind it is
what the reply begins with, up to `{answer}` if that is there. A model folder's Jinja template is
brought into the same form.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tuillm.errors import TuillmError, UsageError, did_you_mean
from tuillm.formats.bounded_read import TOKENIZER_CONFIG_BYTES, read_bounded, read_object
from tuillm.formats.jinja_chat import LONGEST_TEMPLATE, TEMPLATE_FILE, ChatTemplate, Message
from tuillm.formats.json_text import JsonObject
from tuillm.store.card import ModelCard
from tuillm.store.registry import Model

QUESTION, ANSWER = "{question}", "{answer}"


@dataclass(frozen=True)
class ChatMode:
    """A way of talking: `completion` goes on with one growing text, `chat` takes turns.

    Replies end before one of the texts in `stop`. With a `jinja` template it is this that writes
    the conversation; `template` is then what it makes of a first question, and `between` what it
    writes after a reply, before the next one. `problem` says why the template of the folder is not
    used, if it has one.
    """

    name: Literal["completion", "chat"]
    template: str = QUESTION
    stop: tuple[str, ...] = ()
    between: str = ""
    jinja: ChatTemplate | None = None
    problem: str = ""

    @property
    def special(self) -> bool:
        """Whether a model folder's template writes the turns, with its special tokens."""
        return self.jinja is not None

    @property
    def turns(self) -> bool:
        """Whether person and model take turns."""
        return self.name == "chat"

    def apply(self, text: str, fresh_line: bool) -> str:
        """Return what a person's text becomes in the transcript, on a line of its own."""
        turn = self.template.partition(ANSWER)[0].replace(QUESTION, text)
        return turn if fresh_line else "\n" + turn


COMPLETION = ChatMode("completion")
# what any model can make something of; no blank at the end, where words begin with theirs
TRANSCRIPT = ChatMode("chat", f"You: {QUESTION}\nModel:", ("\nYou:",))


def mode_of(model: Model) -> ChatMode:
    """Return the mode a model was made for: completion, or turns by the template in its folder.

    Without one its card may have a simple one. A template that cannot be used is as good as none:
    the mode says why.
    """
    problem = ""
    try:
        if template := read_template(model.path):
            marks = named_marks(model.path)
            return jinja_mode(template, marks["eos_token"], marks["bos_token"])
    except (OSError, ValueError, TuillmError) as error:
        problem = str(error)
    return replace(card_mode(model.card), problem=problem)


def question_mode(model: Model, name: str, hint: str) -> ChatMode:
    """Return the mode a model is asked in.

    Raises UsageError, with a hint, where it is in none; `name` is what the person called it.
    """
    mode = mode_of(model)
    if not mode.turns:
        raise UsageError(f"{name!r} continues text and has no chat template to ask it in", hint)
    return mode


def read_template(folder: Path) -> str:
    """Return the chat template of a model folder, "" where there is none.

    It lies in a file of its own, or in older folders in `tokenizer_config.json`, where there may
    be several: then it is the one called default. Raises TuillmError for damaged files, one that
    is too long, and several without a default.
    """
    path = folder / TEMPLATE_FILE
    if path.is_file():
        return read_bounded(path, LONGEST_TEMPLATE).decode("utf-8", "replace")
    found = _tokenizer_config(folder).get("chat_template")
    if isinstance(found, list):
        templates = [each for each in found if isinstance(each, dict)]
        default = [each.get("template") for each in templates if each.get("name") == "default"]
        if templates and not default:
            raise TuillmError("none of the chat templates of the folder is called default")
        found = default[0] if default else ""
    if isinstance(found, str) and len(found) > LONGEST_TEMPLATE:
        raise TuillmError(f"the chat template is too long: {len(found):,} characters")
    return found if isinstance(found, str) else ""


def named_marks(folder: Path) -> dict[str, str]:
    """Return the names of the tokens with which texts begin and end, "" where there is none."""
    told = _tokenizer_config(folder)
    marks = {}
    for name in ("bos_token", "eos_token"):
        value = told.get(name)
        value = value.get("content") if isinstance(value, dict) else value
        marks[name] = value if isinstance(value, str) else ""
    return marks


def _tokenizer_config(folder: Path) -> JsonObject:
    path = folder / "tokenizer_config.json"
    return read_object(path, TOKENIZER_CONFIG_BYTES) if path.is_file() else {}


def jinja_mode(template: str, eos_token: str, bos_token: str = "") -> ChatMode:
    """Return the turns that a Jinja template writes; raises TuillmError where it writes none."""
    jinja = ChatTemplate(template, bos_token, eos_token)
    asked, said, again = "\ue000ask\ue001", "\ue000say\ue001", "\ue000again\ue001"
    turns: list[Message] = [
        {"role": "user", "content": asked},
        {"role": "assistant", "content": said},
        {"role": "user", "content": again},
    ]
    one, three = (jinja.render(messages) for messages in (turns[:1], turns))
    before, _, behind = one.partition(asked)
    rest = three.partition(said)[2]
    between, _, again_behind = rest.partition(again)
    if asked not in one or again not in rest or again_behind != behind:
        raise TuillmError("the chat template does not write a conversation turn by turn")
    return ChatMode("chat", f"{before}{QUESTION}{behind}", between=between, jinja=jinja)


def refuse_system(mode: ChatMode, name: str) -> None:
    """Raise UsageError where a model takes no system text in the way it is talked to."""
    if mode.jinja is None:
        if not mode.turns:
            hint = "it stands before what you type: type it as text"
            raise UsageError(f"{name} continues text and takes no system text", hint)
        raise UsageError(f"{name} has no chat template that takes a system text")
    told = "\ue000told\ue001"
    messages: list[Message] = [
        {"role": "system", "content": told},
        {"role": "user", "content": "a"},
    ]
    try:
        if told in mode.jinja.render(messages):
            return
        reason = "its chat template leaves it out"
    except TuillmError as error:
        reason = error.message
    raise UsageError(f"{name} takes no system text: {reason}")


def takes_system(mode: ChatMode) -> bool:
    """Whether a model reads a system text in the way it is talked to."""
    try:
        refuse_system(mode, "")
    except UsageError:
        return False
    return True


def card_mode(card: ModelCard) -> ChatMode:
    """Return the mode that a card tells of."""
    template = card.template or ""
    if QUESTION in template:
        return ChatMode("chat", template, card.stop or _stops(template))
    return TRANSCRIPT if card.mode == "qa" else COMPLETION


def choose_mode(name: str, model: Model) -> ChatMode:
    """Return the mode of this name for a model; raises UsageError for another name."""
    if name in ("completion", "continue"):
        return COMPLETION
    if not name:
        raise UsageError(
            "/mode wants a name", "/mode completion goes on with one text, /mode chat takes turns"
        )
    if name != "chat":
        raise UsageError(
            f"there is no mode {name!r}",
            did_you_mean(name, ("completion", "chat"), "completion or chat"),
        )
    own = mode_of(model)
    return own if own.turns else replace(TRANSCRIPT, problem=own.problem)


def _stops(template: str) -> tuple[str, ...]:
    """Return what ends a reply where the card does not say: a line that begins the next turn."""
    heading = template.partition(QUESTION)[0].strip()
    return ("\n" + heading,) if heading else ("\n",)
