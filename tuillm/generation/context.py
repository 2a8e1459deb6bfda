"""What a model has read so far: ids and their keys and values, kept in step.

The list of ids is the truth; the cache holds exactly them (after `advance`), or some more that
were computed ahead, as a guess of what comes next. A prompt that begins like what was read before
costs only the rest. Knows no sampling and no text.
"""

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tuillm.config.context_memory import context_bytes
from tuillm.errors import TuillmError
from tuillm.generation.context_window import Keep, fit, slide
from tuillm.model import Decoder
from tuillm.units import size

# replies that grow side by side: so many at most, in so many bytes, with those of a logit and
# what is made of it on the way to a token
_MOST_ROWS, _ROOM, _LOGIT_BYTES = 256, 1 << 30, 40
# ids that are computed at once. Where their number changes no bit of the result, as many as take
# about so many seconds, to be stopped soon: of a model of so many parameters the most at first
_MOST, _LEAST, _SECONDS, _MOST_OF = 512, 64, 0.4, 150_000_000

Progress = Callable[[int, int], None]


class Context:
    """The window of one conversation with a model, or of `batch` replies to one prompt.

    It has `block_size` positions. `progress`, if set, is called between the parts in which a long
    prompt is read, with how many ids are read and of how many; what it raises, or Ctrl-C, ends the
    reading, and what was read by then is kept.
    """

    def __init__(self, model: Decoder, positions: int | None = None, cut: str = "") -> None:
        """`positions` are what the model was made for, or fewer; `cut` says why, or is ""."""
        self.model = model
        most = model.config.block_size
        self.block_size = most if positions is None else min(positions, most)
        self.cut = cut
        self._cache = model.new_cache()
        self.rows: list[list[int]] = [[]]
        self.prefilled = 0
        self.progress: Progress | None = None
        native = model.kernel == "native"
        first = _MOST * _MOST_OF // max(model.config.parameter_count, 1) if native else _MOST
        self._part = max(_LEAST, min(_MOST, first))
        # what was computed ahead: ids, the next one last, and the logits [1, V] behind each
        self._ahead: list[tuple[int, Tensor]] = []

    @property
    def length(self) -> int:
        """How many positions are taken."""
        return len(self.rows[0])

    @property
    def vocab_size(self) -> int:
        """How many ids there are."""
        return self.model.config.vocab_size

    @property
    def words(self) -> str:
        """How many positions there are and what memory they take, and have taken so far."""
        all_of_them = context_bytes(self.model.config, self.block_size, self._cache.item_bytes)
        return (
            f"{self.block_size:,} positions, {size(all_of_them)} when all are taken, now "
            f"{size(self._cache.bytes)}"
        )

    def rows_at_once(self, length: int) -> int:
        """How many replies can grow to a length side by side in a memory of fair size."""
        config = self.model.config
        positions = min(length, self.block_size)
        cache = context_bytes(config, positions, self._cache.item_bytes)
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
            self._cache = self.model.new_cache()
        return self._read_from(same, [window]), len(ids) - len(window)

    def widen(self, batch: int) -> None:
        """Go on with `batch` replies that all begin with what was read.

        Raises TuillmError where there is no memory for so many.
        """
        self.drop_ahead()
        try:
            wide = self._cache.expanded(batch)
        except MemoryError:
            raise TuillmError(
                f"there is no memory for {batch} replies side by side", "ask for fewer at once"
            ) from None
        self._cache, self.rows = wide, [list(self.rows[0]) for _ in range(batch)]

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
        rows = [
            slide(row, self.block_size, n_keep) + [token]
            for row, token in zip(self.rows, tokens, strict=True)
        ]
        return self._read_from(0, rows), before + 1 - self.length

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
        first, *rest = self._compute([[token, *draft]], 1 + len(draft)).unbind(1)  # each [1, V]
        self._ahead = list(zip(draft, rest, strict=True))[::-1]
        return first

    def _read_from(self, same: int, rows: list[list[int]]) -> Tensor:
        """Let the window be these rows, whose first `same` ids are in the cache; in parts.

        Wherever it ends, `rows` are what the cache holds.
        """
        self._cache.truncate(same)
        self.rows = [row[:same] for row in rows]
        total = len(rows[0])
        while True:
            begin, began = self.length, time.perf_counter()
            end = min(begin + max(1, self._part // len(rows)), total)
            logits = self._forward([row[begin:end] for row in rows])
            self.rows = [row[:end] for row in rows]
            if end == total:
                return logits
            self._adapt(time.perf_counter() - began)
            if self.progress:
                self.progress(end - same, total - same)

    def _adapt(self, seconds: float) -> None:
        """Choose how many ids are computed at once by how long the latest ones took.

        PyTorch's kernels round otherwise for other numbers: there it stays as it is.
        """
        if self.model.kernel == "native":
            fitting = int(self._part * _SECONDS / max(seconds, 1e-9))
            self._part = max(_LEAST, min(_MOST, fitting))

    def _forward(self, ids: list[list[int]]) -> Tensor:
        self.prefilled += len(ids[0])
        return self._compute(ids, 1)[:, -1]

    def _compute(self, ids: list[list[int]], last: int) -> Tensor:
        idx = torch.tensor(ids, device=self.model.device)
        try:
            logits: Tensor = self.model(idx, self._cache, last=last)
        except MemoryError:
            end, fits = self._cache.length + len(ids[0]), max(self._cache.length, 1)
            raise TuillmError(
                f"there is no memory for {end:,} positions of a context of {self.block_size:,}",
                f"--context {fits} would fit" if len(ids) == 1 else "ask for fewer at once",
            ) from None
        return logits.float()


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """Return the length of the longest common beginning of two lists of ids."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(first), len(second)))
