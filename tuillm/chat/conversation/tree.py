"""The transcript as a tree: what was typed and what was replied, with every branch that was left.

Pure data and its JSON form; knows ids as numbers only, no tokenizer, no model and no folder.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

from pydantic import TypeAdapter, ValidationError

from tuillm.errors import TuillmError, UsageError
from tuillm.formats.json_text import JsonObject

_VERSION = 3
_READ = (1, 2, 3)
# what those who speak are called in a chat template
ROLES = {"you": "user", "model": "assistant", "system": "system"}
# what the fields of a node were called in version 1
_NAMES_1 = {
    "put": "rendered",
    "taken": "drop_tail",
    "respelt": "replacement_ids",
    "borrowed": "prefix_bytes",
    "given": "forced",
}
_WORDS = 48


@dataclass
class Node:
    """One text of a person, one reply, or a system text: what it adds to its parent's transcript.

    The transcript's last `drop_tail` ids give way to `replacement_ids`, and `ids` follow; the first
    `prefix_bytes` bytes of `ids` are not of this node: they encode text that was there already (the
    word that a reply finished). `text` is what was typed or shown; `rendered` is what the chat
    template made of a person's words, where that differs. A reply's `logprobs` are those of its ids
    in nats; the first `forced` ids were not sampled, the others are what `seed` gives with
    `settings`, where `changes` says what was set anew before which id. `finish` is stop, length,
    end or written (by the person, in the model's place); a reply that was `stopped` by the person
    has none. `thinking` is what the chat template was told of that, None: nothing; `in_thought`
    tells that it has opened a thought, in which the reply begins. `created` is seconds since 1970.
    A system text holds from its node on, '' takes it away; it adds no ids.
    """

    who: Literal["you", "model", "system"]
    parent: int | None = None
    text: str = ""
    ids: list[int] = field(default_factory=list)
    id: int = -1
    rendered: str = ""
    drop_tail: int = 0
    replacement_ids: list[int] = field(default_factory=list)
    prefix_bytes: int = 0
    logprobs: list[float] = field(default_factory=list)
    forced: int = 0
    seed: int | None = None
    settings: JsonObject = field(default_factory=dict)
    changes: list[tuple[int, JsonObject]] = field(default_factory=list)
    finish: Literal["", "stop", "length", "end", "written"] = ""
    stopped: bool = False
    thinking: bool | None = None
    in_thought: bool = False
    created: float = 0.0

    @property
    def role(self) -> str:
        """What a chat template calls who says it."""
        return ROLES[self.who]

    @property
    def drawn(self) -> bool:
        """Whether the model drew this reply."""
        return self.seed is not None

    def reopen(self) -> None:
        """Count as stopped by the person until the reply says how it ended."""
        self.finish, self.stopped = "", True


@dataclass(frozen=True)
class Branch:
    """One way the conversation went, by its `leaf`: nodes in all, seconds since its last one.

    `words` are the first of where it parted from its sisters; `current` is where the head is.
    """

    leaf: int
    depth: int
    words: str
    age: float
    current: bool


class Tree:
    """All nodes by id, and the `head`, behind which the conversation goes on (None: at the start).

    Ids count from 1 and parents come before their children. Nothing is ever removed.
    """

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {}
        self.head: int | None = None

    def append(self, node: Node) -> Node:
        """Give a node its id and time, and make it the head; its parent must be in the tree."""
        assert node.parent is None or node.parent in self.nodes
        node.id = len(self.nodes) + 1
        node.created = time.time()
        self.nodes[node.id] = node
        self.head = node.id
        return node

    @property
    def untouched(self) -> bool:
        """Whether nothing was ever said or replied, be it taken back."""
        return all(node.who == "system" for node in self.nodes.values())

    @property
    def head_node(self) -> Node | None:
        """The node at the head."""
        return None if self.head is None else self.nodes[self.head]

    def path(self, id: int | None) -> list[Node]:
        """Return the nodes from the start to a node, itself included."""
        found = []
        while id is not None:
            found.append(self.nodes[id])
            id = found[-1].parent
        return found[::-1]

    def ids(self, id: int | None) -> list[int]:
        """Return the transcript up to a node as ids: the truth about what was said."""
        return [] if id is None else self.transcript(self.nodes[id])

    def transcript(self, node: Node) -> list[int]:
        """Return the transcript up to a node that may not be in the tree yet."""
        found: list[int] = []
        for each in [*self.path(node.parent), node]:
            del found[len(found) - each.drop_tail :]
            found += each.replacement_ids
            found += each.ids
        return found

    def system(self, id: int | None) -> str:
        """Return the system text that holds behind a node, or ''."""
        return system_of(self.path(id))

    def spoken(self, id: int | None) -> Node | None:
        """Return the last node up to this one that is no system text."""
        return next((node for node in reversed(self.path(id)) if node.who != "system"), None)

    def children(self, id: int | None) -> list[Node]:
        """Return the nodes behind a node, the oldest first; those of None begin conversations."""
        return [node for node in self.nodes.values() if node.parent == id]

    def siblings(self, id: int) -> list[Node]:
        """Return the nodes that stand where this one stands, itself included."""
        return self.children(self.nodes[id].parent)

    def goto(self, id: int | None) -> None:
        """Make a node the head, None the start; raises UsageError when there is no such node."""
        if id is not None and id not in self.nodes:
            allowed = f"1 to {len(self.nodes)}" if self.nodes else "nothing was said yet"
            raise UsageError(f"there is no branch {id}", allowed)
        self.head = id

    def undo(self) -> list[Node]:
        """Put the head before the last exchange and return its nodes; they stay as a branch.

        An exchange is a text of the person with its reply, or one going on of the model without
        a text. Raises UsageError when nothing was said.
        """
        path = self.path(self.head)
        if not path:
            raise UsageError("there is nothing to take back", "type something first")
        typed = len(path) > 1 and path[-1].who == "model" and path[-2].who == "you"
        undone = path[-2:] if typed else path[-1:]
        self.head = undone[0].parent
        return undone

    def branches(self, now: float | None = None) -> list[Branch]:
        """Return all branches, the one that grew last coming last."""
        now = time.time() if now is None else now
        heirs = Counter(node.parent for node in self.nodes.values())
        return [
            self._branch(node, heirs, now) for node in self.nodes.values() if not heirs[node.id]
        ]

    @property
    def title(self) -> str:
        """The first words of the conversation, on one line; '' when nothing was said."""
        path = self.path(self.head) or self.path(max(self.nodes, default=None))
        said = (node for node in path if node.who != "system")
        return next((words for node in said if (words := first_words(node.text))), "")

    def encode_anew(self, encode: Callable[[str], list[int]], start: str) -> None:
        """Make the ids those of another tokenizer, from the texts.

        What was known of single tokens is lost: log probabilities, and that a reply was drawn.
        `start` is what a reply to nothing at all continues.
        """
        for node in self.nodes.values():
            beginning = node.parent is None and node.who == "model" and node.replacement_ids
            node.replacement_ids = encode(start) if beginning else []
            node.ids = encode(node.rendered or node.text) if node.who != "system" else []
            node.drop_tail = node.prefix_bytes = 0
            node.logprobs, node.changes, node.seed = [], [], None
            node.forced = len(node.ids)

    def to_json(self) -> JsonObject:
        """Return the tree as a JSON object, without what is as by default."""
        plain = vars(Node("you")) | {"who": ""}
        nodes = [
            {
                key: list(value) if isinstance(value, list) else value
                for key, value in vars(node).items()
                if value != plain[key]
            }
            for node in self.nodes.values()
        ]
        return {"version": _VERSION, "head": self.head, "nodes": nodes}

    @classmethod
    def from_json(cls, values: JsonObject) -> Self:
        """Return the tree of such an object; raises TuillmError for one that is damaged."""
        tree = cls()
        try:
            if (version := values["version"]) not in _READ:
                raise TuillmError(
                    "this conversation was saved by a newer tuillm", "pip install --upgrade tuillm"
                )
            found = values["nodes"]
            if version == 1 and isinstance(found, list):
                found = [_renamed(node) if isinstance(node, dict) else node for node in found]
            nodes = TypeAdapter(list[Node]).validate_python(found)
            tree.nodes = {node.id: node for node in nodes}
            tree.head = values["head"]
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, ("nodes", *first["loc"])))
            raise TuillmError(f"the conversation is damaged: {where}: {first['msg']}") from None
        except (KeyError, TypeError, AttributeError):
            raise TuillmError("the conversation is damaged: it has no tree") from None
        twice = ["two nodes have the same id"] if len(nodes) > len(tree.nodes) else []
        for problem in [*twice, *tree._problems()]:
            raise TuillmError(f"the conversation is damaged: {problem}")
        return tree

    def _branch(self, leaf: Node, heirs: Counter[int | None], now: float) -> Branch:
        path = self.path(leaf.id)
        forks = [index for index, node in enumerate(path) if heirs[node.parent] > 1]
        parted = forks[-1] if forks else 0
        said = [node for node in path if node.who != "system"]
        new = [node for node in path[parted:] if node.who != "system"]
        words = next((words for node in new if (words := first_words(node.text))), "")
        return Branch(leaf.id, len(said), words, now - leaf.created, leaf.id == self.head)

    def _problems(self) -> Iterator[str]:
        """Yield what is wrong with nodes that have the right types."""
        lengths: dict[int | None, int] = {None: 0}
        for number, node in enumerate(self.nodes.values(), 1):
            if node.id != number:
                yield f"node {node.id} stands where {number} should"
            if node.parent not in lengths:
                yield f"node {node.id} has a parent that is not there"
                return
            before = lengths[node.parent]
            if not 0 <= node.drop_tail <= before or not 0 <= node.forced <= len(node.ids):
                yield f"node {node.id} does not fit behind node {node.parent}"
            if node.logprobs and len(node.logprobs) != len(node.ids) or node.prefix_bytes < 0:
                yield f"node {node.id} has wrong numbers"
            if min(node.ids + node.replacement_ids, default=0) < 0:
                yield f"node {node.id} has ids below 0"
            lengths[node.id] = before - node.drop_tail + len(node.replacement_ids) + len(node.ids)
        if self.head is not None and (type(self.head) is not int or self.head not in lengths):
            yield f"its head is node {self.head!r}, which is not there"


def _renamed(node: JsonObject) -> JsonObject:
    return {_NAMES_1.get(name, name): value for name, value in node.items()}


def system_of(path: Sequence[Node]) -> str:
    """Return the system text that holds behind a path, or ''."""
    return next((node.text for node in reversed(path) if node.who == "system"), "")


def first_words(text: str) -> str:
    """Return the beginning of a text on one line, cut at a word."""
    line = " ".join(text[: 8 * _WORDS].split())
    return line if len(line) <= _WORDS else line[:_WORDS].rpartition(" ")[0] or line[:_WORDS]
