"""Loads a model in the background, so that one can type while it loads."""

import threading
from typing import TYPE_CHECKING

from tuillm.store.models import Model

if TYPE_CHECKING:
    from tuillm.generation import Sampler


class Loader:
    """Loads from `start()` on; `sampler()` waits for it and raises what went wrong."""

    def __init__(self, model: Model, device: str, dtype: str) -> None:
        self._arguments = (model.path, device, dtype)
        self._sampler: Sampler | None = None
        self._error: Exception | None = None
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

    def sampler(self) -> "Sampler":
        """Return the loaded sampler, waiting if need be."""
        self.start()
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(0.1)  # in short waits, so that Ctrl-C is heard
        self.check()
        assert self._sampler is not None
        return self._sampler

    def _load(self) -> None:
        try:
            from tuillm.generation import Sampler
            from tuillm.generation.threads import adapt

            adapt()
            self._sampler = Sampler(*self._arguments)
        except Exception as error:
            self._error = error
