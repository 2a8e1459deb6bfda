"""Opens hostile files, a few in a process, and tells what came of each.

    python open_hostile_files.py CASES.json

    [[name, door, path], ...] -> {name: [line, seconds, megabytes]}

Run by test_hostile_files.py. Torch is imported once: the processes are copies of this one, and
each may grow by two gigabytes before the system refuses it more. Megabytes are those by which a
process has grown so far.
"""

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch  # noqa: F401

from tuillm.convert.import_model import import_model
from tuillm.errors import TuillmError
from tuillm.generation import Sampler
from tuillm.store.registry import list_models, read_model_entry, shape_of

DOORS: dict[str, Any] = {
    "import": lambda path: import_model(path, "evil"),
    "import --tokenizer": lambda path: import_model(
        str(Path(path).parent / "ckpt.pt"), "evil", tokenizer=path
    ),
    "open": Sampler,
    "--from": shape_of,
    "registry": lambda path: refuse(read_model_entry(Path(path)).problem),
}
_ROOM = 2 << 30
_TOGETHER, _PATIENCE = 20, 10


def refuse(problem):
    """Raise what stands in a model's `problem`, if anything."""
    if problem:
        raise TuillmError(problem)


def resident():
    """The memory that this process takes, in megabytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def attempt(door, path, before):
    """Open a file; return the line it is refused with, or what else happened."""
    began = time.process_time()
    signal.alarm(_PATIENCE)  # a pipe would be waited for
    try:
        DOORS[door](path)
        line = "taken"
    except TuillmError as error:
        line = str(error)
    except BaseException as error:  # PanicException of Rust's libraries is none of Exception
        line = f"{type(error).__name__}\n{error}"
    signal.alarm(0)
    seconds = time.process_time() - began
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000 - before
    if [model.name for model in list_models() if model.name == "evil"]:
        line += "\npublished"
    return line, seconds, grown


def give_up(number, frame):
    raise TimeoutError("it takes too long")


def attempts(cases):
    """Return what came of some cases, by name."""
    signal.signal(signal.SIGALRM, give_up)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (taken + _ROOM, taken + _ROOM))
    before = resident()
    return {name: attempt(door, path, before) for name, door, path in cases}


def apart(cases):
    """Return what `attempts` returns, from a copy of this process."""
    reading, writing = os.pipe()
    if not (child := os.fork()):
        os.close(reading)
        with os.fdopen(writing, "w") as answer:
            json.dump(attempts(cases), answer)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        told = answer.read()
    os.waitpid(child, 0)
    return json.loads(told) if told else {name: ("killed", 0, 0) for name, *_ in cases}


if __name__ == "__main__":
    cases = json.loads(Path(sys.argv[1]).read_text())
    found = {}
    for start in range(0, len(cases), _TOGETHER):
        found |= apart(cases[start : start + _TOGETHER])
    print(json.dumps(found))
