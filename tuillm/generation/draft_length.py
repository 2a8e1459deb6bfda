"""How long a draft pays: what several tokens cost beside one, and how often they are accepted.

Both are measured while a reply is computed. A step of T tokens, a draft of T - 1 behind the token
that is certain, gives 1 + a + ... + a^(T-1) tokens where each is accepted with probability a
(Leviathan et al. 2023, section 3.1). What rejected drafts have cost is kept below half a
hundredth of the time: only for so much are they tried again. Knows seconds and counts; knows no
model.
"""

from dataclasses import dataclass

SIZES = (2, 4, 8, 16)  # tokens of a step with a draft
_ALLOWANCE = 0.005  # of the time, for drafts that may be rejected
_MOST_CREDIT = 2.0  # steps of one token
_WORTH = 1.05  # how much faster than plain decoding a draft must be expected to be
_BLEND, _SPIKE = 0.2, 2.0
# before anything is measured: each further token of a step, and the chance of a short and of a
# long match to be right, as if it had been seen in so many
_EACH_MORE, _SHORT, _LONG, _BELIEF = 0.02, 0.4, 0.8, 2.0
_FADES = 0.97


@dataclass
class _Chance:
    """How often tokens of drafts of one kind were right, newer ones counting more."""

    right: float
    seen: float

    def note(self, right: int, wrong: int) -> None:
        fade = _FADES ** (right + wrong)
        self.right = self.right * fade + right
        self.seen = self.seen * fade + right + wrong

    @property
    def value(self) -> float:
        return min(self.right / self.seen, 0.995)


class DraftLength:
    """Chooses how many tokens a step computes. A kind of draft is any key, with a match length."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}
        self._once: set[int] = set()  # sizes of a single measurement, with what sets them up
        self._chances: dict[tuple[int, int], _Chance] = {}
        self._credit = 1.0  # in steps of one token

    @property
    def ready(self) -> bool:
        """Whether a step of one token was measured, and a draft may be made at all."""
        return 1 in self._seconds and 1 not in self._once and self._credit > 0

    def choose(self, kind: int, match: int, seconds: float) -> tuple[int, float]:
        """Return of how many tokens a step should be, 1 for no draft, and how much faster it is.

        `seconds` is what a token of the draft itself takes.
        """
        chance, one = self._chance(kind, match).value, self._seconds[1]
        best, most = 1, _WORTH
        tried = max(self._seconds)
        for size in SIZES:
            if size > 2 * tried:  # first the shorter ones
                break
            steps = (self._cost(size) + (size - 1) * seconds) / one
            gain = _expected(chance, size) / steps
            if gain > most:
                best, most = size, gain
        if best == 1:  # does it pay by now? a short draft tells
            steps = (self._cost(SIZES[0]) + seconds) / one
            if steps - _expected(chance, SIZES[0]) < self._credit / 2:
                return SIZES[0], 1.0
        return best, most

    def plain(self, seconds: float) -> None:
        """Note a step of one token."""
        self._note(1, seconds)
        self._credit = min(self._credit + _ALLOWANCE, _MOST_CREDIT)

    def verified(self, size: int, seconds: float) -> None:
        """Note a step of several tokens."""
        if size in SIZES:
            self._note(size, seconds)

    def settled(self, kind: int, match: int, drafted: int, right: int, seconds: float) -> None:
        """Note what came of a draft, after `seconds` for it and its step."""
        self._chance(kind, match).note(right, int(right < drafted))
        # a step that was held up tells nothing, nor one that sets up what its size needs
        usual = self._cost(min(1 + drafted, SIZES[-1]))
        usual *= 1 if 1 + drafted in self._once else _SPIKE
        gain = 1 + right - min(seconds, usual) / self._seconds[1]
        self._credit = min(self._credit + gain, _MOST_CREDIT)

    def _chance(self, kind: int, match: int) -> _Chance:
        key = kind, min(match.bit_length(), 6)
        if key not in self._chances:
            first = _LONG if match >= 8 else _SHORT
            self._chances[key] = _Chance(first * _BELIEF, _BELIEF)
        return self._chances[key]

    def _cost(self, size: int) -> float:
        """The seconds of a step: what larger ones took at most, or what smaller ones suggest."""
        larger = [seconds for known, seconds in self._seconds.items() if known >= size]
        if larger:
            return min(larger)
        nearest = max(self._seconds)
        return self._seconds[nearest] * (1 + _EACH_MORE * (size - nearest))

    def _note(self, size: int, seconds: float) -> None:
        known = self._seconds.get(size)
        if known is None:
            self._once.add(size)
            seconds = min(seconds, _SPIKE * self._cost(size)) if self._seconds else seconds
        elif size in self._once:
            self._once.remove(size)
        else:
            seconds = known + _BLEND * (min(seconds, _SPIKE * known) - known)
        self._seconds[size] = seconds


def _expected(chance: float, size: int) -> float:
    """Return how many tokens a step of `size` gives on average."""
    return (1 - chance**size) / (1 - chance)
