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
from pathlib import Path
from typing import Any

from tuillm import __version__
from tuillm.config import TrainConfig
from tuillm.errors import DiskError, TuillmError
from tuillm.store.files import append_json, recover_folder, remove_folder
from tuillm.store.models import (
    Model,
    ModelCard,
    free_name,
    get_model,
    list_models,
    publish,
    refuse_if_taken,
)
from tuillm.store.processes import this_process
from tuillm.store.runs import Asked, Run, State, Status, create_run, model_name, requests
from tuillm.store.usage import users_of
from tuillm.training.checkpoint import (
    copy_model_files,
    load_checkpoint,
    save_checkpoint,
    save_model,
)
from tuillm.training.metrics import StepMetrics
from tuillm.training.trainer import Trainer

_STATUS_EVERY = 0.5
_SAVE_EVERY = 5.0
_POLL = 0.1


def run_here(trainer: Trainer, *, replace: bool = False) -> Model:
    """Train in this process with a run folder of its own; return the published model.

    Raises TuillmError when the name is taken (unless `replace`) or training fails.
    """
    name = model_name(trainer.config)
    if not replace:
        refuse_if_taken(name, "another name: Trainer(name=...); in its place: run(replace=True)")
    trainer.prepare()
    run = create_run(trainer.config, this_process())
    with run.take():
        return Recorder(trainer, run, replace=replace).run()


class Recorder:
    """Drives a trainer to its end and keeps its run folder true all the way."""

    def __init__(
        self, trainer: Trainer, run: Run, *, replace: bool = False, resume: bool = False,
        extend: int = 0, say: Callable[[str], None] = lambda line: None,
    ) -> None:
        """`say` is told in a line what happens: the worker prints it into the run's log."""
        me, before = this_process(), run.status()
        self._trainer, self._run = trainer, run
        self._replace, self._resume, self._more_steps = replace, resume, extend
        self._say = say
        self._published = before.model
        self._status = before.model_copy(update={
            "state": "preparing", "pid": me.pid, "process_started": me.started,
            "error": None, "hint": None,
        })
        self._control_offset = 0
        self._stop = self._paused = False
        self._written = self._saved = 0.0
        self._save_cost = 0.0
        trainer.interrupted = self._stop_wanted

    def stop(self) -> None:
        """Ask for an end at the next step boundary, as a `stop` in the control file does."""
        self._stop = True

    def run(self) -> Model:
        """Train, save, publish; return the model. A failure is written down and raised."""
        try:
            with self._interrupts():
                return self._run_all()
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
        self._say(f"{state} at step {self._status.step:,}; published {model.name!r} with the "
                  f"weights of step {self._status.best_step or self._status.step:,}")
        return model

    def _begin(self) -> None:
        """Prepare, and go on from the checkpoint if there is one."""
        if self._resume:
            recover_folder(self._run.last)
            recover_folder(self._run.best)
            self._trainer.prepare(self._run.last)
            load_checkpoint(self._trainer, self._run.last)
            append_json(self._run.metrics, {"resumed": self._trainer.step, "time": time.time()})
        else:
            self._trainer.prepare()
            if self._run.best.exists():  # of an earlier beginning that came to no checkpoint
                if self._status.best_step and not self._published:
                    self._publish()
                remove_folder(self._run.best)
        self._describe()
        self._extend()
        self._trainer.measure_before()
        if before := self._trainer.before:
            self._write(before_loss=before.val_loss, before_bits_per_byte=before.bits_per_byte)
        self._write(notes=tuple(self._trainer.notes))
        status = self._status
        self._say(f"{'resumed' if self._resume else 'started'} at step {status.step:,}: "
                  f"{status.parameters:,} parameters, {status.train_tokens:,} tokens, "
                  f"{status.device} {status.dtype}")
        for note in status.notes:
            self._say(note)

    def _train(self) -> State:
        """Take steps until the run is over or asked to stop; return the state it ends in."""
        for metrics in self._trainer.steps():
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
            state="running", notes=tuple(trainer.notes), train_tokens=len(trainer.tokens.train),
            val_tokens=held_out, parameters=trainer.model.parameter_count,
            device=str(trainer.device), dtype=str(trainer.dtype).removeprefix("torch."),
            step=trainer.step, extended_steps=trainer.extended_steps,
        )

    def _record(self, metrics: StepMetrics) -> None:
        append_json(self._run.metrics, metrics.row())
        update: dict[str, Any] = {
            key: getattr(metrics, key)
            for key in ("step", "progress", "epoch", "elapsed", "eta", "train_loss",
                        "tokens_per_sec")
        }
        if metrics.sample is not None:
            append_json(self._run.samples, {"step": metrics.step, "text": metrics.sample})
        if metrics.best:
            update |= {"val_loss": metrics.val_loss, "bits_per_byte": metrics.bits_per_byte,
                       "best_step": metrics.step}
            save_model(self._trainer, self._run.best)
        self._status = self._status.model_copy(update=update)
        if metrics.val_loss is not None:
            self._say(f"step {metrics.step:,}  train {metrics.train_loss:.3f}  val "
                      f"{metrics.val_loss:.3f}  {metrics.bits_per_byte:.3f} bits/byte"
                      f"{'  best' if metrics.best else ''}")
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
        self._write(notes=tuple(self._trainer.notes), progress=self._trainer.progress,
                    extended_steps=self._trainer.extended_steps)
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

    def _take(self, asked: Asked) -> None:
        request = asked.request
        self._say(f"asked to {request}" + (f" by {asked.steps:,} steps" if asked.steps else ""))
        if request == "stop":
            self._stop = True
        elif request == "pause":
            self._paused = True
        elif request == "resume":  # also takes back a stop that was not acted on yet
            self._paused = self._stop = False
        elif request == "eval":
            self._trainer.eval_wanted = True
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
        if self._trainer.best is None:
            self._trainer.interrupted = lambda: False
            evaluation = self._trainer.evaluate()
            if evaluation is not None:
                self._status = self._status.model_copy(update=vars(evaluation) | {
                    "best_step": self._trainer.step})

    def _save_last(self) -> None:
        begin = time.monotonic()
        save_checkpoint(self._trainer, self._run.last)
        self._saved = time.monotonic()
        self._save_cost = self._saved - begin

    def _publish(self) -> Model:
        """Put the best checkpoint into the registry; return the model.

        A resumed run replaces what it had published before. Where the name is another model's,
        or that model is in use, a free name beside it is taken: nothing learned is lost.
        """
        trainer, run, status = self._trainer, self._run, self._status
        parent = trainer.config.init_from
        card = ModelCard(
            origin="trained" if parent is None else "fine-tuned",
            parent=None if parent is None else Path(parent).name, run=run.id,
            corpus=trainer.corpus.label, corpus_sha256=trainer.corpus.sha256,
            corpus_bytes=trainer.corpus.bytes, lora=_lora_words(trainer.config),
            tokenizer=trainer.tokenizer.kind, parameters=trainer.model.parameter_count,
            steps=status.best_step or status.step, val_loss=status.val_loss,
            bits_per_byte=status.bits_per_byte, held_out=bool(status.val_tokens),
            created=time.time(), tuillm_version=__version__,
        )
        name, replace = self._name_to_publish()
        while True:
            try:
                with publish(name, card, replace=replace) as folder:
                    copy_model_files(run.best if run.best.exists() else run.last, folder)
                break
            except TuillmError:
                before = name, replace
                name, replace = self._name_to_publish()
                if (name, replace) == before:  # nobody took the name in the meantime
                    raise
        self._published = name
        return get_model(name)

    def _publish_best(self) -> str:
        """Publish what a run learned that a full disk ends, by links; return its name, or ''."""
        if self._status.best_step and self._run.best.exists():
            with suppress(TuillmError):
                name = self._publish().name
                self._status = self._status.model_copy(update={"model": name})
                return name
        return ""

    def _name_to_publish(self) -> tuple[str, bool]:
        """Return the name to publish under, and whether it replaces a model."""
        wanted = self._published or model_name(self._trainer.config)
        theirs = next((model for model in list_models() if model.name == wanted), None)
        ours = theirs is not None and theirs.card.run == self._run.id
        if theirs is None or ((ours or self._replace) and not users_of(wanted)):
            return wanted, theirs is not None
        name = free_name(model_name(self._trainer.config))
        note = f"{wanted!r} is another model or in use and was kept: this one is {name!r}"
        if note not in self._status.notes:
            self._status = self._status.model_copy(update={"notes": (*self._status.notes, note)})
        return name, False

    def _write(self, **update: Any) -> None:
        update["heartbeat"] = time.time()
        self._status = Status.model_validate(self._status.model_dump() | update)
        self._run.write_status(self._status)
        self._written = time.monotonic()


def _lora_words(config: TrainConfig) -> str | None:
    if not config.lora:
        return None
    return (f"rank {config.lora_rank}, alpha {config.lora_alpha:g}, on "
            f"{', '.join(config.lora_targets)}")
