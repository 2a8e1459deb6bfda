"""Writes the conversations of a corpus through a chat template, and counts those it cannot write.

Knows templates and the settings of reading; knows neither records nor tokens.
"""

from collections.abc import Sequence

from tuillm.errors import TuillmError
from tuillm.formats.jinja_chat import Message
from tuillm.text.chat_rendering import render_learned, rendered
from tuillm.text.read_options import ReadOptions
from tuillm.text.text_store import Ranges
from tuillm.units import several


class ConversationWriter:
    """Conversations as documents, by the `template` of a run; `left_out` were refused by it."""

    def __init__(self, options: ReadOptions) -> None:
        """Raises TuillmError for a damaged folder of a model to start from."""
        self.template, self._marks, self._why_words = options.template()
        self._masked, self._strict = options.config.mask_prompt, options.config.strict
        self.left_out = 0
        self._reason: TuillmError | None = None

    def document(self, messages: Sequence[Message], number: int) -> tuple[str, Ranges] | None:
        """Return the text of a conversation, and which ranges of its bytes are learned.

        None for one that the template refuses, which is counted; raises TuillmError with the
        `number` of its record where the run is strict.
        """
        try:
            if self._masked:
                return rendered(self.template, messages, self._marks)
            text = render_learned(self.template, messages, self._marks)
            return text, [(0, len(text.encode()))]
        except TuillmError as error:
            if self._strict:
                raise TuillmError(f"record {number:,}: {error.message}", error.hint) from None
            self._reason = self._reason or error
            self.left_out += 1
            return None

    def notes(self, kept: int) -> list[str]:
        """Say what a person should know, where so many were `kept`.

        Raises TuillmError where there is none, and the template refused some.
        """
        if self._reason and not kept:
            raise self._reason
        notes = [self._why_words] if self._why_words else []
        if self._reason:
            count = several(self.left_out, "conversation")
            notes.append(f"{count} left out: {self._reason.message}")
        return notes
