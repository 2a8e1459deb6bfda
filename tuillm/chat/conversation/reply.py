"""How one reply comes about: what it begins with, token by token, and what its node then holds.

Knows nodes and the sampler; which reply a person asked for is the Session's business.
"""

from bisect import bisect_left
from collections.abc import Generator
from dataclasses import replace

from torch import Tensor

from tuillm.chat.conversation.dialogue import Dialogue, LeftOut, has_question
from tuillm.chat.conversation.thoughts import is_thinking
from tuillm.chat.conversation.transcript import (
    dropped_of,
    pieces_of,
    retell,
    unshown_of,
    whole_text,
    window_of,
)
from tuillm.chat.conversation.tree import Node, Tree
from tuillm.config import SamplingConfig
from tuillm.generation import Sampler, Token
from tuillm.generation.context import common_prefix
from tuillm.generation.context_window import Keep
from tuillm.generation.sampler import ReplyState, Settings
from tuillm.generation.token_healing import Reading

# what may change in the middle of a reply
LIVE = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "max_new_tokens")


class Replies:
    """Draws replies into one tree. A draft is a reply's node that is not in the tree yet.

    It comes into the tree with its first token. `settings` is asked before each token. What
    yields tokens may be closed at any of them: what was yielded stays in the node. `dialogue` is
    what reads the tree where a model folder's template writes the turns; without one the model
    reads the transcript as it is.
    """

    def __init__(self, sampler: Sampler, tree: Tree, settings: Settings) -> None:
        self._sampler, self._tree, self._settings = sampler, tree, settings
        self._tokenizer = sampler.tokenizer
        self.dialogue: Dialogue | None = None
        self._began = LeftOut()
        self._readings: dict[tuple[int, int], Reading] = {}
        self._latest: Node | None = None

    def new(self, draft: Node, turns: bool) -> Generator[Token, None, None]:
        """Yield a reply to the parent of a draft; `turns` tells whether stop strings end a turn."""
        before = self._tree.spoken(draft.parent)
        if before is None:
            draft.replacement_ids = list(self._sampler.start)
        elif before.who == "model" and before.finish != "written":
            self._take_over(draft, before, turns)
        elif draft.settings["heal"] and self._ends_in_words(before):
            yield from self._run(draft, *self._healed(draft, before))
            return
        yield from self._run(draft)

    def resumed(self, node: Node) -> Generator[Token, None, None]:
        """Yield the rest of a reply that was stopped; where others follow it, in a copy of it."""
        if self._tree.children(node.id):
            node = replace(
                node,
                id=-1,
                ids=list(node.ids),
                logprobs=list(node.logprobs),
                changes=list(node.changes),
            )
        return self._run(node, retold=False)

    def rerolled(self, draft: Node, token: int, extra: bytes) -> Generator[Token, None, None]:
        """Yield a reply that begins with the ids of a draft and `token`, whose `extra` is text."""
        yield from self._run(draft, Reading(self.window(draft), token, extra))

    def consistent(self) -> bool:
        """Whether the context holds the window of the latest reply, but for its newest id."""
        if self._latest is None:
            return True
        return self._sampler.context.rows == [self.window(self._latest, 1)]

    def window(self, node: Node, newest: int = 0) -> list[int]:
        """Return what the model reads up to a node, but for its `newest` last ids."""
        if self.dialogue and (path := self._dialogue_path(node)):
            return self.dialogue.window(path, newest)
        ids = self._tree.transcript(node)
        n_keep = node.settings.get("n_keep", self._settings().n_keep)
        return window_of(ids[: len(ids) - newest], self._sampler.context.block_size, n_keep)

    def left_out(self) -> tuple[LeftOut, LeftOut]:
        """Return what of a dialogue was left out before the latest reply, and when it ended."""
        path = self._dialogue_path(self._latest) if self._latest else []
        if self.dialogue is None or not path:
            return LeftOut(), LeftOut()
        return self._began, self.dialogue.left_out(path, 1)

    def parts_of(self, node: Node) -> list[tuple[int, int]]:
        """Return the parts of a reply before each of which turns went, as ranges of its ids."""
        dialogue, path, parts, size = self.dialogue, self._dialogue_path(node), [], len(node.ids)
        start = 0
        while dialogue and path and start < size:
            base = dialogue.left_out(path, size - start)
            same = range(start, size)
            end = start + bisect_left(
                same, True, key=lambda index: dialogue.left_out(path, size - index) != base
            )
            parts.append((start, end))
            start = end
        return parts or [(0, size)]

    def _left_out_before(self, dialogue: Dialogue, path: list[Node]) -> LeftOut:
        """Return what was left out when the last token before the coming one was shown."""
        if path[-1].ids:
            return dialogue.left_out(path, 1)
        while path and path[-1].who != "model" or path and not path[-1].ids:
            path = path[:-1]
        return dialogue.left_out(path, 1) if has_question(path) else LeftOut()

    def _dialogue_path(self, node: Node) -> list[Node]:
        """Return the path to a node that the template writes; [] where the transcript is read."""
        path = [*self._tree.path(node.parent), node]
        return path if self.dialogue is not None and has_question(path) else []

    def _take_over(self, draft: Node, before: Node, turns: bool) -> None:
        """Begin a reply right behind another with what of that one was never shown.

        Where turns are taken, a stop string has ended that turn and is dropped; else it is text.
        Where a template writes them, what ended it is dropped, too.
        """
        cut = unshown_of(before, self._tokenizer)
        draft.drop_tail = cut.count
        if self.dialogue and before.ids and before.ids[-1] in self._tokenizer.ends:
            draft.drop_tail = 1
        elif turns and before.finish == "stop":
            draft.replacement_ids = self._tokenizer.encode(cut.text)
        elif cut.count:
            draft.ids = before.ids[-cut.count :]
            draft.logprobs = before.logprobs[-cut.count :]
            draft.forced, draft.prefix_bytes = cut.count, len(cut.shown)

    def _healed(self, draft: Node, before: Node) -> tuple[Reading, Tensor | None]:
        """Let a reply begin with the person's last word as the model learned to read it."""
        n_keep = draft.settings["n_keep"]
        window = self.window(draft)
        known, logits = self._readings.get((before.id, n_keep)), None
        if known is None:
            self._latest = None
            since = max(len(window) - len(before.ids), 0)
            known, logits = self._sampler.heal(window, since, n_keep)
            self._readings[before.id, n_keep] = known
        same = common_prefix(window, known.ids)
        draft.drop_tail, draft.replacement_ids = len(window) - same, known.ids[same:]
        draft.prefix_bytes = self._size(window[same:]) - self._size(draft.replacement_ids)
        # with more or fewer ids than were typed the window may begin elsewhere
        read = self.window(draft)
        return replace(known, ids=read), logits if read == known.ids else None

    def _run(
        self,
        node: Node,
        reading: Reading | None = None,
        logits: Tensor | None = None,
        retold: bool = True,
    ) -> Generator[Token, None, None]:
        """Yield the tokens of a reply, those it has already first if they are to be `retold`."""
        stop = tuple(node.settings["stop"])
        text, told = retell(pieces_of(node, self._tokenizer), stop, self._tokenizer)
        there = ReplyState(
            text,
            node.seed or 0,
            self._keep(node),
            len(node.ids),
            len(node.ids) - node.forced,
            reading,
            logits,
        )
        already = list(zip(told, node.ids, node.logprobs, strict=True)) if retold else []
        node.reopen()
        try:
            for index, (piece, token, logprob) in enumerate(already):
                self._enter(node)
                yield Token(piece, token, logprob, index)
            for fresh in self._fresh(node, there):
                told.append(fresh.text)
                if fresh.finish:
                    fresh = self._finished(node, fresh, "".join(told[:-1]))
                    told[-1] = fresh.text
                yield fresh
        finally:
            if node.finish == "stop":
                node.text = "".join(told)
            else:  # what was held back, as it might have begun a stop string, is text after all
                node.text = whole_text(pieces_of(node, self._tokenizer), self._tokenizer)

    def _fresh(self, node: Node, there: ReplyState) -> Generator[Token, None, None]:
        """Yield the tokens that are drawn, and keep each in the node."""
        self._latest, missed = None, self._missed(node)
        window = self.window(node)
        for token in self._sampler.go_on(window, self._live(node), there):
            self._enter(node)
            self._latest = node
            node.ids.append(token.id)
            node.logprobs.append(round(token.logprob, 4))
            if token.index == there.index:
                node.forced += there.reading is not None and there.reading.last is not None
                token = replace(token, dropped=token.dropped + missed)
            yield token

    def _finished(self, node: Node, last: Token, told: str) -> Token:
        """Note how a reply ended; half a character at its end is not shown, as it may go on."""
        node.finish, node.stopped = last.finish, False
        if last.finish == "stop":
            return last
        whole = whole_text(pieces_of(node, self._tokenizer), self._tokenizer)
        return replace(last, text=whole[len(told) :])

    def _enter(self, node: Node) -> None:
        """Put a draft into the tree."""
        if node.id < 0:
            path = self._dialogue_path(node)
            if self.dialogue and path:
                pieces = self.dialogue.view(path)[0].pieces
                node.in_thought = bool(pieces) and is_thinking(pieces[-1].text)
            self._tree.append(node)

    def _live(self, node: Node) -> Settings:
        """Return a function that gives the settings of the moment and notes what has changed."""
        known = node.settings | {
            name: value for _, change in node.changes for name, value in change.items()
        }
        latest: SamplingConfig | None = None

        def ask() -> SamplingConfig:
            nonlocal latest
            config = self._settings()
            if config is not latest:
                latest = config
                change = {
                    name: value
                    for name in LIVE
                    if (value := getattr(config, name)) != known.get(name)
                }
                if change:
                    known.update(change)
                    node.changes.append((len(node.ids), change))
            return config

        return ask

    def _missed(self, node: Node) -> int:
        """Return how many ids fell out of view since the last token that was shown."""
        if self.dialogue and (path := self._dialogue_path(node)):
            self._began = self._left_out_before(self.dialogue, path)
            return 0
        length = len(self._tree.transcript(node))
        if node.ids:
            before = length - 1
        else:
            said = [each for each in self._tree.path(node.parent) if each.who == "model"]
            before = len(self._tree.transcript(said[-1])) - 1 if said else 0
        size = self._sampler.context.block_size
        return max(dropped_of(length, size) - dropped_of(before, size), 0)

    def _keep(self, node: Node) -> Keep:
        """Return what stays in view when the context is full in the middle of a reply."""
        if self._dialogue_path(node):
            return lambda: self.window(node)[:-1]  # the newest id comes behind it
        n_keep: int = node.settings["n_keep"]
        return n_keep

    def _ends_in_words(self, node: Node) -> bool:
        """Whether the transcript ends with a person's words, or with the blank of a template.

        What a model folder's template writes behind a question is read as it is.
        """
        if self.dialogue and node.who == "you":
            return False
        put = node.rendered or node.text
        return put.endswith((node.text, " "))

    def _size(self, ids: list[int]) -> int:
        return sum(len(self._tokenizer.token_bytes(token)) for token in ids)
