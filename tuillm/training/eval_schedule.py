"""When a run evaluates, on how much of the held-out text, and what came of it.

Whatever ends a run, its evaluations take at most a twentieth of its time: of a long held-out text
they take a half, a quarter, an eighth... of its windows, always the same ones, and their samples
are shorter. How much is decided once, before the first step, from measured speeds, and kept in the
checkpoint. Knows the trainer only to measure these.
"""

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from tuillm.config import TrainConfig
from tuillm.config.gpt_config import windows_at_once
from tuillm.training.auto_settings import (
    eval_token_count,
    min_eval_tokens,
    min_sample_tokens,
    sample_token_count,
)
from tuillm.training.evaluate import Evaluation, evaluate
from tuillm.training.schedule import EVALUATIONS
from tuillm.training.trainer_state import EvaluationsState

if TYPE_CHECKING:
    from tuillm.training.trainer import Trainer

_BRIEF = 0.3
_TIMED = 8192
_SAMPLED = 8


class Evaluations:
    """The evaluations of one run: when the next is due, which was the best, when patience ends."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self._wanted = False
        self.tokens: int | None = None  # of the held-out text; None until it is decided
        self.sample_tokens: int | None = None  # of each sample but the last; likewise
        self.best: Evaluation | None = None
        self.best_step = 0
        self._without_gain = 0
        self._tenths = 0
        self._ended, self._cost = 0.0, 0.0  # where the last one ended, and what it took of the run

    def due(self, step: int, progress: float) -> bool:
        """Whether to evaluate after `step`: when asked to, by the interval, or ten times a run."""
        if self._wanted:
            return True
        if self.config.eval_interval:
            return step % self.config.eval_interval == 0
        tenths = int(progress * EVALUATIONS)
        if tenths <= self._tenths or self._too_busy(progress):
            return False
        self._tenths = tenths
        return True

    def took(self, begin: float, end: float) -> None:
        """Note between which shares of a run on the clock an evaluation was made."""
        if self.config.minutes:
            self._ended, self._cost = end, end - begin

    def _too_busy(self, progress: float) -> bool:
        """Whether the machine is too busy for ten evaluations in a run on the clock.

        They take a fifth of the run at most, and none is made for which there is no time before the
        last one.
        """
        return progress - self._ended < 4 * self._cost or 1 - progress < self._cost

    def want(self, wanted: bool = True) -> None:
        """Ask for an evaluation after the next step, or take that back."""
        self._wanted = wanted

    def decide(self, tokens: int, sample_tokens: int) -> None:
        """Settle how much each evaluation takes, unless a checkpoint has told the tokens."""
        self.tokens, self.sample_tokens = self.tokens or tokens, sample_tokens

    def note(self, evaluation: Evaluation, step: int) -> bool:
        """Remember the best evaluation; return whether this one is."""
        gained = math.isfinite(evaluation.val_loss) and (
            self.best is None or evaluation.val_loss < self.best.val_loss
        )
        if gained:
            self.best, self.best_step = evaluation, step
        self._without_gain = 0 if gained else self._without_gain + 1
        return gained

    @property
    def best_so_far(self) -> tuple[Evaluation | None, int]:
        """The best evaluation, and its step; to be set after a rollback, which must not lose it."""
        return self.best, self.best_step

    @best_so_far.setter
    def best_so_far(self, best: tuple[Evaluation | None, int]) -> None:
        self.best, self.best_step = best

    def anew(self) -> "Evaluations":
        """Return those of a run that begins again, with as much to evaluate on."""
        fresh = Evaluations(self.config)
        fresh.tokens, fresh.sample_tokens = self.tokens, self.sample_tokens
        return fresh

    @property
    def patience_exhausted(self) -> bool:
        """Whether patience has run out."""
        return 0 < self.config.patience <= self._without_gain

    def extend(self, progress: float) -> None:
        """Count anew from `progress` on, of a run that has become longer."""
        self._tenths = int(progress * EVALUATIONS)
        if self.patience_exhausted:
            self._without_gain = 0

    def change_text(self) -> None:
        """Forget what was measured on another text: its losses do not compare."""
        self.tokens, self.sample_tokens = None, None
        self.best, self._without_gain = None, 0

    def state(self) -> EvaluationsState:
        """What a checkpoint keeps."""
        return {
            "best_step": self.best_step,
            "best": vars(self.best) if self.best else None,
            "tenths": self._tenths,
            "evals_without_gain": self._without_gain,
            "eval_tokens": self.tokens,
            "eval_sample_tokens": self.sample_tokens,
        }

    def load_state(self, numbers: EvaluationsState) -> None:
        """Go on from a checkpoint; older ones do not know how much was evaluated on."""
        self.best = Evaluation(**numbers["best"]) if numbers["best"] else None
        self.best_step, self._tenths = int(numbers["best_step"]), int(numbers["tenths"])
        self._without_gain = int(numbers["evals_without_gain"])
        self.tokens = numbers.get("eval_tokens")
        self.sample_tokens = numbers.get("eval_sample_tokens")


def choose_eval_tokens(trainer: "Trainer") -> tuple[int, int]:
    """Return how many tokens of its held-out text a run evaluates on, and how many it samples.

    Takes a second at most. Nothing is measured where both are few, and the run goes on as if
    nothing had been.
    """
    config, parameters = trainer.config, trainer.model.parameter_count
    held_out, wanted = len(trainer.tokens.val) - 1, config.sample_tokens
    long_text = held_out > min_eval_tokens(parameters)
    long_samples = wanted > min_sample_tokens(parameters)
    if not (long_text or long_samples):
        return held_out, wanted
    step = _step_seconds(trainer) if config.max_steps or config.eval_interval else 0.0
    if long_text:
        held_out = eval_token_count(
            config, held_out, parameters, trainer.setup.eval_window, step, token_seconds(trainer)
        )
    if long_samples:
        wanted = sample_token_count(config, parameters, step, sampled_seconds(trainer))
    return held_out, wanted


def token_seconds(trainer: "Trainer") -> float:
    """Return the seconds that an evaluation takes for a token, measured on one batch."""
    width, val, setup = trainer.setup.eval_window, trainer.tokens.val, trainer.setup
    at_once = windows_at_once(width, trainer.tokenizer.n_vocab, trainer.model.config.n_embd)
    part = val[: max(min(at_once * width, _TIMED) // width, 1) * width + 1]
    return duration(
        lambda: evaluate(
            trainer.model, part, 1, trainer.tokenizer, dtype=setup.eval_dtype, window=width
        )
    ) / (len(part) - 1)


def sampled_seconds(trainer: "Trainer") -> float:
    """Return the seconds that a token of a sample takes, measured on a few."""
    return duration(lambda: trainer.sample(_SAMPLED)) / _SAMPLED


def _step_seconds(trainer: "Trainer") -> float:
    """Return the seconds of a step, but for the optimizer's share: of a pass forward and back."""
    batches, optimizer, model = (
        trainer.setup.batches,
        trainer.setup.optimizer,
        trainer.setup.learner,
    )
    epoch, position = batches.epoch, batches.position
    was_training = model.training

    def compute() -> None:
        trainer.ranks.tell("compute")
        trainer.setup.gradients.pass_alone()

    with torch.random.fork_rng():
        model.train()
        seconds = duration(compute)
        model.train(was_training)
        optimizer.zero_grad()
    batches.seek(epoch, position)
    return seconds * trainer.config.grad_accum_steps


def duration(action: Callable[[], object]) -> float:
    """Return the seconds an action takes, of a second time where the first was brief."""
    seconds = 0.0
    for _ in range(2):
        begin = time.perf_counter()
        action()
        seconds = time.perf_counter() - begin
        if seconds > _BRIEF:
            break
    return seconds
