"""How what a person says becomes part of the transcript: as it is, or as a turn of a dialogue.

Knows words only. In a template `{question}` stands for what the person says; what stands behind
it is what the reply begins with, up to `{answer}` if that is there.
"""

from dataclasses import dataclass
from typing import Literal

from tuillm.errors import UsageError, did_you_mean
from tuillm.store.card import ModelCard

QUESTION, ANSWER = "{question}", "{answer}"


@dataclass(frozen=True)
class ChatMode:
    """A way of talking: `completion` goes on with one growing text, `chat` takes turns.

    Replies end before one of the texts in `stop`.
    """

    name: Literal["completion", "chat"]
    template: str = QUESTION
    stop: tuple[str, ...] = ()

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


def mode_of(card: ModelCard) -> ChatMode:
    """Return the mode a model was made for: completion, or turns by the template of its card."""
    template = card.template or ""
    if QUESTION in template:
        return ChatMode("chat", template, card.stop or _stops(template))
    return TRANSCRIPT if card.mode == "qa" else COMPLETION


def choose_mode(name: str, card: ModelCard) -> ChatMode:
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
    own = mode_of(card)
    return own if own.turns else TRANSCRIPT


def _stops(template: str) -> tuple[str, ...]:
    """Return what ends a reply where the card does not say: a line that begins the next turn."""
    heading = template.partition(QUESTION)[0].strip()
    return ("\n" + heading,) if heading else ("\n",)
