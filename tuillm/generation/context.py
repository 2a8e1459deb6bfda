"""What a model has read so far: ids and their keys and values, kept in step.

The list of ids is the truth; the cache holds exactly them (after `advance`), or some more that
were computed ahead, as a guess of what comes next. A prompt that begins like what was read before
costs only the rest. Knows no sampling and no text.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tuillm.errors import TuillmError
from tuillm.generation.context_window import Keep, fit, slide
from tuillm.model import Decoder, KVCache

# replies that grow side by side: so many at most, in so many bytes, with those of a logit and
# what is made of it on the way to a token
_MOST_ROWS, _ROOM, _LOGIT_BYTES = 256, 1 << 30, 40


class Context:
    """The window of one conversation with a model, or of `batch` replies to one prompt."""

    def __init__(self, model: Decoder) -> None:
        self._model = model
        config = model.config
        self._shape = dict(
            n_layer=config.n_layer,
            kv_heads=config.kv_heads,
            head_dim=config.head_width,
            block_size=config.block_size,
        )
        dtype = torch.float32 if model.device.type == "cpu" else model.dtype
        try:
            self._cache = KVCache(**self._shape, dtype=dtype, device=model.device)
        except RuntimeError:  # the system gives no such memory
            raise TuillmError(
                f"there is no memory for a context of {config.block_size:,} tokens "
                f"in {config.n_layer:,} layers"
            ) from None
        self.rows: list[list[int]] = [[]]
        self.prefilled = 0
        # what was computed ahead: ids, the next one last, and the logits [1, V] behind each
        self._ahead: list[tuple[int, Tensor]] = []

    @property
    def length(self) -> int:
        """How many positions are taken."""
        return len(self.rows[0])

    @property
    def block_size(self) -> int:
        """How many positions there are."""
        return self._model.config.block_size

    @property
    def vocab_size(self) -> int:
        """How many ids there are."""
        return self._model.config.vocab_size

    @property
    def rows_at_once(self) -> int:
        """How many replies can grow side by side in a memory of fair size."""
        config = self._model.config
        cache = (
            2 * config.n_layer * config.kv_width * config.block_size * self._cache.store.itemsize
        )
        return max(1, min(_MOST_ROWS, _ROOM // (cache + config.vocab_size * _LOGIT_BYTES)))

    def read(self, ids: list[int], n_keep: Keep = 0) -> tuple[Tensor, int]:
        """Make the window that of a prompt; return logits [1, V] and how many ids were dropped.

        Keys and values of the longest common beginning are reused; `prefilled` counts the ids
        that had to be computed, of a draft those that were accepted. A vocabulary of few characters
        may spell nothing of a prompt: then it is read as the first id.
        """
        self._ahead = []
        ids = ids or [0]
        window = fit(ids, self.block_size, n_keep)
        old = self.rows[0] if len(self.rows) == 1 else []
        # the last id is always computed again: its logits are wanted
        same = min(common_prefix(old, window), len(window) - 1, self._cache.length)
        if len(self.rows) > 1:
            self._cache = self._new_cache(1)
        self._cache.truncate(same)
        self.rows = [list(window)]
        return self._forward([window[same:]]), len(ids) - len(window)

    def widen(self, batch: int) -> None:
        """Go on with `batch` replies that all begin with what was read."""
        self.drop_ahead()
        self._cache = self._cache.expanded(batch)
        self.rows = [list(self.rows[0]) for _ in range(batch)]

    def advance(
        self, tokens: list[int], n_keep: Keep = 0, draft: Sequence[int] = ()
    ) -> tuple[Tensor, int]:
        """Append one id to each row; return logits [B, V] and how many ids had to be dropped.

        A `draft`, of a single row, are ids that may come next: their logits are computed at the
        same time, and as long as the calls that follow append just these ids, they cost nothing.
        """
        if self.expects(tokens):
            token, logits = self._ahead.pop()
            self.rows[0].append(token)
            self.prefilled += 1
            return logits, 0
        self.drop_ahead()
        if self.length < self.block_size:
            guess = list(draft[: self.block_size - self.length - 1])
            for row, token in zip(self.rows, tokens, strict=True):
                row.append(token)
            if guess:
                return self._look_ahead(tokens[0], guess), 0
            return self._forward([[token] for token in tokens]), 0
        before = self.length
        self.rows = [
            slide(row, self.block_size, n_keep) + [token]
            for row, token in zip(self.rows, tokens, strict=True)
        ]
        self._cache.truncate(0)
        return self._forward(self.rows), before + 1 - self.length

    def expects(self, tokens: list[int]) -> bool:
        """Whether the logits behind these ids, one a row, are computed already."""
        return bool(self._ahead) and tokens == [self._ahead[-1][0]]

    @property
    def ahead(self) -> int:
        """How many ids are computed ahead."""
        return len(self._ahead)

    def drop_ahead(self) -> None:
        """Forget what was computed ahead: the cache holds the ids of `rows` alone."""
        if self._ahead:
            self._ahead = []
            self._cache.truncate(self.length)

    def truncate(self, length: int) -> None:
        """Forget all positions from `length` on."""
        self._ahead = []
        self.rows = [row[:length] for row in self.rows]
        self._cache.truncate(length)

    def _look_ahead(self, token: int, draft: list[int]) -> Tensor:
        """Compute the newest id and a draft of what follows; return the logits of the former."""
        self.prefilled += 1
        idx = torch.tensor([[token, *draft]], device=self._cache.store.device)
        logits: Tensor = self._model(idx, self._cache, last=idx.shape[1])
        first, *rest = logits.float().unbind(1)  # each [1, V]
        self._ahead = list(zip(draft, rest, strict=True))[::-1]
        return first

    def _forward(self, ids: list[list[int]]) -> Tensor:
        self.prefilled += len(ids[0])
        idx = torch.tensor(ids, device=self._cache.store.device)
        logits: Tensor = self._model(idx, self._cache, last=1)
        return logits[:, -1].float()

    def _new_cache(self, batch: int) -> KVCache:
        store = self._cache.store
        return KVCache(**self._shape, batch=batch, dtype=store.dtype, device=store.device)


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """Return the length of the longest common beginning of two lists of ids."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(first), len(second)))
