"""A Trainer's run written into its run folder, steered from there, and published at the end.

Knows the run folder and the registry; the Trainer knows neither, and nothing here draws.
Serves the worker process and `Trainer.run()` alike.
"""

import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tuillm.errors import DiskError, Interrupted, TuillmError
from tuillm.store.files import append_json, recover_folder, remove_folder
from tuillm.store.registry import Model
from tuillm.store.run_folder import ControlRequest, Run, requests
from tuillm.store.run_status import State, Status
from tuillm.store.workers.processes import this_process
from tuillm.training.checkpoint import load_checkpoint, save_checkpoint, save_model
from tuillm.training.metrics import StepMetrics
from tuillm.training.preparation import Preparing
from tuillm.training.publish import publish_run

if TYPE_CHECKING:
    from tuillm.training.trainer import Trainer


_STATUS_EVERY = 0.5
_SAVE_EVERY = 5.0
_POLL = 0.1


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
        self._replace, self._resume, self._more_steps = replace, resume, 0
        self._changed_text = changed_text
        self._say, self._tell = say, tell
        self._published = before.model
        self._status = before.model_copy(
            update={
                "state": "preparing",
                "pid": me.pid,
                "process_started": me.started,
                "error": None,
                "hint": None,
            }
        )
        self._control_offset = 0
        self._stop = self._paused = False
        self._written = self._saved = 0.0
        self._save_cost = 0.0
        self._tick = Preparing(run, lambda: self._stop, lambda words: self._write(doing=words))

    def stop(self) -> None:
        """Ask for an end at the next step boundary, as a `stop` in the control file does."""
        self._stop = True

    def run(self) -> Model:
        """Train, save, publish; return the model. A failure is written down and raised."""
        try:
            with self._interrupts():
                return self._run_all()
        except Interrupted as error:
            self._say(f"stopped: {error}")
            self._write(state="stopped", eta=None)
            raise
        except TuillmError as error:
            if isinstance(error, DiskError) and (name := self._publish_best()):
                error.hint = f"{error.hint}; the best so far is {name!r}".removeprefix("; ")
            self._say(f"failed: {error}")  # before the status: who reads that finds this
            with suppress(DiskError):  # then the process that ends tells by its lock
                self._write(state="failed", error=error.message, hint=error.hint or None, eta=None)
            raise
        except BaseException as error:
            traceback.print_exc()
            what = f"{type(error).__name__}: {error}".split("\n")[0]
            self._write(state="failed", error=what, hint=f"see {self._run.log}", eta=None)
            raise

    def _run_all(self) -> Model:
        self._write()
        self._begin()
        self._saved = time.monotonic()
        while True:
            state = self._train()
            self._save_last()
            model = self._publish()
            self._read_control()
            # an extension may have been asked for while the model was published
            if state != "finished" or not self._extend():
                break
        self._write(state=state, model=model.name, eta=None)
        self._say(
            f"{state} at step {self._status.step:,}; published {model.name!r} with the "
            f"weights of step {self._status.best_step or self._status.step:,}"
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
                self._write(
                    val_loss=None,
                    bits_per_byte=None,
                    best_step=None,
                    before_loss=None,
                    before_bits_per_byte=None,
                )
            append_json(self._run.metrics, {"resumed": self._trainer.step, "time": time.time()})
        else:
            self._trainer.prepare(tick=self._tick)
            if self._run.best.exists():  # of an earlier beginning that came to no checkpoint
                if self._status.best_step and not self._published:
                    self._publish()
                remove_folder(self._run.best)
        self._describe()
        self._read_control()
        self._extend()
        self._trainer.measure_before(self._stop_wanted)
        if before := self._trainer.before:
            self._write(before_loss=before.val_loss, before_bits_per_byte=before.bits_per_byte)
        self._write(notes=tuple(self._trainer.notes))
        status = self._status
        self._say(
            f"{'resumed' if self._resume else 'started'} at step {status.step:,}: "
            f"{status.parameters:,} parameters, {status.train_tokens:,} tokens, "
            f"{status.device} {status.dtype}"
        )
        for note in status.notes:
            self._say(note)

    def _train(self) -> State:
        """Take steps until the run is over or asked to stop; return the state it ends in."""
        for metrics in self._trainer.steps(self._stop_wanted):
            self._record(metrics)
            self._read_control()
            if not self._extend() and metrics.last:
                break
            self._wait_while_paused()
            if self._stop:
                self._evaluate_at_stop()
                return "stopped"
        return "finished"

    @contextmanager
    def _interrupts(self) -> Iterator[None]:
        """Take SIGTERM, and Ctrl-C in a person's own Python, as requests for an orderly end."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may say what signals do
            return
        signals = (signal.SIGTERM, signal.SIGINT)
        before = [signal.signal(each, lambda number, frame: self.stop()) for each in signals]
        try:
            yield
        finally:
            for each, handler in zip(signals, before, strict=True):
                signal.signal(each, handler)

    def _describe(self) -> None:
        """Write down what preparing has found out."""
        trainer = self._trainer
        held_out = len(trainer.tokens.val) if trainer.tokens.val is not trainer.tokens.train else 0
        self._write(
            state="running",
            notes=tuple(trainer.notes),
            train_tokens=len(trainer.tokens.train),
            val_tokens=held_out,
            parameters=trainer.model.parameter_count,
            device=str(trainer.setup.device),
            dtype=str(trainer.setup.dtype).removeprefix("torch."),
            step=trainer.step,
            extended_steps=trainer.extended_steps,
        )

    def _record(self, metrics: StepMetrics) -> None:
        append_json(self._run.metrics, metrics.row())
        self._tell(metrics)
        update: dict[str, object] = {
            key: getattr(metrics, key)
            for key in (
                "step",
                "progress",
                "epoch",
                "elapsed",
                "eta",
                "train_loss",
                "tokens_per_sec",
            )
        }
        if metrics.sample is not None:
            append_json(self._run.samples, {"step": metrics.step, "text": metrics.sample})
        if metrics.best:
            update |= {
                "val_loss": metrics.val_loss,
                "bits_per_byte": metrics.bits_per_byte,
                "best_step": metrics.step,
            }
            save_model(self._trainer, self._run.best)
        self._status = self._status.model_copy(update=update)
        if metrics.val_loss is not None:
            self._say(
                f"step {metrics.step:,}  train {metrics.train_loss:.3f}  val "
                f"{metrics.val_loss:.3f}  {metrics.bits_per_byte:.3f} bits/byte"
                f"{'  best' if metrics.best else ''}"
            )
        if metrics.val_loss is not None or time.monotonic() - self._written > _STATUS_EVERY:
            self._write()
        # large models are saved less often: saving takes a twentieth of the time at most
        if time.monotonic() - self._saved > max(_SAVE_EVERY, 20 * self._save_cost):
            self._save_last()

    def _extend(self) -> bool:
        """Extend the run by the steps asked for, if any; it needs a step to measure on the clock.

        A checkpoint is saved at once, so that whoever resumes the run finds it extended.
        """
        if not self._more_steps or not self._trainer.step:
            return False
        self._trainer.extend(self._more_steps)
        self._more_steps = 0
        self._save_last()
        self._write(
            notes=tuple(self._trainer.notes),
            progress=self._trainer.progress,
            extended_steps=self._trainer.extended_steps,
        )
        return True

    def _wait_while_paused(self) -> None:
        """Wait here until a request lets the run go on, or ends it."""
        if not self._paused or self._stop:
            return
        with self._trainer.clock.stopped():
            self._save_last()
            self._write(state="paused", eta=None)
            while self._paused and not self._stop:
                time.sleep(_POLL)
                self._read_control()
                self._extend()
                if time.monotonic() - self._written > 2:
                    self._write()
            self._write(state="running")

    def _read_control(self) -> None:
        found, self._control_offset = requests(self._run, self._control_offset)
        for asked in found:
            self._take(asked)

    def _take(self, asked: ControlRequest) -> None:
        request = asked.request
        self._say(f"asked to {request}" + (f" by {asked.steps:,} steps" if asked.steps else ""))
        if request == "stop":
            self._stop = True
        elif request == "pause":
            self._paused = True
        elif request == "resume":  # also takes back a stop that was not acted on yet
            self._paused = self._stop = False
        elif request == "eval":
            self._trainer.evaluations.want()
        elif request == "extend":
            self._more_steps += asked.steps
        elif request == "sample":
            text = self._trainer.sample()
            append_json(self._run.samples, {"step": self._trainer.step, "text": text})

    def _stop_wanted(self) -> bool:
        self._read_control()
        return self._stop

    def _evaluate_at_stop(self) -> None:
        """A run stopped before its first evaluation has no best model: what it has is the best."""
        if self._trainer.evaluations.best is None:
            evaluation = self._trainer.evaluate()
            if evaluation is not None:
                self._status = self._status.model_copy(
                    update=vars(evaluation) | {"best_step": self._trainer.step}
                )
                save_model(self._trainer, self._run.best)

    def _save_last(self) -> None:
        begin = time.monotonic()
        save_checkpoint(self._trainer, self._run.last)
        self._saved = time.monotonic()
        self._save_cost = self._saved - begin

    def _publish(self) -> Model:
        model, self._status = publish_run(
            self._trainer, self._run, self._status, published=self._published, replace=self._replace
        )
        self._published = model.name
        return model

    def _publish_best(self) -> str:
        """Publish by links what was learned before the disk was full; return its name, or ""."""
        if self._status.best_step and self._run.best.exists():
            with suppress(TuillmError):
                name = self._publish().name
                self._status = self._status.model_copy(update={"model": name})
                return name
        return ""

    def _write(self, **update: object) -> None:
        update["heartbeat"] = time.time()
        if not self._more_steps:  # else an extension was asked for that is not in a checkpoint yet
            update["control_read"] = self._control_offset
        if update.get("state", "preparing") != "preparing":
            update["doing"] = ""
        self._status = Status.model_validate(self._status.model_dump() | update)
        self._run.write_status(self._status)
        self._written = time.monotonic()
