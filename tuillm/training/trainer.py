"""Trainer: grows a GPT on a corpus and yields what each step measured.

Knows the corpus, the model and the recipe; knows no run folder and no screen. Whoever iterates
over `steps()` decides what is written, shown, paused or stopped.
"""

import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from tuillm.config import SamplingConfig, TrainConfig, build_train, settings_table
from tuillm.errors import TuillmError
from tuillm.generation import Sampler
from tuillm.model import GPT, choose_device
from tuillm.model.lora import adapter_state, load_adapter_state, ready
from tuillm.model.memory import keep_freed_memory
from tuillm.store.models import Model, find_model, shape_of
from tuillm.text import load_tokenizer, read_corpus, tokenize
from tuillm.training.batches import Batches
from tuillm.training.beginning import begin, copy_weights, fit
from tuillm.training.evaluate import Evaluation, evaluate
from tuillm.training.machine import (
    autocast,
    choose_train_dtype,
    looking_dtype,
    matmul_flops,
    mirrors_pay,
)
from tuillm.training.metrics import StepMetrics, Stopwatch
from tuillm.training.optimizer import Optimizer
from tuillm.training.schedule import (
    EVAL_SHARE,
    EVALUATIONS,
    Course,
)
from tuillm.training.sizing import tokens_to_measure


class Trainer:
    """`Trainer(corpus="book.txt", name="kafka", preset="tiny").run()` trains and publishes."""

    def __init__(self, corpus: str | os.PathLike[str] | list[str] | tuple[str, ...] = (),
                 **settings: Any) -> None:
        """Check the settings (those of TrainConfig); nothing is read or built yet.

        Raises UsageError for an unknown setting or a value out of range, TuillmError when
        `init_from` is no usable model.
        """
        self._begin(build_train({"corpus": corpus} | settings, shape_of=shape_of))

    @classmethod
    def from_config(cls, config: TrainConfig) -> Self:
        """Return a trainer for settings that are complete already."""
        self = cls.__new__(cls)
        self._begin(config)
        return self

    def _begin(self, config: TrainConfig) -> None:
        self.config = config
        self.notes: list[str] = []
        self.step = 0
        self.best: Evaluation | None = None
        self.best_step = 0
        self.before: Evaluation | None = None
        self.eval_wanted = False
        self.interrupted: Callable[[], bool] = lambda: False
        self._prepared = False
        self._course = Course(config)
        self._evals_without_gain = 0
        self._tenths = 0
        self._eval_seconds = 0.0

    @staticmethod
    def help_config() -> None:
        """Print every training setting: meaning, range and default."""
        print(settings_table(TrainConfig))

    def run(self, *, replace: bool = False) -> Model:
        """Train in this process, writing a run folder, and publish; return the model.

        `replace` allows to publish over a model of the same name. Raises TuillmError when the
        name is taken or the corpus cannot be read.
        """
        from tuillm.training.record import run_here

        return run_here(self, replace=replace)

    def prepare(self, checkpoint: Path | None = None) -> None:
        """Read the corpus, make tokens, build the model; `notes` says what was decided.

        A run that starts from a model takes it from `checkpoint` if it is to go on from there:
        the first model may be gone by then. Raises TuillmError for a run that the memory cannot
        hold.
        """
        if self._prepared:
            return
        torch.set_flush_denormal(True)
        keep_freed_memory()
        torch.manual_seed(self.config.seed)
        self.device = choose_device(self.config.device)
        self.dtype = choose_train_dtype(self.config.dtype, self.device)
        self.corpus = read_corpus(self.config.corpus, self.config.encoding)
        parent = None
        if self.config.init_from is not None:
            parent = checkpoint or find_model(self.config.init_from).path
        given = load_tokenizer(parent) if parent else None
        self.tokens = tokenize(self.corpus, self.config, given)
        self.tokenizer = self.tokens.tokenizer
        beginning = begin(self.config, self.tokens, parent)
        self.model, self.window = beginning.model, beginning.window
        fitted = fit(self.config, beginning, self.tokens, self.corpus.bytes, self.device)
        self.notes += [*self.corpus.notes, *self.tokens.notes, *beginning.notes, *fitted]
        ready(self.model.to(self.device), self.dtype)
        parameters = self.model.parameter_count
        self.looking_dtype = looking_dtype(self.dtype, parameters)
        self.tokens_measured = min(len(self.tokens.val) - 1, tokens_to_measure(parameters))
        mirrored = mirrors_pay(self.device, self.dtype, parameters) and not self.config.lora
        self.optimizer = Optimizer(self.model, self.config, mirrored=mirrored)
        self.batches = Batches(self.tokens.train, self.window, self.config.batch_size,
                               self.config.seed)
        self._sampler = Sampler.of(self.model, self.tokenizer)
        self._flops = matmul_flops(self.device, self.dtype)
        self._flops_per_token = self.model.config.flops_per_token(self.window, self.config.lora)
        self.clock = Stopwatch()
        self._prepared = True

    def steps(self) -> Iterator[StepMetrics]:
        """Yield the metrics of each step until the run is over; the last one says why it ended.

        Ends by max_steps, by the clock, or when patience runs out. Raises TuillmError when the
        loss is no longer a number.
        """
        self.prepare()
        self.measure_before()
        self.model.train()
        over = self.progress >= 1  # a resumed run may have taken its last step already
        while not over:
            started = self.clock.seconds
            factor = self._course.lr_factor(self.step, self.progress)
            loss, norm = self._take_step(factor)
            seconds = self.clock.seconds - started
            if not math.isfinite(loss):
                raise TuillmError(
                    f"the loss became {loss} at step {self.step}",
                    "try a lower --learning-rate or --muon-lr",
                )
            metrics = self._measure(loss, norm, factor, seconds)
            yield metrics
            # unless the run was extended just now; a clock that has run out since the step was
            # measured leaves one more, which is evaluated
            over = self._tired or (bool(metrics.last) and self.progress >= 1)

    def extend(self, steps: int) -> None:
        """Let the run take exactly `steps` more than where its settings, or patience, end it.

        The learning rate rises again to what the longer schedule says, and patience begins
        anew where it had run out.
        """
        self.prepare()
        self._course.note(self.step, self.clock.seconds, tired=self._tired)
        self._set_course(lambda: self._course.extend(steps))
        self._tenths = int(self.progress * EVALUATIONS)
        if self._tired:
            self._evals_without_gain = 0

    @property
    def extended_steps(self) -> int:
        """By how many steps the run was extended, all in all."""
        return self._course.extended_steps

    def measure_before(self) -> None:
        """Note how well the model to start from knows the text; the time is not the run's."""
        if self.config.init_from is not None and not self.step and not self.before:
            with self.clock.stopped():
                self._set_before(self.evaluate())

    @property
    def progress(self) -> float:
        """How much of the run is over, 0 to 1."""
        return self._course.progress(self.step, self.clock.seconds)

    def probe(self, seconds: float) -> float:
        """Take real steps for about `seconds`, after two to warm up; return the seconds of one.

        Where two take longer than that, the first one alone is the warm-up. A run that follows
        begins anew and does not notice.
        """
        self.prepare()
        self.model.train()
        taken: list[float] = []
        warm = 2
        while len(taken) <= warm or sum(taken[warm:]) < seconds:
            begin = time.perf_counter()
            self._take_step(self._course.lr_factor(self.step, 0.0))
            taken.append(time.perf_counter() - begin)
            warm = 1 if taken[0] > seconds / 2 else 2
        self.step, self.notes, self._prepared = 0, [], False
        self._course = Course(self.config)
        return sum(taken[warm:]) / len(taken[warm:])

    def evaluate(self) -> Evaluation | None:
        """Return the loss of the held-out text now, or None when interrupted.

        Large models look at `tokens_measured` of it, always the same ones.
        """
        return evaluate(self.model, self.tokens.val, self.tokens.val_bytes, self.tokenizer,
                        self.interrupted, most=self.tokens_measured, dtype=self.looking_dtype,
                        left_out=self.tokens.left_out_bytes)

    def sample(self) -> str:
        """Return text that continues `sample_prompt`, always with the same seed."""
        if not self.config.sample_tokens:
            return ""
        config = SamplingConfig(max_new_tokens=self.config.sample_tokens, seed=self.config.seed)
        self.model.eval()
        self._sampler.context.truncate(0)
        with autocast(self.device, self.looking_dtype):
            tokens = self._sampler.stream(self.config.sample_prompt, config)
            text = "".join(token.text for token in tokens)
        self.model.train()
        return text

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return tensors and numbers from which `load_state` goes on exactly (model apart)."""
        tensors = self.optimizer.state() | {"rng": torch.get_rng_state()}
        tensors |= adapter_state(self.model)
        numbers = {
            "step": self.step, "elapsed": self.clock.seconds, "best_step": self.best_step,
            "best": vars(self.best) if self.best else None, "tenths": self._tenths,
            "evals_without_gain": self._evals_without_gain,
            "epoch": self.batches.epoch, "position": self.batches.position,
            "before": vars(self.before) if self.before else None,
        } | self._course.state()
        return tensors, numbers

    def load_state(
        self, model: GPT, tensors: dict[str, Tensor], numbers: dict[str, Any]
    ) -> None:
        """Go on from a checkpoint; raises KeyError or RuntimeError when it is of another model."""
        self.prepare()
        if self.config.lora:
            load_adapter_state(self.model, tensors, self.dtype)
        else:
            copy_weights(model, self.model)
        torch.set_rng_state(tensors.pop("rng"))
        self.optimizer.load_state(tensors)
        self.batches.seek(numbers["epoch"], numbers["position"])
        self.step, self.best_step = numbers["step"], numbers["best_step"]
        self.best = Evaluation(**numbers["best"]) if numbers["best"] else None
        self._tenths = numbers["tenths"]
        self._evals_without_gain = numbers["evals_without_gain"]
        self.clock = Stopwatch(numbers["elapsed"])
        before = numbers.get("before")  # older checkpoints have neither this nor extensions
        self._set_before(Evaluation(**before) if before else None)
        self._set_course(lambda: self._course.load_state(numbers))

    def _take_step(self, factor: float) -> tuple[float, float]:
        """Run forward and backward over all micro-batches and step; return loss and norm."""
        if self.extended_steps:
            self._course.note(self.step, self.clock.seconds)
        self.optimizer.zero_grad()
        total = torch.zeros((), device=self.device)
        for _ in range(self.config.grad_accum_steps):
            idx, targets = self.batches.next(self.device)
            with autocast(self.device, self.dtype):
                loss = self.model.loss(idx, targets) / self.config.grad_accum_steps
            loss.backward()
            total += loss.detach()
        norm = self.optimizer.step(factor)
        self.step += 1
        return float(total), norm

    def _measure(self, loss: float, norm: float, factor: float, seconds: float) -> StepMetrics:
        """Evaluate if it is time, and gather what the step has to report."""
        progress = self.progress
        over = progress >= 1
        evaluation, sample, gained = None, None, False
        if over or self._eval_due(progress):
            self.eval_wanted = False
            begin = self.clock.seconds
            evaluation = self.evaluate()
            gained = self._note(evaluation) if evaluation else False
            sample = self.sample()
            self._eval_seconds += self.clock.seconds - begin
            over = over or self.progress >= 1
        tokens = self.config.batch_size * self.config.grad_accum_steps * self.window
        elapsed, progress = self.clock.seconds, 1.0 if over else progress
        return StepMetrics(
            step=self.step, train_loss=loss, lr=self.config.learning_rate * factor,
            grad_norm=norm, tokens_per_sec=tokens / seconds,
            mfu=tokens / seconds * self._flops_per_token / self._flops,
            elapsed=elapsed, eta=self._eta(progress, elapsed), progress=progress,
            epoch=self.step * tokens / len(self.tokens.train),
            val_loss=evaluation.val_loss if evaluation else None,
            bits_per_byte=evaluation.bits_per_byte if evaluation else None,
            sample=sample, best=gained,
            last="finished" if over else "patience" if self._tired else "",
        )

    def _note(self, evaluation: Evaluation) -> bool:
        """Remember the best evaluation; return whether this one is."""
        gained = math.isfinite(evaluation.val_loss) and (
            self.best is None or evaluation.val_loss < self.best.val_loss)
        if gained:
            self.best, self.best_step = evaluation, self.step
        self._evals_without_gain = 0 if gained else self._evals_without_gain + 1
        return gained

    def _eval_due(self, progress: float) -> bool:
        if self.eval_wanted:
            return True
        if self.config.eval_interval:
            return self.step % self.config.eval_interval == 0
        tenths = int(progress * EVALUATIONS)
        # on the clock, looking must not eat the time for learning
        affordable = (self.config.minutes is None
                      or self._eval_seconds <= EVAL_SHARE * self.clock.seconds)
        if tenths <= self._tenths or not affordable:
            return False
        self._tenths = tenths
        return True

    @property
    def _tired(self) -> bool:
        """Whether patience has run out."""
        return 0 < self.config.patience <= self._evals_without_gain

    def _set_course(self, change: Callable[[], None]) -> None:
        """Change how far the run goes, and say so in its notes."""
        before = self._course.words
        change()
        self.notes = [note for note in self.notes if note != before]
        self.notes += [self._course.words] if self._course.words else []

    def _set_before(self, evaluation: Evaluation | None) -> None:
        self.before = evaluation
        if evaluation:
            self.notes.append(f"before training: {evaluation.val_loss:.3f} nats/token, "
                              f"{evaluation.bits_per_byte:.3f} bits/byte")

    def _eta(self, progress: float, elapsed: float) -> float | None:
        return elapsed * (1 - progress) / progress if progress > 0 else None
