"""The keys of pulls from the hub. Knows pulls and questions; knows no table."""

from functools import partial
from typing import ClassVar

from textual.binding import Binding, BindingType

from tuillm.dashboard.pull_actions import begin, check, going, pullable
from tuillm.dashboard.screens.ask_screen import AskScreen
from tuillm.dashboard.screens.dialogs import Confirm
from tuillm.dashboard.screens.pull_dialog import PullDialog
from tuillm.store.entry_names import check_name
from tuillm.units import size


class PullsScreen(AskScreen):
    """A screen from which models are pulled, and pulls are stopped."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("P", "pull", "Pull from the hub, or go on", id="models.pull", show=False),
        Binding(
            "X", "stop_pull", "Stop a pull, or throw it away", id="models.stop_pull", show=False
        ),
    ]

    def action_pull(self) -> None:
        """Ask for a name of the hub; one whose pull stands still is proposed."""
        at_work = going(self.dashboard.pulls)
        left = [
            str(pull.source) for pull in self.dashboard.pulls if pull.repo and pull not in at_work
        ]
        models = {model.name for model in self.dashboard.models}
        self.ask(
            "Pull from the Hugging Face hub",
            (left or ["gpt2"])[0],
            check,
            lambda text: (partial(begin, text), ""),
            note="or ORG/NAME of any GPT-2, Llama, Qwen2 or Qwen3",
            dialog=partial(PullDialog, rows=pullable(self.dashboard.pulls, models)),
        )

    def action_stop_pull(self) -> None:
        """Stop the pull that goes on, or throw away what is left of one that does not."""
        from tuillm.store.hub.pull_folder import cancel_pull, discard_pull

        at_work = going(self.dashboard.pulls)
        pull = (at_work or self.dashboard.pulls)[0]
        name = pull.name
        if not at_work and not pull.done:
            self.dashboard.run_in_thread(partial(discard_pull, name))
        elif not at_work:
            question = Confirm(
                f"Throw away what has come of {name}?",
                f"{size(pull.done)} of {size(pull.total)}",
                "Throw away",
            )
            self.app.push_screen(
                question,
                lambda yes: (
                    self.dashboard.run_in_thread(
                        partial(discard_pull, name), f"threw away what had come of {name}"
                    )
                    if yes
                    else None
                ),
            )
        elif len(at_work) == 1:
            self.dashboard.run_in_thread(
                partial(cancel_pull, name), f"stopping the pull of {name}; what has come is kept"
            )
        else:
            self.ask(
                "Stop the pull of",
                name,
                check_name,
                lambda typed: (partial(cancel_pull, typed), f"stopping the pull of {typed}"),
            )
