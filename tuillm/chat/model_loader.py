"""Loads a model in the background, so that one can type while it loads."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from tuillm.chat.error_log import unexpected
from tuillm.errors import TuillmError
from tuillm.store.registry import Model

if TYPE_CHECKING:
    from tuillm.generation import Sampler


class Loader:
    """Loads from `start()` on; `sampler()` waits for it and raises what went wrong."""

    def __init__(
        self,
        model: Model,
        device: str,
        dtype: str,
        drafting: Model | None = None,
        context: int | None = None,
    ) -> None:
        """Get ready to load a model, with so many positions, and a smaller one that drafts."""
        draft = drafting.path if drafting else None
        self._arguments = (model.path, device, dtype, draft, context)
        self._sampler: Sampler | None = None
        self._error: TuillmError | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to load, if that has not begun yet."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._load, daemon=True)
            self._thread.start()

    @property
    def done(self) -> bool:
        """Whether loading has ended, well or not."""
        return self._thread is not None and not self._thread.is_alive()

    def check(self) -> None:
        """Raise what went wrong, if anything has so far."""
        if self._error is not None:
            raise self._error

    def sampler(self, look: Callable[[], None] = lambda: None) -> "Sampler":
        """Return the loaded sampler, waiting if need be; `look` is called again and again then.

        What it raises ends the waiting, and not the loading.
        """
        self.start()
        while self._thread is not None and self._thread.is_alive():
            look()
            self._thread.join(0.05)
        self.check()
        assert self._sampler is not None
        return self._sampler

    def _load(self) -> None:
        try:
            from tuillm.generation import Sampler
            from tuillm.generation.thread_count import adapt

            adapt()
            self._sampler = Sampler(*self._arguments)
        except TuillmError as error:
            self._error = error
        except Exception as error:
            self._error = unexpected(error)
