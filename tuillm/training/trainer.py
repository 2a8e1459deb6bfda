"""Trainer: grows a GPT on a corpus and yields what each step measured.

Knows the corpus, the model and the recipe; knows no run folder and no screen. Whoever iterates
over `steps()` decides what is written, shown, paused or stopped.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import cast

from torch import Tensor

from tuillm.config import TrainConfig, preset_values, settings_table
from tuillm.config.suggestions import Answering
from tuillm.errors import UsageError
from tuillm.model import GPT
from tuillm.store.registry import Model, shape_of
from tuillm.text import TokenFiles, Tokenizer
from tuillm.text.iterable_texts import Sources, Texts, config_for
from tuillm.text.progress_tick import Tick, unwatched
from tuillm.text.stdin_pipes import keep_pipes
from tuillm.training.auto_settings import eval_tokens_note
from tuillm.training.compute import compute_evaluation, compute_step
from tuillm.training.distillation import Teachers, copy_of
from tuillm.training.distributed.prepare_ranks import prepare_together
from tuillm.training.distributed.ranks import Ranks
from tuillm.training.draw_sample import draw_sample
from tuillm.training.eval_schedule import Evaluations, choose_eval_tokens
from tuillm.training.evaluate import Evaluation, StopCheck, never
from tuillm.training.guards import Diverged, LossGuard
from tuillm.training.measure_step import measure_step
from tuillm.training.metrics import StepMetrics, Stopwatch
from tuillm.training.resume import CHANGED
from tuillm.training.run_notes import RunNotes, busy_words
from tuillm.training.schedule import TrainingProgress
from tuillm.training.setup import Setup, set_up, with_new_model
from tuillm.training.setup_state import load_setup_state, setup_state
from tuillm.training.stages import Stages
from tuillm.training.trainer_state import TrainerState


class Trainer(metaclass=Answering):
    """`Trainer(corpus="book.txt", name="kafka", preset="tiny").run()` trains and publishes."""

    def __init__(
        self,
        corpus: Sources = (),
        *,
        texts: Texts | None = None,
        config: TrainConfig | None = None,
        ranks: Ranks | None = None,
        **settings: object,
    ) -> None:
        """Check the settings (those of TrainConfig); nothing is built yet, and no source is read.

        Instead of `corpus`, `texts` is an iterable of strings, each a document, or of dicts,
        each a record: it is read now, once, into a file of the cache. `config` stands for all of
        them, complete already. Raises UsageError for an unknown setting, a value out of range or no
        text at all, TuillmError when `init_from` is no usable model. `ranks` train together.
        """
        if config is not None and (corpus or settings or texts is not None):
            raise UsageError("config has all settings already", "config.model_copy(update=...)")
        self.config = config or config_for(corpus, texts, settings, shape_of)
        self.step = 0
        self.before: Evaluation | None = None
        self.clock, self.peak_flops = Stopwatch(), 0.0
        self.evaluations = Evaluations(self.config)
        self.guard = LossGuard(self.config.max_rollbacks)
        self.stages = Stages(self.config)
        self._teachers: list[GPT] = []
        self._notes = RunNotes()
        self.ranks = ranks or Ranks()
        self._setup: Setup | None = None
        self._training_progress = TrainingProgress(self.config)

    @staticmethod
    def help_config(preset: str | None = None, **settings: object) -> None:
        """Print every training setting: meaning, range, and its value in a run with a preset.

        `settings` are such as change that: `init_from`. Raises UsageError for an unknown preset.
        """
        print(settings_table(TrainConfig, preset_values(preset, settings, shape_of)))

    def run(self, *, replace: bool = False, quiet: bool = False) -> Model:
        """Train in this process, writing a run folder, and publish; return the model.

        Tells on stderr how far it is, unless `quiet`. `replace` allows to publish over a model of
        the same name. Raises TuillmError when the name is taken or the corpus cannot be read.
        """
        from tuillm.training.run_here import run_here

        return run_here(self, replace=replace, quiet=quiet)

    def prepare(self, checkpoint: Path | None = None, tick: Tick = unwatched) -> None:
        """Read the corpus, make tokens, build the model; `notes` says what was decided.

        A run that is to go on from a `checkpoint` has its tokenizer and its context, and one that
        starts from a model takes it from there: the first one may be gone by then. `tick` is told
        how far it is, and may end it. Raises TuillmError for a run that the memory cannot hold.
        """
        if self._setup is None:
            self.keep_pipes()
            prepare = partial(set_up, self.config, tick, checkpoint, self.ranks)
            self._setup = prepare_together(self.ranks, checkpoint is not None, prepare)
            self._notes.add(self._setup.notes)
            self.config = self._setup.config  # epochs have become steps
            self.evaluations.config = self._training_progress.config = self.config
            self.clock = Stopwatch()

    def restart(self) -> None:
        """Begin anew with the weights of the beginning, where there is no checkpoint to load."""
        self._setup, self._teachers = None, []
        self.stages.enter(0, 0)
        self.prepare()
        self.step, self.evaluations = 0, self.evaluations.anew()
        self.guard.forget()

    def keep_pipes(self) -> None:
        """Read the parts of the corpus that are pipes into files, since they come only once."""
        corpus = keep_pipes(self.config.corpus)
        if corpus != self.config.corpus:
            self.config = self.config.model_copy(update={"corpus": corpus})

    @property
    def setup(self) -> Setup:
        """What the run works with, made now where it was not prepared before."""
        if self._setup is None:
            self.prepare()
        return cast(Setup, self._setup)

    @property
    def notes(self) -> list[str]:
        """Sentences about what was decided for the person."""
        return self._notes.lines

    @property
    def model(self) -> GPT:
        """The model that is trained."""
        return self.setup.model

    @property
    def tokens(self) -> TokenFiles:
        """The tokens it learns from, and those held out."""
        return self.setup.tokens

    @property
    def tokenizer(self) -> Tokenizer:
        """What makes text of its ids."""
        return self.setup.tokens.tokenizer

    def steps(self, interrupted: StopCheck = never) -> Iterator[StepMetrics]:
        """Yield the metrics of each step until the run is over; the last one says why it ended.

        Ends by max_steps, by the clock, or when patience runs out; evaluations end, without a
        result, as soon as `interrupted` says so. Raises Diverged where `guard` finds a step bad.
        """
        self.prepare()
        self.measure_before(interrupted)
        self.setup.learner.train()
        over = self.progress >= 1  # a resumed run may have taken its last step already
        while not over:
            if self.stages.ended:
                self._next_stage()
            started = self.clock.seconds
            factor = self._lr_factor()
            loss, norm = self.take_step(factor)
            seconds = self.clock.seconds - started
            # gradients that overflowed in float16 have only lowered the scale
            skipped = self.setup.gradients.scaling.skipped
            self.guard.check(self.step, loss, 0.0 if skipped else norm)
            metrics = measure_step(self, loss, norm, factor, seconds, interrupted)
            self.setup.compile_choice.after_step(seconds, metrics.eta)
            self._notes.compiled(self.setup.compile_choice.words)
            if metrics.last and self.ranks.size == 1 and self.setup.device.type == "cpu":
                self._notes.add(busy_words(self.clock.cpu_share, self.step))
            yield metrics
            # unless the run was extended just now; a clock that has run out since the step was
            # measured leaves one more, which is evaluated
            over = self.evaluations.patience_exhausted or (
                bool(metrics.last) and self.progress >= 1
            )

    def _lr_factor(self) -> float:
        stages, progress = self.stages, self.stages.progress(self.progress)
        factor = self._training_progress.lr_factor(self.step - stages.first_step, progress)
        return factor * stages.lr_scale

    def _next_stage(self) -> None:
        """Keep the model as a teacher, and begin with the next one."""
        with self.setup.average.used():
            self._teachers.append(copy_of(self.model))
        self._enter_stage(self.stages.number + 1, self.step)
        self.guard.forget()
        self.setup.learner.train()

    def _enter_stage(self, number: int, step: int) -> None:
        self.stages.enter(number, step)
        teachers = Teachers(self._teachers) if self.stages.learns_from_teachers else None
        self._setup = with_new_model(
            self.setup, self.config, self.ranks, self.stages.seed, teachers
        )

    def take_step(self, factor: float) -> tuple[float, float]:
        """Run forward and backward over all micro-batches and step; return loss and gradient norm.

        `factor` multiplies the learning rates, 0 to 1.
        """
        if self.extended_steps:
            self._training_progress.note(self.step, self.clock.seconds)
        setup, factor = self.setup, factor * self.guard.lr_scale
        self.ranks.tell("step", factor=factor, step=self.step, **setup.position)
        loss, norm = compute_step(setup, self.ranks, self.step, factor)
        self._notes.micro_batch(setup.gradients.micro_batch, self.config.batch_size)
        self.step += 1
        return loss, norm

    def roll_back(self, error: Diverged, load: Callable[[], object]) -> None:
        """Go on from what `load` brings back, after `steps()` has raised an error.

        The data since then is skipped, the learning rates are halved from now on, and the time
        that was lost counts. Raises the error where there were too many rollbacks already.
        """
        if self.guard.exhausted:
            raise error
        batches, best = self.setup.batches, self.evaluations.best_so_far
        skipped, elapsed = (batches.epoch, batches.position), self.clock.seconds
        stage = self.stages.number
        rollbacks = self.guard.rollbacks + 1
        load()
        if self.stages.number == stage:
            self.setup.batches.seek(*skipped)
        self.clock = Stopwatch(elapsed)
        self.evaluations.best_so_far = best
        self.guard.rollbacks = rollbacks
        self._notes.rolled_back(rollbacks, self.guard.lr_scale, error.message)

    def extend(self, steps: int) -> None:
        """Let the run take exactly `steps` more than where its settings, or patience, end it.

        The learning rate rises again to what the longer schedule says, and patience begins
        anew where it had run out.
        """
        self.prepare()
        self._training_progress.note(
            self.step, self.clock.seconds, patience_exhausted=self.evaluations.patience_exhausted
        )
        self._training_progress.extend(steps)
        self._notes.course(self._training_progress.words)
        self.evaluations.extend(self.progress)
        self.guard.forget()

    @property
    def extended_steps(self) -> int:
        """By how many steps the run was extended, all in all."""
        return self._training_progress.extended_steps

    def measure_before(self, interrupted: StopCheck = never) -> None:
        """Decide how much to evaluate on, and note how well a model to start from knows the text.

        The time is not the run's. Nothing is done a second time.
        """
        if self.evaluations.tokens is None or self.evaluations.sample_tokens is None:
            with self.clock.stopped():
                self.evaluations.decide(*choose_eval_tokens(self))
        held_out = len(self.tokens.val) - 1
        self._notes.add([eval_tokens_note(self.evaluations.tokens or held_out, held_out)])
        if self.config.init_from is not None and not self.step and not self.before:
            with self.clock.stopped():
                self._set_before(self.evaluate(interrupted))

    @property
    def progress(self) -> float:
        """How much of the run is over, 0 to 1."""
        return self.progress_after(self.clock.seconds)

    def progress_after(self, elapsed: float) -> float:
        """How much of the run is over after so many seconds and the steps taken, 0 to 1."""
        return self._training_progress.progress(self.step, elapsed)

    def evaluate(self, interrupted: StopCheck = never) -> Evaluation | None:
        """Return the loss of the held-out text now, or None when `interrupted` said so.

        Of a long text only a part is looked at, always the same, see `evaluations`.
        """
        self.ranks.tell("evaluate", tokens=self.evaluations.tokens)
        return compute_evaluation(self.setup, self.ranks, self.evaluations.tokens, interrupted)

    def sample(self, tokens: int | None = None) -> str:
        """Return text that continues `sample_prompt`, always with the same seed.

        `tokens` is its length, which is `sample_tokens` where nothing is given.
        """
        length = self.config.sample_tokens if tokens is None else tokens
        with self.setup.average.used():
            self.setup.collect(self.ranks)
            return draw_sample(self.setup, length, self.config.seed)

    def state(self) -> tuple[dict[str, Tensor], TrainerState]:
        """Return tensors and numbers from which `load_state` goes on exactly (model apart)."""
        tensors, kept = setup_state(self.setup, self.ranks)
        numbers: TrainerState = {
            "step": self.step,
            "elapsed": self.clock.seconds,
            "corpus_sha256": self.setup.corpus.sha256,
            "before": vars(self.before) if self.before else None,
            **kept,
            **self.guard.state(),
            **self.evaluations.state(),
            **self.stages.state(),
            **self._training_progress.state(),
        }
        return tensors | Teachers(self._teachers).state(), numbers

    def load_state(self, model: GPT, tensors: dict[str, Tensor], numbers: TrainerState) -> None:
        """Go on from a checkpoint; raises KeyError or RuntimeError when it is of another model."""
        self.prepare()
        self.ranks.tell("load")
        if self.config.teachers:
            count = int(numbers.get("stage", 0))
            self._teachers = Teachers.load(tensors, self.model, count).models
            self._enter_stage(count, int(numbers.get("stage_first_step", 0)))
            self.stages.ended = bool(numbers.get("stage_ended", False))
        load_setup_state(self.setup, self.ranks, model, tensors, numbers)
        self.step = int(numbers["step"])
        self.evaluations.load_state(numbers)
        self.clock = Stopwatch(float(numbers["elapsed"]))
        before = numbers.get("before")  # older checkpoints have neither this nor extensions
        self._set_before(Evaluation(**before) if before else None)
        self._training_progress.load_state(numbers)
        self._notes.course(self._training_progress.words)
        self.guard.load_state(numbers)
        self._notes.rolled_back(self.guard.rollbacks, self.guard.lr_scale)
        self._notes.micro_batch(self.setup.gradients.micro_batch, self.config.batch_size)
        self._notes.compiled(self.setup.compile_choice.words)

    def change_text(self) -> None:
        """Say that the text is another one than that of the checkpoint that was loaded.

        What was measured on that one is forgotten, and patience begins anew.
        """
        self.evaluations.change_text()
        self.guard.forget()
        self._set_before(None)
        self._notes.add([CHANGED])

    def _set_before(self, evaluation: Evaluation | None) -> None:
        self.before = evaluation
        self._notes.before(evaluation)
