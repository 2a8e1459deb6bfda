"""A conversation as people read it: turn by turn, thoughts apart from what was said.

Knows nodes of a path; knows neither pages nor terminals.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from tuillm.chat.conversation.thoughts import split_thoughts
from tuillm.chat.conversation.tree import Node


@dataclass(frozen=True)
class SpeakerTurn:
    """All that one speaker said in a row, and what a model thought before it."""

    who: Literal["you", "model", "system"]
    text: str
    thought: str = ""


def speaker_turns(path: Iterable[Node]) -> Iterator[SpeakerTurn]:
    """Yield the turns of a path; replies that go on with one another are one."""
    for who, group in groupby(path, key=lambda node: node.who):
        nodes = list(group)
        thought, said = "", "".join(node.text for node in nodes)
        if who == "model":
            thought, said = split_thoughts(said, nodes[0].in_thought)
        yield SpeakerTurn(who, said.strip(), thought)
