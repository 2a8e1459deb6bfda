"""The sentences about what was decided for the person in a run, one for each subject.

Knows what is said of evaluations, extensions, memory, rollbacks and a busy machine; decides
nothing.
"""

from collections.abc import Iterable

from tuillm.training.evaluate import Evaluation

# of the processor: a run that had less of it has learned less than its time promises
_LITTLE = 0.35


def busy_words(share: float, steps: int) -> list[str]:
    """Say that a run had little of the processor: its thread computed for a `share` of the time."""
    if not 0 < share < _LITTLE:
        return []
    return [
        f"other programs took most of the processor: this run had {share:.0%} of it, and learned "
        f"for {steps:,} steps; tuillm runs extend, or E in the dashboard, lets it learn more"
    ]


class RunNotes:
    """Sentences in the order in which they came; a new one of the same subject replaces the old."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    @property
    def lines(self) -> list[str]:
        """All of them."""
        return list(self._said.values())

    def add(self, sentences: Iterable[str]) -> None:
        """Say what has no subject of its own, unless it was said; "" says nothing."""
        for sentence in filter(None, sentences):
            self._said.setdefault(sentence, sentence)

    def before(self, evaluation: Evaluation | None) -> None:
        """Say how well the model that a run starts from knows the text."""
        told = evaluation and (
            f"before training: {evaluation.val_loss:.3f} nats/token, "
            f"{evaluation.bits_per_byte:.3f} bits/byte"
        )
        self._set("before", told or "")

    def course(self, words: str) -> None:
        """Say how far the run goes beyond its settings; "" where it does not."""
        self._set("course", words)

    def micro_batch(self, size: int, batch_size: int) -> None:
        """Say that batches are computed in parts, where they are."""
        self._set(
            "micro-batch",
            f"memory was short: batches of {batch_size} are computed {size} at a time"
            if size < batch_size
            else "",
        )

    def compiled(self, words: str) -> None:
        """Say whether steps are compiled, where that was tried."""
        self._set("compiled", words)

    def rolled_back(self, rollbacks: int, lr_scale: float, why: str = "") -> None:
        """Say how often the run went back to a checkpoint, and what it changed; 0 says nothing."""
        times = "once" if rollbacks == 1 else f"{rollbacks} times"
        because = f", last because {why}" if why else ""
        self._set(
            "rollback",
            f"training went back to a checkpoint {times}{because}: it skipped that data, and its "
            f"learning rates are {lr_scale:g} of what was set"
            if rollbacks
            else "",
        )

    def _set(self, subject: str, sentence: str) -> None:
        if sentence:
            self._said[subject] = sentence
        else:
            self._said.pop(subject, None)
