"""A process of ours that is given settings and answers with JSON objects: both its ends.

Whoever starts it reads the objects in a thread and ends it as soon as they are of no use. Knows
settings and lines; knows nothing of what the objects mean.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from threading import Lock
from typing import IO, Self

from pydantic import ValidationError

from tuillm.config import TrainConfig
from tuillm.errors import TuillmError
from tuillm.formats.json_text import JsonObject, to_json
from tuillm.store.workers.json_lines import Stray, last_line, read_objects, warn_on_stderr
from tuillm.store.workers.processes import lower_priority, module_command, module_environment


class SettingsProcess:
    """`python -m MODULE`, started in this process's directory with settings on its stdin."""

    # whether it gives way to all else on this machine; not while a person waits for nothing else
    GIVES_WAY = True

    def __init__(
        self, module: str, what: str, config: TrainConfig, stray: Stray | None = None
    ) -> None:
        """Start the process; returns at once. `what` it makes is named in errors.

        `stray` is called, while the objects are read, with lines that are none: by default they
        are told on stderr. Raises TuillmError where it cannot be started, as on a full disk.
        """
        self._what, self._cancelled, self._reading = what, False, False
        self._deciding = Lock()  # who closes the pipe: whoever reads it, or who cancels first
        self._stray = stray or partial(warn_on_stderr, what)
        try:
            self._errors = tempfile.TemporaryFile()
            with tempfile.TemporaryFile() as settings:  # a pipe might fill up before it is read
                settings.write(to_json(config.model_dump(mode="json")).encode())
                settings.seek(0)
                self._process = _start(module, settings, self._errors)
        except OSError as error:
            raise TuillmError(f"{what} cannot be started: {error.strerror or error}") from None
        if self.GIVES_WAY:
            lower_priority(self._process.pid)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.poll() is None

    def objects(self) -> Iterator[JsonObject]:
        """Yield each object as it comes; ends when there are no more, or at once when cancelled.

        Raises TuillmError for what the process says went wrong, and where it broke off.
        """
        assert self._process.stdout is not None
        with self._deciding:
            if self._cancelled:
                return
            self._reading = True
        with self._process.stdout as lines, self._errors:
            for found in read_objects(lines, self._stray):
                if "error" in found:
                    self._process.wait()
                    raise TuillmError(str(found["error"]), str(found.get("hint", "")))
                yield found
            code = self._process.wait()
            if code and not self._cancelled:
                how = f"signal {-code}" if code < 0 else f"exit code {code}"
                words = last_line(self._errors)
                raise TuillmError(
                    f"{self._what} broke off ({how})" + (f": {words}" if words else ""),
                    "is there enough memory?" if code < 0 else "",
                )

    def cancel(self) -> None:
        """End the process, and those that it started, at once; may be called from any thread."""
        with self._deciding:
            self._cancelled = True
        if self.running:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)  # its session is its own
            self._process.kill()
        self._process.wait()
        if not self._reading and self._process.stdout:
            self._process.stdout.close()
            self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.cancel()


def _start(module: str, settings: IO[bytes], errors: IO[bytes]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        module_command(module),
        env=module_environment(),
        stdin=settings,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,
        text=True,
        encoding="utf-8",
        errors="replace",
    )


def answer(make: Callable[[TrainConfig], Iterator[JsonObject]]) -> int:
    """Read settings on stdin, print what `make` yields of them a line each; return the exit code.

    What goes wrong is a line too: whoever started this process reads lines, no tracebacks.
    """
    try:
        for each in make(_settings()):
            print_object(each)
        return 0
    except BrokenPipeError:
        sys.stdout = None  # nobody reads any more: Python must not complain while it ends
        return 0
    except TuillmError as error:
        message, hint = error.message, error.hint
    except Exception as error:
        message, hint = f"{type(error).__name__}: {error}", ""
    print_object({"error": message, "hint": hint})
    return 1


def print_object(found: JsonObject) -> None:
    """Print an object as a line, at once."""
    print(to_json(found), flush=True)


def _settings() -> TrainConfig:
    """Return the settings on stdin; raises TuillmError for what are none."""
    try:
        return TrainConfig.model_validate(json.load(sys.stdin))
    except ValueError as error:
        words = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise TuillmError(f"these are no settings of a run: {words}") from None
