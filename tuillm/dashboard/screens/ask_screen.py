"""Questions for a line of text that come back, with what was typed, when their answer fails.

Knows the app and dialogs; what is asked and done is its subclass's.
"""

from collections.abc import Callable

from tuillm.dashboard.screens.base import BaseScreen
from tuillm.dashboard.screens.dialogs import Ask, LineDialog


class AskScreen(BaseScreen):
    """A screen that asks for names and files."""

    def ask(
        self,
        title: str,
        value: str,
        check: Callable[[str], object] | None,
        action: Callable[[str], tuple[Callable[[], object], str]],
        *,
        note: str = "",
        dialog: Callable[..., LineDialog] = Ask,
    ) -> None:
        """Ask for a line of text; `action` makes of it what to do, and what to say then.

        `dialog` makes the question, as `Ask` does.
        Where that fails the question is asked again, with what was typed and why it was refused.
        """

        def answered(text: str | None) -> None:
            if text:
                self.dashboard.run_in_thread(
                    *action(text), failed=lambda error: ask(text, str(error))
                )

        def ask(value: str, problem: str = "") -> None:
            self.app.push_screen(
                dialog(title, value, check=check, note=note, problem=problem), answered
            )

        ask(value)
