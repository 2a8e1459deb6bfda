"""Logits to a token: the one sampling pipeline, pure functions of their arguments.

The order is that of `transformers`' processors, which serve as its test: repetition penalty,
temperature, top_k, top_p, min_p, draw. Candidates are cut to k before anything is normalised:
a softmax over 50,000 entries costs more than ten times one over 200.

Shapes: B sequences, V vocabulary entries, K candidates.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tuillm.config import SamplingConfig
from tuillm.errors import TuillmError

_NUCLEUS = 1000


@dataclass(frozen=True)
class Candidates:
    """What may be drawn: `logits` [B, K], -inf where cut, and their `ids` [B, K] (None: all V)."""

    logits: Tensor
    ids: Tensor | None

    def full(self, size: int) -> Tensor:
        """Return the logits laid out over all `size` entries [B, V], -inf where cut."""
        if self.ids is None:
            return self.logits
        out = self.logits.new_full((self.logits.shape[0], size), -torch.inf)
        return out.scatter_(1, self.ids, self.logits)


def sample(
    logits: Tensor, config: SamplingConfig, seen: Tensor, generators: list[torch.Generator]
) -> Tensor:
    """Draw one id a row [B] from logits [B, V]; row b uses generators[b].

    `seen` [B, N] are the ids that the repetition penalty applies to. Temperature 0 takes the
    likeliest and draws nothing.
    """
    if config.greedy:
        return penalise(logits, seen, config.repetition_penalty).argmax(-1)
    candidates = choose_candidates(logits, config, seen)
    drawn = draw(candidates.logits, generators)
    if candidates.ids is None:
        return drawn
    return candidates.ids.gather(1, drawn[:, None])[:, 0]


def choose_candidates(logits: Tensor, config: SamplingConfig, seen: Tensor) -> Candidates:
    """Apply everything but the draw to logits [B, V]; temperature must be above 0."""
    logits = penalise(logits.float(), seen, config.repetition_penalty) / config.temperature
    candidates = keep_top_k(logits, config.top_k)
    if config.top_p < 1:
        candidates = keep_top_p(candidates, config.top_p)
    if config.min_p > 0:
        candidates = keep_min_p(candidates, config.min_p)
    return candidates


def penalise(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Make `seen` ids less likely: positive logits divided, negative multiplied by the penalty.

    From CTRL (Keskar et al. 2019, section 4.1).
    """
    if penalty == 1 or seen.numel() == 0:
        return logits
    found = logits.gather(1, seen)
    return logits.scatter(1, seen, torch.where(found < 0, found * penalty, found / penalty))


def keep_top_k(logits: Tensor, k: int) -> Candidates:
    """Keep the k likeliest of each row, the likeliest first; k = 0 keeps all, unsorted."""
    if k == 0 or k >= logits.shape[1]:
        return Candidates(logits, None)
    values, ids = logits.topk(k, dim=1)
    return Candidates(values, ids)


def keep_top_p(candidates: Candidates, p: float) -> Candidates:
    """Keep the fewest likeliest candidates whose probabilities reach p (nucleus sampling).

    From Holtzman et al. 2019. The likeliest one always stays.
    """
    total = candidates.logits.logsumexp(-1, keepdim=True)
    if candidates.ids is None:
        candidates = _likeliest_first(candidates.logits, total, p)
    probs = (candidates.logits - total).exp()
    before = probs.cumsum(-1) - probs  # what stands before each one
    return _cut(candidates, before >= p)


def keep_min_p(candidates: Candidates, share: float) -> Candidates:
    """Drop candidates less likely than `share` of the likeliest of their row."""
    logits = candidates.logits
    probs = torch.softmax(logits, -1)
    return _cut(candidates, probs < share * probs.amax(-1, keepdim=True))


def draw(logits: Tensor, generators: list[torch.Generator]) -> Tensor:
    """Draw one index a row [B] in proportion to exp(logits [B, K]).

    By inverting the cumulative sum with one uniform number a row: several times faster than a
    multinomial draw, and row b depends on generators[b] alone, whatever the batch.
    """
    cumulative = torch.softmax(logits, -1).double().cumsum(-1)
    numbers = [torch.rand(1, generator=generator, dtype=torch.float64) for generator in generators]
    targets = torch.cat(numbers)[:, None].to(cumulative.device) * cumulative[:, -1:]
    drawn = torch.searchsorted(cumulative, targets, right=True)[:, 0]
    return drawn.clamp_(max=logits.shape[1] - 1)


def _likeliest_first(logits: Tensor, total: Tensor, p: float) -> Candidates:
    """Sort logits [B, V], or only the top thousand where those hold the share p in every row."""
    if logits.shape[1] > _NUCLEUS:
        values, ids = logits.topk(_NUCLEUS, dim=1)
        if bool(((values - total).exp().sum(-1) > p + 1e-4).all()):
            return Candidates(values, ids)
    return Candidates(*logits.sort(-1, descending=True))


def _cut(candidates: Candidates, mask: Tensor) -> Candidates:
    return Candidates(candidates.logits.masked_fill(mask, -torch.inf), candidates.ids)


def not_finite(name: str) -> TuillmError:
    """Return what to raise where a model's logits are no numbers."""
    which = f"the model {name!r}" if name else "the model"
    return TuillmError(
        f"{which} computes no numbers but NaN: its weights are damaged or too large",
        "get it anew, or try --dtype float32",
    )
