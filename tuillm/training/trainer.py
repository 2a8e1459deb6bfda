"""Trainer: grows a GPT on a corpus and yields what each step measured.

Knows the corpus, the model and the recipe; knows no run folder and no screen. Whoever iterates
over `steps()` decides what is written, shown, paused or stopped.
"""

import math
import os
from collections.abc import Callable, Iterator
from typing import Any, Self

import torch
from torch import Tensor

from tuillm.config import SamplingConfig, TrainConfig, build_train, settings_table
from tuillm.errors import TuillmError
from tuillm.generation import Sampler
from tuillm.model import GPT, GPTConfig, choose_device
from tuillm.store.models import Model
from tuillm.text import read_corpus, tokenize
from tuillm.training.batches import Batches
from tuillm.training.evaluate import Evaluation, evaluate
from tuillm.training.machine import (
    autocast,
    choose_train_dtype,
    keep_freed_memory,
    matmul_flops,
)
from tuillm.training.metrics import StepMetrics, Stopwatch
from tuillm.training.optimizer import Optimizer
from tuillm.training.schedule import lr_factor, progress_of

_EVALUATIONS = 10
_EVAL_SHARE = 0.05
# below this many training tokens, drop that share
_DROPOUTS = ((60_000, 0.3), (150_000, 0.2), (300_000, 0.1))


class Trainer:
    """`Trainer(corpus="book.txt", name="kafka", preset="tiny").run()` trains and publishes."""

    def __init__(self, corpus: str | os.PathLike[str] | list[str] | tuple[str, ...] = (),
                 **settings: Any) -> None:
        """Check the settings (those of TrainConfig); nothing is read or built yet.

        Raises UsageError for an unknown setting or a value out of range.
        """
        self._begin(build_train({"corpus": corpus} | settings))

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
        self.eval_wanted = False
        self.interrupted: Callable[[], bool] = lambda: False
        self._prepared = False
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

    def prepare(self) -> None:
        """Read the corpus, make tokens, build the model; `notes` says what was decided."""
        if self._prepared:
            return
        torch.set_flush_denormal(True)
        keep_freed_memory()
        torch.manual_seed(self.config.seed)
        self.device = choose_device(self.config.device)
        self.dtype = choose_train_dtype(self.config.dtype, self.device)
        self.corpus = read_corpus(self.config.corpus, self.config.encoding)
        self.tokens = tokenize(self.corpus, self.config)
        self.tokenizer = self.tokens.tokenizer
        self.notes += [*self.corpus.notes, *self.tokens.notes]
        self.model = self._build_model()
        self.optimizer = Optimizer(self.model, self.config)
        self.batches = Batches(self.tokens.train, self.model.config.block_size,
                               self.config.batch_size, self.config.seed)
        self._sampler = Sampler.of(self.model, self.tokenizer)
        self._flops = matmul_flops(self.device, self.dtype)
        self.clock = Stopwatch()
        self._prepared = True

    def steps(self) -> Iterator[StepMetrics]:
        """Yield the metrics of each step until the run is over; the last one says why it ended.

        Ends by max_steps, by the clock, or when patience runs out. Raises TuillmError when the
        loss is no longer a number.
        """
        self.prepare()
        self.model.train()
        while self._progress() < 1:  # a resumed run may have taken its last step already
            started = self.clock.seconds
            factor = lr_factor(self.config, self.step, self._progress())
            loss, norm = self._take_step(factor)
            seconds = self.clock.seconds - started
            if not math.isfinite(loss):
                raise TuillmError(
                    f"the loss became {loss} at step {self.step}",
                    "try a lower --learning-rate or --muon-lr",
                )
            metrics = self._measure(loss, norm, factor, seconds)
            yield metrics
            if metrics.last:
                return

    def evaluate(self) -> Evaluation | None:
        """Return the loss of the whole held-out text now, or None when interrupted."""
        return evaluate(self.model, self.tokens.val, self.tokens.val_bytes, self.tokenizer,
                        self.interrupted)

    def sample(self) -> str:
        """Return text that continues `sample_prompt`, always with the same seed."""
        if not self.config.sample_tokens:
            return ""
        config = SamplingConfig(max_new_tokens=self.config.sample_tokens, seed=self.config.seed)
        self.model.eval()
        self._sampler.context.truncate(0)
        tokens = self._sampler.stream(self.config.sample_prompt, config)
        text = "".join(token.text for token in tokens)
        self.model.train()
        return text

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return tensors and numbers from which `load_state` goes on exactly (model apart)."""
        tensors = self.optimizer.state() | {"rng": torch.get_rng_state()}
        numbers = {
            "step": self.step, "elapsed": self.clock.seconds, "best_step": self.best_step,
            "best": vars(self.best) if self.best else None, "tenths": self._tenths,
            "evals_without_gain": self._evals_without_gain,
            "epoch": self.batches.epoch, "position": self.batches.position,
        }
        return tensors, numbers

    def load_state(
        self, model: GPT, tensors: dict[str, Tensor], numbers: dict[str, Any]
    ) -> None:
        """Go on from a checkpoint; raises KeyError or RuntimeError when it is of another model."""
        self.prepare()
        with torch.no_grad():
            theirs = dict(model.named_parameters())
            for name, parameter in self.model.named_parameters():
                if name in theirs:  # biases that are all zero were left out
                    parameter.copy_(theirs[name])
                else:
                    parameter.zero_()
        torch.set_rng_state(tensors.pop("rng"))
        self.optimizer.load_state(tensors)
        self.batches.seek(numbers["epoch"], numbers["position"])
        self.step, self.best_step = numbers["step"], numbers["best_step"]
        self.best = Evaluation(**numbers["best"]) if numbers["best"] else None
        self._tenths = numbers["tenths"]
        self._evals_without_gain = numbers["evals_without_gain"]
        self.clock = Stopwatch(numbers["elapsed"])

    def _build_model(self) -> GPT:
        config = self.config
        model = GPT(GPTConfig(
            vocab_size=self.tokenizer.n_vocab, block_size=self._block_size(),
            n_layer=config.n_layer, n_head=config.n_head, n_embd=config.n_embd,
            dropout=self._dropout(), bias=config.bias, tie_weights=config.tie_weights,
        ))
        model.init_weights(config.positions, torch.Generator().manual_seed(config.seed))
        model.wpe.weight.requires_grad_(config.positions != "none")
        return model.to(self.device)

    def _dropout(self) -> float:
        """The share to drop: what is set, else by how often a short text will be seen again.

        Measured on one book of 80 KB: without dropout the held-out loss turns after five
        seconds, with 0.3 it falls for the whole minute and ends lower.
        """
        if self.config.dropout is not None:
            return self.config.dropout
        tokens = len(self.tokens.train)
        share = next((share for limit, share in _DROPOUTS if tokens < limit), 0.0)
        if share:
            self.notes.append(f"the text has only {tokens:,} tokens: dropout is {share}")
        return share

    def _block_size(self) -> int:
        """The context length, shrunk for texts too short to hold four windows of it."""
        tokens = len(self.tokens.train)
        fitting = max(1, min(self.config.block_size, (tokens - 1) // 4))
        if fitting < self.config.block_size:
            self.notes.append(
                f"the text has only {tokens:,} tokens: block_size shrinks from "
                f"{self.config.block_size} to {fitting}"
            )
        return fitting

    def _take_step(self, factor: float) -> tuple[float, float]:
        """Run forward and backward over all micro-batches and step; return loss and norm."""
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
        progress = self._progress()
        over = progress >= 1
        evaluation, sample, gained = None, None, False
        if over or self._eval_due(progress):
            self.eval_wanted = False
            begin = self.clock.seconds
            evaluation = self.evaluate()
            gained = self._note(evaluation) if evaluation else False
            sample = self.sample()
            self._eval_seconds += self.clock.seconds - begin
        tired = bool(self.config.patience) and self._evals_without_gain >= self.config.patience
        tokens = (self.config.batch_size * self.config.grad_accum_steps
                  * self.model.config.block_size)
        elapsed = self.clock.seconds
        return StepMetrics(
            step=self.step, train_loss=loss, lr=self.config.learning_rate * factor,
            grad_norm=norm, tokens_per_sec=tokens / seconds,
            mfu=tokens / seconds * self._flops_per_token() / self._flops,
            elapsed=elapsed, eta=self._eta(progress, elapsed), progress=progress,
            epoch=self.step * tokens / len(self.tokens.train),
            val_loss=evaluation.val_loss if evaluation else None,
            bits_per_byte=evaluation.bits_per_byte if evaluation else None,
            sample=sample, best=gained,
            last="finished" if over else "patience" if tired else "",
        )

    def _note(self, evaluation: Evaluation) -> bool:
        """Remember the best evaluation; return whether this one is."""
        gained = self.best is None or evaluation.val_loss < self.best.val_loss
        if gained:
            self.best, self.best_step = evaluation, self.step
        self._evals_without_gain = 0 if gained else self._evals_without_gain + 1
        return gained

    def _eval_due(self, progress: float) -> bool:
        if self.eval_wanted:
            return True
        if self.config.eval_interval:
            return self.step % self.config.eval_interval == 0
        tenths = int(progress * _EVALUATIONS)
        # on the clock, looking must not eat the time for learning
        affordable = (self.config.max_steps is not None
                      or self._eval_seconds <= _EVAL_SHARE * self.clock.seconds)
        if tenths <= self._tenths or not affordable:
            return False
        self._tenths = tenths
        return True

    def _progress(self) -> float:
        return progress_of(self.config, self.step, self.clock.seconds)

    def _eta(self, progress: float, elapsed: float) -> float | None:
        return elapsed * (1 - progress) / progress if progress > 0 else None

    def _flops_per_token(self) -> float:
        """Forward and backward: 6 per weight, 12 L C T for attention (PaLM, appendix B)."""
        config = self.model.config
        weights = self.model.parameter_count - self.model.wpe.weight.numel()
        return 6 * weights + 12 * config.n_layer * config.n_embd * config.block_size
