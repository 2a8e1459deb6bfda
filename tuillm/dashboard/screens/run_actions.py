"""What can be done to a run, the same from the list of runs and from a run's own screen.

Writes requests into the run folder and starts workers; knows no chart and no table.
"""

from dataclasses import replace
from typing import ClassVar

from textual.binding import ActiveBinding, Binding, BindingType

from tuillm.dashboard.glossary import Meaning
from tuillm.dashboard.open_chat import open_chat
from tuillm.dashboard.run_meanings import run_meanings
from tuillm.dashboard.screens.base import BaseScreen
from tuillm.dashboard.screens.dialogs import Ask, Confirm
from tuillm.errors import TuillmError
from tuillm.store.run_control import Request, steps_of
from tuillm.store.run_folder import Run, remove_run
from tuillm.store.run_queue import Move, move_in_queue
from tuillm.store.run_status import ACTIVE, RESUMABLE, State
from tuillm.store.snapshot import RunEntry

# words for the keys at the bottom, which offer what suits the run; all others work as well
_WORDS = {
    "pause": "Pause",
    "stop": "Stop",
    "chat": "Chat",
    "extend": "Extend",
    "resume": "Resume",
    "remove": "Delete",
}
# other words in some states
_WORDS_IN: dict[State, dict[str, str]] = {
    "queued": {"resume": "Start now", "stop": "Leave the queue"},
    "paused": {"pause": "Go on"},
}


class RunActionsScreen(BaseScreen):
    """A screen where one run at a time, `target`, can be paused, stopped, extended."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "Pause or go on", id="run.pause", show=False),
        Binding("x", "stop", "Stop", id="run.stop", show=False),
        Binding("R", "resume", "Resume from its checkpoint", id="run.resume", show=False),
        Binding("e", "ask('eval')", "Evaluate now", id="run.eval", show=False),
        Binding("a", "ask('sample')", "Sample now", id="run.sample", show=False),
        Binding("E", "extend", "Extend by some steps", id="run.extend", show=False),
        Binding("K,shift+up", "queue('up')", "Earlier in the queue", id="run.earlier", show=False),
        Binding("J,shift+down", "queue('down')", "Later in the queue", id="run.later", show=False),
        Binding("d,delete", "remove", "Delete the run", id="run.remove", show=False),
        Binding("c", "chat", "Chat with its model", id="run.chat", show=False),
        Binding("t", "again", "Train again", id="run.again", show=False),
    ]

    @property
    def target(self) -> RunEntry | None:
        """The run that the keys are about."""
        raise NotImplementedError

    def explains(self) -> bool:
        return self.is_mounted and self.target is not None

    def meanings(self) -> tuple[str, list[Meaning]]:
        entry = self.target
        return (entry.id, run_meanings(entry)) if entry else ("", [])

    @property
    def active_bindings(self) -> dict[str, ActiveBinding]:
        """The keys that work here; those at the bottom fit the state of the run."""
        offered = self._offered()
        entry = self.target if self.is_mounted else None
        words = _WORDS | _WORDS_IN.get(entry.status.state if entry else "finished", {})

        def shown(found: ActiveBinding) -> ActiveBinding:
            binding = found.binding
            if binding.action not in _WORDS or found.node is not self:
                return found
            if binding.action in offered:
                binding = replace(binding, show=True, description=words[binding.action])
            else:
                binding = replace(binding, show=False)
            return found._replace(binding=binding)

        return {key: shown(found) for key, found in super().active_bindings.items()}

    def _offered(self) -> tuple[str, ...]:
        """The two actions that suit the run best."""
        entry = self.target if self.is_mounted else None
        if entry is None:
            return ()
        if entry.status.state == "queued":
            return "resume", "stop"
        if entry.status.state in ACTIVE:
            return "pause", "stop"
        return (
            "chat" if entry.status.model else "remove",
            "resume" if entry.status.state in RESUMABLE else "extend",
        )

    def action_pause(self) -> None:
        """Pause what runs, and let go on what is paused."""
        entry = self._active("pause")
        if entry and entry.status.state == "queued":
            hint = "R starts it now, J lets it start later, x takes it out of the queue"
            self.dashboard.show_error(TuillmError(f"{entry.id} has not begun: it is queued", hint))
        elif entry and entry.status.state == "paused":
            self._ask_run(entry.run, "resume")
        elif entry:
            self._ask_run(entry.run, "pause")

    def action_stop(self) -> None:
        if entry := self._active("stop"):
            self._ask_run(entry.run, "stop")

    def action_ask(self, request: Request) -> None:
        if entry := self._active("sample from" if request == "sample" else "evaluate"):
            self._ask_run(entry.run, request)

    def action_resume(self) -> None:
        """Take an ended run up again where its last checkpoint is; start a queued one."""
        entry = self.target
        if entry and entry.status.state in ("paused", "queued"):
            self._ask_run(entry.run, "resume")
        elif entry and entry.status.state not in RESUMABLE:
            state = entry.status.state
            hint = "E extends it by some steps" if state == "finished" else ""
            self.dashboard.show_error(
                TuillmError(f"{entry.id} is {state}: nothing to resume", hint)
            )
        elif entry:
            run = entry.run
            self.dashboard.run_in_thread(lambda: _resume(run))

    def action_queue(self, move: Move) -> None:
        """Let a queued run start earlier or later."""
        if entry := self.target:
            run = entry.run
            self.dashboard.run_in_thread(lambda: _moved(run, move))

    def action_extend(self) -> None:
        entry = self.target
        if not entry:
            return
        run, active = entry.run, entry.status.state in ACTIVE
        taken = entry.status.step

        def answered(text: str | None) -> None:
            if text is None:
                return
            steps = steps_of(text)
            if active:
                self.dashboard.run_in_thread(lambda: _extend_active(run, steps))
            else:
                self.dashboard.run_in_thread(lambda: _resume(run, steps))

        note = f"It has taken {taken:,}. The learning rate rises to what the longer run has there."
        self.app.push_screen(
            Ask(
                f"Extend {run.id} by how many steps?",
                str(max(taken, 100)),
                check=steps_of,
                note=note,
            ),
            answered,
        )

    def action_remove(self) -> None:
        entry = self.target
        if not entry:
            return
        if entry.status.state in ACTIVE:
            self.dashboard.show_error(TuillmError(f"{entry.id} is still going", "x stops it"))
            return
        run = entry.run

        def answered(yes: bool | None) -> None:
            if yes:
                self.dashboard.run_in_thread(
                    lambda: remove_run(run), f"deleted {run.id}", self.removed
                )

        question = "Its curves, samples and checkpoints; the model it published stays."
        self.app.push_screen(Confirm(f"Delete the run {run.id}?", question, "Delete"), answered)

    def removed(self) -> None:
        """The target is gone."""

    def action_chat(self) -> None:
        entry = self.target
        if entry and entry.status.model:
            open_chat(self.dashboard, entry.status.model)
        elif entry:
            hint = "x stops it and publishes" if entry.status.state in ACTIVE else ""
            self.dashboard.show_error(TuillmError(f"{entry.id} has published no model yet", hint))

    def action_again(self) -> None:
        """Fill the form with the settings of the run."""
        if (entry := self.target) and entry.config:
            self.dashboard.train_again(entry.config)
        elif entry:
            self.dashboard.show_error(TuillmError(f"the settings of {entry.id} cannot be read"))

    def _active(self, verb: str) -> RunEntry | None:
        """The target if it is going; else say why not."""
        entry = self.target
        if entry and entry.status.state not in ACTIVE:
            hint = "R takes it up again" if entry.status.state in RESUMABLE else "E extends it"
            self.dashboard.show_error(
                TuillmError(f"cannot {verb} {entry.id}: it is {entry.status.state}", hint)
            )
            return None
        return entry

    def _ask_run(self, run: Run, request: Request) -> None:
        words = {"eval": "evaluate", "resume": "go on"}.get(request, request)
        self.dashboard.run_in_thread(lambda: run.request(request), f"asked {run.id} to {words}")


def _resume(run: Run, extend: int = 0) -> str:
    from tuillm.training.resume import resume  # not for the first frame

    step = resume(run, extend=extend)
    if not step:
        return f"{run.id} left no checkpoint and begins anew"
    return f"{run.id} goes on from step {step:,}"


def _moved(run: Run, move: Move) -> str:
    return f"{run.id} is number {move_in_queue(run, move)} in the queue"


def _extend_active(run: Run, steps: int) -> str:
    run.request("extend", steps=steps)
    return f"asked {run.id} to take {steps:,} steps more"
