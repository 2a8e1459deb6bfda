"""A conversation with one model: what is said, replied, drawn again, rewritten and gone back to.

Knows the tree of the transcript, whose ids are the truth, and the sampler, whose context always
holds the window of those ids; knows no terminal and no folder.
"""

import secrets
from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import cached_property

from tuillm.chat.conversation.dialogue import Dialogue, LeftOut, has_question
from tuillm.chat.conversation.reply import Replies
from tuillm.chat.conversation.thoughts import is_thinking
from tuillm.chat.conversation.transcript import unshown_of
from tuillm.chat.conversation.tree import Node, Tree
from tuillm.config import SamplingConfig
from tuillm.errors import UsageError
from tuillm.generation import Sampler, Token
from tuillm.store.chat_template import COMPLETION, ChatMode, takes_system
from tuillm.text.chat_rendering import encode_turn


class Session:
    """The text so far, and the ways to go on with it.

    What yields tokens may be closed at any of them: what was yielded stays. `config` and `mode`
    may be set at any time; what `replies.LIVE` names holds from the next token on, even within a
    reply.
    """

    def __init__(
        self,
        sampler: Sampler,
        config: SamplingConfig,
        mode: ChatMode = COMPLETION,
        tree: Tree | None = None,
    ) -> None:
        """Go on at the head of `tree`, which must be of the sampler's tokenizer."""
        self.sampler = sampler
        self.config = config
        self.tree = tree or Tree()
        self._replies = Replies(sampler, self.tree, lambda: self.config)
        self.mode = mode

    @property
    def mode(self) -> ChatMode:
        """How the person's words become part of the text."""
        return self._mode

    @mode.setter
    def mode(self, mode: ChatMode) -> None:
        self._mode = mode
        self._replies.dialogue = None
        if mode.jinja is not None:
            size, reads_system = self.sampler.context.block_size, takes_system(mode)
            self._replies.dialogue = Dialogue(
                mode.jinja, self.sampler.tokenizer, size, reads_system
            )

    @property
    def dialogue(self) -> Dialogue | None:
        """What reads the tree, where a model folder's template writes the turns."""
        return self._replies.dialogue

    @property
    def _told_of_thinking(self) -> bool | None:
        """What the template is told of thinking for replies that are still to come."""
        return self.dialogue.thinking if self.dialogue else None

    def set_system(self, text: str) -> None:
        """Let a system text hold from here on, '' none; one that nothing follows is replaced."""
        head = self.tree.head_node
        parent = self.tree.head if head is None or head.who != "system" else head.parent
        if self.tree.system(parent) == text:
            self.tree.goto(parent)
        else:
            self.tree.append(Node("system", parent, _clean(text)))

    def say(self, text: str) -> None:
        """Append what the person typed, as the mode puts it; nothing happens for ''."""
        if not text:
            return
        text, tokenizer = _clean(text), self.sampler.tokenizer
        before, node = self.tree.spoken(self.tree.head), Node("you", self.tree.head, text)
        if before and before.who == "model":
            cut = unshown_of(before, tokenizer)
            node.drop_tail = cut.count
            node.replacement_ids = tokenizer.encode(cut.text)
        ids = self.tree.transcript(node)
        reads = self.dialogue is not None and self.dialogue.reads_system
        system = self.tree.system(node.parent) if reads else ""
        put, node.ids = encode_turn(self.mode, text, ids, tokenizer, system)
        node.rendered = put if put != text else ""
        self.tree.append(node)

    def reply(self) -> Generator[Token, None, None]:
        """Yield how the model goes on; a reply that the person stopped is taken up where it was.

        That one comes to the very same tokens as if it had never been stopped.
        """
        head = self.tree.head_node
        if head and head.who == "model" and head.stopped and head.drawn:
            return self._replies.resumed(head)
        return self._reply(self.tree.head)

    def regenerate(self) -> Generator[Token, None, None]:
        """Yield another reply in the last one's place; raises UsageError when there is none.

        With a fixed seed it has the next seed, else it would be the same reply.
        """
        head = self.tree.head_node
        if head is None:
            raise UsageError("there is no reply to draw again", "type something first")
        return self._reply(head.parent if head.who == "model" else head.id)

    def retry(self, count: int) -> Iterator[Generator[Token, None, None]]:
        """Yield `count` replies, one after another, each as regenerate gives it."""
        if count < 1:
            raise UsageError(f"{count} replies cannot be drawn", "allowed: 1 or more")
        first = self.regenerate()
        return (first if number == 0 else self.regenerate() for number in range(count))

    def undo(self) -> str:
        """Go back to before the last exchange and return what the person had typed, or ''.

        It stays as a branch. Raises UsageError when nothing was said.
        """
        undone = self.tree.undo()[0]
        return "" if undone.who == "model" else undone.text

    def goto(self, id: int | None) -> None:
        """Go on behind another node; raises UsageError when there is no such node."""
        self.tree.goto(id)

    def clear(self) -> None:
        """Forget the text and all branches; the system text stays."""
        system, dialogue = self.tree.system(self.tree.head), self.dialogue
        self.tree = Tree()
        self._replies = Replies(self.sampler, self.tree, lambda: self.config)
        self._replies.dialogue = dialogue and dialogue.for_new_tree()
        self.set_system(system)

    def edit_mine(self, text: str) -> Generator[Token, None, None]:
        """Put another text in the place of the person's last one, and yield the reply to it."""
        mine = [node for node in self.tree.path(self.tree.head) if node.who == "you"]
        if not mine:
            raise UsageError("you have said nothing yet", "type something first")
        self.tree.goto(mine[-1].parent)
        self.say(text)
        return self.reply()

    def edit_reply(self, text: str) -> Generator[Token, None, None]:
        """Put the person's words in the place of the last reply, and yield how it goes on."""
        if not text:
            raise UsageError("no words were given", "/undo takes a reply back")
        text, head, tokenizer = _clean(text), self.tree.head_node, self.sampler.tokenizer
        old = head if head and head.who == "model" else None
        # a word after the model's name, or in the place of one, has its blank with it
        blank = (
            old.text.startswith(" ") if old else (self.mode.turns and not self.text[-1:].isspace())
        )
        if blank and not text[:1].isspace():
            text = " " + text
        old = old or Node("model", self.tree.head, thinking=self._told_of_thinking)
        # what the reply wrote of the text before is encoded anew together with the words
        as_bytes = [
            b"".join(map(tokenizer.token_bytes, ids)) for ids in (old.replacement_ids, old.ids)
        ]
        before = (as_bytes[0] + as_bytes[1][: old.prefix_bytes]).decode("utf-8", "replace")
        ids = tokenizer.encode(before + text)
        self.tree.append(
            Node(
                "model",
                old.parent,
                text,
                ids,
                drop_tail=old.drop_tail,
                forced=len(ids),
                prefix_bytes=len(before.encode()),
                finish="written",
                thinking=old.thinking,
                in_thought=old.in_thought,
            )
        )
        return self.reply()

    def reroll(self, index: int, token: int) -> Generator[Token, None, None]:
        """Put id `token` at `index` (from 0) of the last reply, and yield the reply so made.

        The tokens before come first, at once; those behind are drawn anew. Raises UsageError for
        an index or an id that is not there, and for one that would change what stands before.
        """
        old, tokenizer = self.tree.head_node, self.sampler.tokenizer
        if old is None or not old.drawn:
            raise UsageError("the model did not draw what stands last", "/regen draws a reply")
        if not 0 <= index < len(old.ids):
            raise UsageError(f"the reply has no token {index}", f"0 to {len(old.ids) - 1}")
        if not 0 <= token < self.sampler.model.config.vocab_size:
            raise UsageError(f"there is no token with the id {token}")
        kept = len(b"".join(map(tokenizer.token_bytes, old.ids[:index])))
        typed = b"".join(map(tokenizer.token_bytes, old.ids[index:]))[
            : max(old.prefix_bytes - kept, 0)
        ]
        as_bytes = tokenizer.token_bytes(token)
        if not as_bytes.startswith(typed):
            raise UsageError(
                f"token {index} ends a word that stands before the reply",
                f"choose one that begins with {typed.decode('utf-8', 'replace')!r}",
            )
        node = replace(
            old, id=-1, ids=old.ids[:index], logprobs=old.logprobs[:index], forced=index, changes=[]
        )
        return self._rerolled(node, token, as_bytes[len(typed) :])

    @property
    def ids(self) -> list[int]:
        """The whole transcript as ids."""
        return self.tree.ids(self.tree.head)

    @property
    def text(self) -> str:
        """The whole text so far, as the model has it."""
        return self.sampler.tokenizer.decode(self.ids)

    @property
    def used(self) -> tuple[int, int]:
        """How many positions of the context are taken, and how many there are."""
        return len(self.window), self.sampler.context.block_size

    @property
    def window(self) -> list[int]:
        """What the model has in view at the head."""
        head = self.tree.head_node
        return self._replies.window(head) if head else []

    @property
    def left_out(self) -> tuple[LeftOut, LeftOut]:
        """What of the turns was not read before the latest reply, and what when it ended."""
        return self._replies.left_out()

    def read_for(self, node: Node, index: int) -> list[int]:
        """Return the ids that were read when the id at `index` (from 0) of a reply was drawn."""
        return self._replies.window(node, len(node.ids) - index)

    def parts_of(self, node: Node) -> list[tuple[int, int]]:
        """Return the parts of a reply, from and up to which id, that have one beginning in view."""
        return self._replies.parts_of(node)

    def thinking_at(self, index: int | None) -> bool:
        """Whether the id at `index` of the last reply is thought rather than said.

        None is where its turn begins: whether the chat template has opened a thought.
        """
        path = self.tree.path(self.tree.head)
        if self.dialogue is None or not has_question(path):
            return False
        prompt, said, _ = self.dialogue.view(path)
        before = [] if index is None else said[: len(said) - len(path[-1].ids) + index]
        written = prompt.pieces[-1].text if prompt.pieces else ""
        return is_thinking(written + self.sampler.tokenizer.decode(before))

    @cached_property
    def tokenizer_id(self) -> str:
        """What tells the sampler's tokenizer from others; worked out once, as it takes a while."""
        return self.sampler.tokenizer.sha256

    def consistent(self) -> bool:
        """Whether the context holds the window of the last reply, but for its newest id."""
        return self._replies.consistent()

    def _reply(self, parent: int | None) -> Generator[Token, None, None]:
        yield from self._replies.new(self._draft(Node("model", parent)), self.mode.turns)

    def _rerolled(self, node: Node, token: int, extra: bytes) -> Generator[Token, None, None]:
        yield from self._replies.rerolled(self._draft(node), token, extra)

    def _draft(self, node: Node) -> Node:
        """Give a reply that now begins the settings and the seed it will have."""
        stop = dict.fromkeys(self.config.stop + self.mode.stop)
        node.settings = self.config.model_dump(mode="json", exclude={"seed", "lookup"}) | {
            "stop": [*stop]
        }
        used = {child.seed for child in self.tree.children(node.parent)}
        seed = secrets.randbits(48) if self.config.seed is None else self.config.seed
        while seed in used:
            seed = (seed + 1) % 2**63
        node.seed = seed
        node.thinking = self._told_of_thinking
        return node


def _clean(text: str) -> str:
    """Replace halves of surrogate pairs, which are no text."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
