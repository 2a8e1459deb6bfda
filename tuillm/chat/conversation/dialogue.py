"""What a model reads of a conversation: its folder's chat template, applied to the turns that fit.

When the context is full whole exchanges are dropped, the oldest first; the system text stays. What
is read depends on the path through the tree alone, so that it is the same however one came there.
Knows nodes, templates and tokenizers; knows no model.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tuillm.chat.conversation.transcript import dropped_of, window_of
from tuillm.chat.conversation.tree import Node, system_of
from tuillm.formats.jinja_chat import ChatTemplate
from tuillm.text import Tokenizer
from tuillm.text.chat_messages import Prompt, Said, encode_messages

_MOST_PROMPTS = 64


@dataclass
class Exchange:
    """What a person said, None where a reply came first, and the replies to it, one going on."""

    question: str | None
    replies: list[Node] = field(default_factory=list)


@dataclass(frozen=True)
class LeftOut:
    """What is left out: the first `exchanges`, and `ids` in the middle of what remains."""

    exchanges: int = 0
    ids: int = 0


@dataclass(frozen=True)
class _Exchanges:
    """All exchanges of a path, and the system text that stands before them."""

    all: list[Exchange]
    system: str
    asked: int | None  # the last node that is no reply

    @property
    def last(self) -> int:
        return len(self.all) - 1


class Dialogue:
    """Reads paths that have a person's text in them; the last node may not be in the tree yet.

    `thinking` is what the template is told of it for replies that are still to come; a system text
    is left out where the template does not read one (`reads_system`). Each method leaves the
    `newest` last ids of a path's last reply out.
    """

    def __init__(
        self,
        template: ChatTemplate,
        tokenizer: Tokenizer,
        block_size: int,
        reads_system: bool = True,
    ) -> None:
        self.thinking: bool | None = None
        self.reads_system = reads_system
        self._template, self._tokenizer, self._size = template, tokenizer, block_size
        self._now = datetime.now()  # a template may write the date: it stays that of the beginning
        self._first: dict[tuple[int, int], int] = {}
        self._answers: dict[tuple[int, int] | None, Said] = {}
        self._prompts: dict[tuple[int | None, int, bool | None], Prompt] = {}

    def for_new_tree(self) -> "Dialogue":
        """Return one for another tree."""
        other = Dialogue(self._template, self._tokenizer, self._size, self.reads_system)
        other.thinking = self.thinking
        return other

    def window(self, path: Sequence[Node], newest: int = 0) -> list[int]:
        """Return the ids that a model has read of a path, at most a context.

        Raises TuillmError where the template refuses what was said.
        """
        prompt, reply, _ = self._view(path, newest)
        return window_of(prompt.ids + reply, self._size, len(prompt.ids))

    def view(self, path: Sequence[Node]) -> tuple[Prompt, list[int], LeftOut]:
        """Return what stands before the last reply, the ids of this, and what is left out."""
        prompt, reply, first = self._view(path, 0)
        return prompt, reply, LeftOut(first, dropped_of(len(prompt.ids) + len(reply), self._size))

    def left_out(self, path: Sequence[Node], newest: int = 0) -> LeftOut:
        """Return what is left out of a path."""
        prompt, reply, first = self._view(path, newest)
        return LeftOut(first, dropped_of(len(prompt.ids) + len(reply), self._size))

    def _view(self, path: Sequence[Node], newest: int) -> tuple[Prompt, list[int], int]:
        for end in range(self._known(path), len(path)):
            if (node := path[end - 1]).who == "model":
                before = self._before(path, end)
                self._first[self._key(node)] = self._advance(path[:end], before, 0)
        turns, first = (
            _exchanges_of(path),
            self._advance(path, self._before(path, len(path)), newest),
        )
        reply = self._reply(turns.all[-1].replies)
        return self._prompt(turns, first), reply[: len(reply) - newest], first

    def _known(self, path: Sequence[Node]) -> int:
        """Return behind how many nodes the search for what fits can begin."""
        for end in range(len(path) - 1, 0, -1):
            if path[end - 1].who == "model" and self._key(path[end - 1]) in self._first:
                return end + 1
        return 1

    def _before(self, path: Sequence[Node], end: int) -> int:
        """Return the first exchange in view when the last of `end` nodes begins."""
        said = next((node for node in reversed(path[: end - 1]) if node.who == "model"), None)
        return 0 if said is None else self._first[self._key(said)]

    def _key(self, node: Node) -> tuple[int, int]:
        return node.id, len(node.ids)

    def _advance(self, path: Sequence[Node], first: int, newest: int) -> int:
        """Return the first exchange in view behind a path, by that when its last node began.

        When there is no more room, so many exchanges go that half of it is free again.
        """
        turns = _exchanges_of(path)
        if turns.asked is None:
            return first
        node, reply = path[-1], self._reply(turns.all[-1].replies)
        begun = len(reply) - (len(node.ids) if node.who == "model" else 0)
        length, last = len(reply) - newest, turns.last
        while first < last:
            room = self._size - len(self._prompt(turns, first).ids)
            if length <= room:
                break
            full_at = max(begun, room + 1)
            least = len(self._prompt(turns, last).ids) + full_at
            most = least + max(self._size - least, 0) // 2
            first = bisect_left(
                range(last),
                True,
                first + 1,
                key=lambda index: len(self._prompt(turns, index).ids) + full_at <= most,
            )
        return first

    def _prompt(self, turns: _Exchanges, first: int) -> Prompt:
        """Return what stands before the last reply, without the exchanges before the `first`."""
        replies = turns.all[-1].replies
        thinking = replies[0].thinking if replies else self.thinking
        key = turns.asked, first, thinking
        if key in self._prompts:
            return self._prompts[key]
        prompt = encode_messages(
            self._template,
            self._messages(turns, first),
            self._tokenizer,
            now=self._now,
            **({} if thinking is None else {"enable_thinking": thinking}),
        )
        if turns.asked is None or turns.asked >= 0:  # another node may have no id either
            if len(self._prompts) >= _MOST_PROMPTS:
                self._prompts.pop(next(iter(self._prompts)))
            self._prompts[key] = prompt
        return prompt

    def _messages(self, turns: _Exchanges, first: int) -> list[Said]:
        told = turns.system if self.reads_system else ""
        found = [Said("system", told)] if told else []
        for exchange in turns.all[first:]:
            if exchange.question is not None:
                found.append(Said("user", exchange.question))
            if exchange is not turns.all[-1]:
                found.append(self._answer(exchange))
        return found

    def _answer(self, exchange: Exchange) -> Said:
        """Return an answer with the ids that were sampled for it, unless they were cut."""
        key = self._key(exchange.replies[-1]) if exchange.replies else None
        if key not in self._answers:
            as_bytes = self._tokenizer.token_bytes
            spelled = tuple(id for id in self._reply(exchange.replies) if as_bytes(id))
            text = "".join(node.text for node in exchange.replies)
            whole = b"".join(map(as_bytes, spelled)) == text.encode()
            self._answers[key] = Said("assistant", text, spelled if whole else ())
        return self._answers[key]

    def _reply(self, replies: list[Node]) -> list[int]:
        """Return the ids of replies that go on with one another."""
        found: list[int] = []
        for index, node in enumerate(replies):
            if index == 0 and (node.drop_tail or node.prefix_bytes or node.replacement_ids):
                found = self._tokenizer.encode(node.text)  # it finished a word that was typed
                continue
            del found[len(found) - node.drop_tail :]
            found += node.replacement_ids + node.ids
        return found


def has_question(path: Sequence[Node]) -> bool:
    """Whether a person has said anything in a path."""
    return any(node.who == "you" for node in path)


def _exchanges_of(path: Sequence[Node]) -> _Exchanges:
    exchanges: list[Exchange] = []
    asked = None
    for node in path:
        if node.who != "model":
            asked = node.id
        if node.who == "you":
            last = exchanges[-1] if exchanges and not exchanges[-1].replies else None
            if last is None or last.question is None:
                exchanges.append(Exchange(node.text))
            else:  # the reply to the one before was stopped before it began
                last.question += "\n" + node.text
        elif node.who == "model":
            if not exchanges:
                exchanges.append(Exchange(None))
            exchanges[-1].replies.append(node)
    return _Exchanges(exchanges, system_of(path), asked)
