"""A Trainer's run written into its run folder, steered from there, and published at the end.

Knows the run folder and the registry; the Trainer knows neither, and nothing here draws.
Serves the worker process and `Trainer.run()` alike.
"""

import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from tuillm.errors import DiskError, Interrupted, TuillmError
from tuillm.store.files import recover_folder, remove_folder
from tuillm.store.process_id import this_process
from tuillm.store.registry import Model
from tuillm.store.run_folder import Run
from tuillm.store.run_status import State
from tuillm.training.checkpoint import load_checkpoint
from tuillm.training.checkpoint_saver import CheckpointSaver
from tuillm.training.control_requests import ControlRequests
from tuillm.training.distributed.ranks import may_restart
from tuillm.training.evaluate import Evaluation
from tuillm.training.guards import Diverged
from tuillm.training.metrics import StepMetrics
from tuillm.training.preparation import Preparing
from tuillm.training.publish import publish_run
from tuillm.training.run_record import RunRecord
from tuillm.training.signals import stop_signals
from tuillm.training.start_loggers import start_loggers
from tuillm.training.step_profiler import profiled
from tuillm.training.suspension import watch_suspension
from tuillm.training.waiting import Waiting
from tuillm.units import duration

if TYPE_CHECKING:
    from tuillm.training.trainer import Trainer

_STATUS_EVERY = 0.5


class Runner:
    """Drives a trainer to its end and keeps its run folder true all the way."""

    def __init__(
        self,
        trainer: "Trainer",
        run: Run,
        *,
        replace: bool = False,
        resume: bool = False,
        changed_text: bool = False,
        say: Callable[[str], None] = lambda line: None,
        tell: Callable[[StepMetrics], None] = lambda metrics: None,
    ) -> None:
        """`say` is told in a line what happens, which the worker prints into the run's log.

        `tell` is told each step.
        """
        me, before = this_process(), run.status()
        self._trainer, self._run = trainer, run
        self._replace, self._resume = replace, resume
        self._changed_text = changed_text
        self._say, self._tell = say, tell
        self._published = before.model
        fresh = {"state": "preparing", "pid": me.pid, "process_started": me.started}
        fresh |= {"error": None, "hint": None}
        self._record = RunRecord(run, before.model_copy(update=fresh))
        self._saver = CheckpointSaver(trainer, run)
        self._requests = ControlRequests(run, say, self._answer, before.control_read)
        self._waiting = Waiting(trainer, self._record, self._requests, say)
        self._at_stop: Evaluation | None = None  # of a stopped run whose last model is its best
        self._best_is_last = False
        self._tick = Preparing(
            run,
            lambda: self._requests.stops > 0,
            lambda words: self._write(doing=words),
            before.control_read,
        )

    def stop(self) -> None:
        """Ask for an end at the next step, as a `stop` in the control file does."""
        self._requests.stop()

    def run(self) -> Model:
        """Train, save, publish; return the model. A failure is written down and raised."""
        try:
            with stop_signals(self.stop), watch_suspension(self._leave_out):
                return self._run_all()
        except Interrupted as error:
            self._say(f"stopped: {error}")
            self._write(state="stopped", eta=None)
            raise
        except TuillmError as error:
            if isinstance(error, DiskError | Diverged) and (name := self._publish_best()):
                error.hint = f"{error.hint}; the best so far is {name!r}".removeprefix("; ")
            self._say(f"failed: {error}")  # before the status: who reads that finds this
            self._fail(error.message, error.hint or None)
            raise
        except BaseException as error:
            with suppress(OSError):
                traceback.print_exc()
            what = f"{type(error).__name__}: {error}".split("\n")[0]
            if self._trainer.ranks.together and may_restart():  # another rank has died
                self._write(state="preparing", doing="starting all processes again")
            else:
                self._fail(what, f"see {self._run.log}")
            raise
        finally:
            self._record.close()

    def _leave_out(self, seconds: float) -> None:
        self._trainer.clock.leave_out(seconds)
        self._say(f"was suspended for {duration(seconds)}, which is not counted")

    def _fail(self, error: str, hint: str | None) -> None:
        with suppress(TuillmError):  # where it cannot be written, the process tells by its lock
            self._write(state="failed", error=error, hint=hint, eta=None)

    def _run_all(self) -> Model:
        self._write()
        self._begin()
        while True:
            state = self._train()
            self._waiting.retry_on_disk_error(self._saver.save_last)
            if self._at_stop:  # only now `last` holds the model that was measured
                self._record.note(**vars(self._at_stop), best_step=self._trainer.step)
                self._best_is_last = True
            model = self._waiting.retry_on_disk_error(self._publish)
            self._requests.read()
            # an extension may have been asked for while the model was published
            if state != "finished" or not self._extend():
                break
        status = self._record.status
        self._say(
            f"{state} at step {status.step:,}; published {model.name!r} with the "
            f"weights of step {status.best_step or status.step:,}"
        )
        self._waiting.retry_on_disk_error(
            lambda: self._write(must=True, state=state, model=model.name, eta=None)
        )
        return model

    def _begin(self) -> None:
        """Prepare, and go on from the checkpoint if there is one."""
        if self._resume:
            recover_folder(self._run.best)
            known = load_checkpoint(
                self._trainer, self._run.last, self._tick, changed_text=self._changed_text
            )
            if not known:  # what was measured on another text does not compare
                self._write(before_loss=None, before_bits_per_byte=None)
            self._note_best()
            self._mark_resumed()
        else:
            self._trainer.prepare(tick=self._tick)
            if self._run.best.exists():  # of an earlier beginning that came to no checkpoint
                if self._record.status.best_step and not self._published:
                    self._publish()
                remove_folder(self._run.best)
        self._describe()
        start_loggers(self._trainer.setup, self._run, self._say)
        self._requests.read()
        self._extend()
        self._trainer.measure_before(self._stop_wanted)
        if before := self._trainer.before:
            self._write(before_loss=before.val_loss, before_bits_per_byte=before.bits_per_byte)
        self._write(notes=tuple(self._trainer.notes))
        status = self._record.status
        self._say(
            f"{'resumed' if self._resume else 'started'} at step {status.step:,}: "
            f"{status.parameters:,} parameters, {status.train_tokens:,} tokens, "
            f"{status.device} {status.dtype}"
        )
        for note in status.notes:
            self._say(note)

    def _note_best(self) -> None:
        """Write down the best evaluation of the checkpoint, where another one does not count."""
        evaluations, told = self._trainer.evaluations, self._record.status.best_step
        best, step = evaluations.best_so_far
        if best is None:
            self._write(val_loss=None, bits_per_byte=None, best_step=None)
        elif told == self._trainer.step != step:  # it was measured at a stop
            self._write(**vars(best), best_step=step)

    def _train(self) -> State:
        """Take steps until the run is over or asked to stop; return the state it ends in."""
        while True:
            try:
                return self._take_steps()
            except Diverged as error:
                self._roll_back(error)

    def _take_steps(self) -> State:
        with profiled(self._trainer.config.profile, self._run.path, self._say) as after_step:
            return self._take_steps_until(after_step)

    def _take_steps_until(self, after_step: Callable[[], None]) -> State:
        for metrics in self._trainer.steps(self._stop_wanted):
            after_step()
            self._note(metrics)
            self._requests.read()
            if not self._extend() and metrics.last:
                break
            self._wait_while_paused()
            self._waiting.while_replying()
            if self._requests.stops:
                self._evaluate_at_stop(metrics)
                return "stopped"
        return "finished"

    def _roll_back(self, error: Diverged) -> None:
        """Go back to the last checkpoint, or the beginning; raises the error after too many."""
        trainer = self._trainer
        there = self._run.checkpoint.exists()
        trainer.roll_back(
            error, lambda: load_checkpoint(trainer, self._run.last) if there else trainer.restart()
        )
        self._say(
            f"{error.message}: back to step {trainer.step:,}, with that data skipped and learning "
            f"rates of {trainer.guard.lr_scale:g} of what was set"
        )
        self._mark_resumed()
        self._waiting.retry_on_disk_error(self._saver.save_last)
        self._write(notes=tuple(trainer.notes), step=trainer.step)

    def _mark_resumed(self) -> None:
        self._record.append(self._run.metrics, {"resumed": self._trainer.step, "time": time.time()})

    def _describe(self) -> None:
        """Write down what preparing has found out."""
        trainer, tokens = self._trainer, self._trainer.tokens
        self._write(
            state="running",
            notes=tuple(trainer.notes),
            train_tokens=len(tokens.train),
            val_tokens=0 if tokens.val is tokens.train else len(tokens.val),
            parameters=trainer.model.parameter_count,
            ranks=trainer.ranks.size,
            nodes=trainer.ranks.nodes,
            device=str(trainer.setup.device),
            dtype=str(trainer.setup.dtype).removeprefix("torch."),
            step=trainer.step,
            extended_steps=trainer.extended_steps,
        )

    def _note(self, metrics: StepMetrics) -> None:
        """Write down what a step has come to, and save what is due."""
        record = self._record
        record.append(self._run.metrics, metrics.row())
        self._tell(metrics)
        if metrics.sample is not None:
            record.append(self._run.samples, {"step": metrics.step, "text": metrics.sample})
        if metrics.best:
            self._waiting.retry_on_disk_error(self._saver.save_best)
        record.note_step(metrics, self._trainer.stages.words)
        if slowest := self._trainer.setup.gradients.slowest:
            record.note(slowest_rank=slowest[0], slowest_share=slowest[1])
        if looked := metrics.val_loss is not None:
            self._say(metrics.line())
            self._waiting.retry_on_disk_error(self._saver.save_numbered)
        if looked or time.monotonic() - record.written > _STATUS_EVERY:
            self._write(notes=tuple(self._trainer.notes))
        if self._saver.due and not self._trainer.guard.suspicious:
            self._waiting.retry_on_disk_error(self._saver.save_last)

    def _extend(self) -> bool:
        """Extend the run by the steps asked for, if any; it needs a step to measure on the clock.

        A checkpoint is saved at once, so that whoever resumes the run finds it extended.
        """
        if not self._requests.more_steps or not self._trainer.step:
            return False
        self._trainer.extend(self._requests.more_steps)
        self._requests.more_steps = 0
        self._waiting.retry_on_disk_error(self._saver.save_last)
        self._write(
            notes=tuple(self._trainer.notes),
            progress=self._trainer.progress,
            extended_steps=self._trainer.extended_steps,
        )
        return True

    def _wait_while_paused(self) -> None:
        """Wait here until a request lets the run go on, or ends it."""
        if not self._requests.paused or self._requests.stops:
            return
        with self._trainer.clock.stopped():
            self._waiting.retry_on_disk_error(self._saver.save_last)
            self._write(state="paused", eta=None)
            while self._requests.paused and not self._requests.stops:
                self._waiting.nap()
                self._extend()
            self._write(state="running")

    def _answer(self, request: str) -> None:
        """Do what was asked for at once: an evaluation after the next step, or a sample now."""
        if request == "eval":
            self._trainer.evaluations.want()
        else:
            text = self._trainer.sample()
            self._record.append(self._run.samples, {"step": self._trainer.step, "text": text})

    def _stop_wanted(self) -> bool:
        self._requests.read()
        return self._requests.stops > 0

    def _evaluate_at_stop(self, metrics: StepMetrics) -> None:
        """Measure where the run stops: what it has learned since its last evaluation may be best.

        That is published then. The checkpoint knows nothing of it: a run that goes on is as one
        that was never stopped.
        """
        if metrics.val_loss is not None:
            return
        best = self._trainer.evaluations.best
        # who asks twice does not want to wait, but a model of which nothing is known is no use
        evaluation = self._trainer.evaluate(lambda: best is not None and self._requests.stops > 1)
        if evaluation is not None and (best is None or evaluation.val_loss < best.val_loss):
            self._at_stop = evaluation

    def _publish(self) -> Model:
        model, self._record.status = publish_run(
            self._trainer,
            self._run,
            self._record.status,
            source=self._run.last if self._best_is_last else self._run.best,
            published=self._published,
            replace=self._replace,
        )
        self._published = model.name
        return model

    def _publish_best(self) -> str:
        """Publish by links what was learned before the disk was full; return its name, or ""."""
        if self._record.status.best_step and self._run.best.exists():
            with suppress(TuillmError):
                name = self._publish().name
                self._record.note(model=name)
                return name
        return ""

    def _write(self, *, must: bool = False, **update: object) -> None:
        # an extension that is in no checkpoint yet is to be read again by who resumes the run
        if not self._requests.more_steps:
            update["control_read"] = self._requests.offset
        if update.get("state", "preparing") != "preparing":
            update["doing"] = ""
        self._record.write(must=must, **update)
