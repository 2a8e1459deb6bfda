"""Drafts of a smaller model with the same tokens, which reads along and says what it would take.

It always takes its likeliest token, whatever the temperature. Knows models through a Context of
its own; what a draft is worth is found out elsewhere.
"""

import os
import time

import torch

from tuillm.errors import UsageError
from tuillm.generation.context import Context
from tuillm.model import Decoder, NativeGPT, choose_dtype, load_decoder, read_config
from tuillm.store.run_checkpoints import resolve_model
from tuillm.text import Tokenizer, load_tokenizer

# a model always has something to say: its draft counts as one with the longest match
_MATCH = 32
_BLEND = 0.2


class DraftModel:
    """A small model that drafts; a `Drafter`. What it has not seen is read at the next draft."""

    def __init__(self, model: Decoder) -> None:
        self.context = Context(model)
        self._entries = model.config.vocab_size
        self._ids: list[int] = []
        self._start = 0  # of what it reads of them
        self._known = True  # whether it has read all but a few
        self.seconds = 0.0

    def begin(self, ids: list[int]) -> None:
        """Take note of a conversation."""
        self._ids, self._start, self._known = [], 0, False
        for token in ids:
            self.push(token)

    def push(self, token: int) -> None:
        """Take note of the next id; those that only the other model has are read as the first."""
        self._ids.append(token if token < self._entries else 0)

    def match(self) -> int:
        """It has a draft for whatever stands there."""
        return _MATCH if self._ids else 0

    def take(self, count: int) -> list[int]:
        """Return the likeliest ids, one after the other."""
        context, size = self.context, self.context.block_size
        count = min(count, size // 2)
        if count < 1:
            return []
        if len(self._ids) - self._start + count > size:
            self._start = len(self._ids) - size // 2
        begun = time.perf_counter()
        logits, _ = context.read(self._ids[self._start :])
        draft = [int(logits.argmax())]
        while len(draft) < count:
            logits, _ = context.advance(draft[-1:])
            draft.append(int(logits.argmax()))
        if self._known:  # else the most of it was reading
            each = (time.perf_counter() - begun) / count
            self.seconds += (_BLEND if self.seconds else 1.0) * (each - self.seconds)
        self._known = True
        return draft


def load_draft_model(
    name: str | os.PathLike[str],
    tokenizer: Tokenizer,
    larger: int,
    device: torch.device,
    dtype: str,
) -> DraftModel:
    """Return the model of a name as a draft model for one of `larger` parameters.

    Raises TuillmError for an unknown or damaged model, and UsageError for one whose tokens are
    others, or that is not smaller.
    """
    found = resolve_model(name)
    theirs = load_tokenizer(found.path)
    allowed = "--draft takes a smaller model with the same tokenizer, as gpt2 is for gpt2-large"
    if not _same_ids(theirs, tokenizer):
        raise UsageError(f"{found.name!r} cannot draft: it has another tokenizer", allowed)
    config = read_config(found.path)
    theirs.refuse_beyond(config.vocab_size, found.path)
    count = config.parameter_count
    if count >= larger:
        raise UsageError(
            f"{found.name!r} cannot draft: it has {count:,} parameters, and the model that it "
            f"would draft for {larger:,}",
            allowed,
        )
    kind, _ = choose_dtype(dtype, device, count)
    drafting = load_decoder(found.path, kind, device)
    if isinstance(drafting, NativeGPT):  # PyTorch has one thread while a reply is computed
        drafting.run_threads = drafting.threads or torch.get_num_threads()
    return DraftModel(drafting)


def _same_ids(one: Tokenizer, other: Tokenizer) -> bool:
    """Whether two tokenizers have the same ids for the same bytes."""
    if one.sha256 == other.sha256:
        return True
    return one.n_vocab == other.n_vocab and all(
        one.token_bytes(token) == other.token_bytes(token) for token in range(one.n_vocab)
    )
