"""Servers that train on nasty inputs, asked from a test; and what must be true of every answer."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tuillm.errors import printable

SECONDS = 60  # of the processor
MB = 1024  # beyond what a process has that does nothing


class Servers:
    """Some server processes; `ask` takes the next that is free."""

    def __init__(self, folder, count=2):
        self._free = SimpleQueue()
        self._all = []
        self._pool = ThreadPoolExecutor(count)
        root = Path(__file__).parents[3]
        for _ in range(count):
            process = subprocess.Popen(
                [sys.executable, "-m", "text.nasty.server", str(folder)],
                cwd=root / "tests",
                env=os.environ | {"PYTHONPATH": f"{root}:{root / 'tests'}", "OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            self._all.append(process)
            self._free.put(process)
        self._bare = None

    def ask(self, request):
        """What became of an input."""
        process = self._free.get()
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            assert line, f"the server ended with {process.wait(30)} at {request}"
            return json.loads(line)
        finally:
            self._free.put(process)

    def ask_all(self, inputs):
        """Inputs with what became of each, in order; memory is that beyond a bare fork's."""
        if self._bare is None:
            self._bare = self.ask({"kind": "bare fork"})["mb"]
        for nasty, told in zip(
            inputs, self._pool.map(lambda one: self.ask(one.request), inputs), strict=True
        ):
            told["mb"] -= self._bare
            yield nasty, told

    def close(self):
        """End them."""
        for process in self._all:
            process.stdin.close()
            process.wait(30)
            process.stdout.close()
        self._pool.shutdown()


def faults(told):
    """What is wrong with an answer: nothing may be."""
    found = []
    if told["outcome"] not in ("trained", "refused"):
        found.append(f"{told['outcome']}: {told.get('message')}\n{told.get('traceback', '')}")
    if told["outcome"] == "refused":
        for words, most in ((told["message"], 900), (told["hint"], 400)):
            if "\n" in words or words != printable(words) or len(words) > most:
                found.append(f"no clear line ({len(words)} characters): {words[:500]!r}")
        if not told["message"]:
            found.append("it says nothing")
    for note in told.get("notes", ()):
        if "\n" in note or note != printable(note) or len(note) > 900:
            found.append(f"no clear note ({len(note)} characters): {note[:500]!r}")
    if told["stderr"]:
        found.append(f"stderr: {told['stderr']}")
    if told["status"]:
        found.append(f"it ended with status {told['status']}")
    if told.get("outside"):
        found.append(f"written outside: {told['outside'][:5]}")
    if told["left"]:
        found.append(f"left over: {told['left']}")
    if told.get("train_seconds", told["seconds"]) > SECONDS:
        found.append(f"it took {told['seconds']:.0f} seconds of the processor")
    if told["mb"] > MB:
        found.append(f"it took {told['mb']:.0f} MB")
    return found
