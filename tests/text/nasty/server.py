"""`python -m text.nasty.server FOLDER`: loads all that training needs, and forks for each input.

A line of JSON on stdin names an input, a line on stdout tells what became of it. The child makes
the input in a folder of its own, trains on it, and whatever it opens for writing outside of its
data directory is told. Nothing is computed before: libraries with threads do not survive a fork.
"""

import atexit
import ctypes
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

WALL = 400  # seconds of the clock, on a machine that does other things as well
MEMORY = 8 << 30  # where a child is ended, far beyond what is allowed
_EVENTS = {
    "os.mkdir": 1,
    "os.rename": 2,
    "os.remove": 1,
    "os.rmdir": 1,
    "os.symlink": 2,
    "os.link": 2,
    "os.truncate": 1,
    "os.chmod": 1,
}


def main(root):
    """Serve until stdin ends."""
    load()
    for line in sys.stdin:
        folder = Path(root) / f"input-{time.monotonic_ns()}"
        told = serve(json.loads(line), folder)
        shutil.rmtree(folder, ignore_errors=True)
        print(json.dumps(told), flush=True)


def load():
    """Import all that a run needs."""
    import charset_normalizer  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import tiktoken  # noqa: F401
    import tokenizers  # noqa: F401
    import torch
    import torch._dynamo  # which torch's optimizers import at their first step

    import tuillm.convert  # noqa: F401
    import tuillm.training.runner
    import tuillm.training.trainer  # noqa: F401

    torch.set_num_threads(1)


def serve(asked, folder):
    """Fork, wait, and measure."""
    (folder / "input").mkdir(parents=True)
    begin = time.monotonic()
    child = os.fork()
    if not child:
        code = 70
        try:
            code = work(asked, folder)
            atexit._run_exitfuncs()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    _, status, used = os.wait4(child, 0)
    told = {"outcome": "lost", "status": status}
    if (folder / "told.json").exists():
        told = json.loads((folder / "told.json").read_text())
    if asked["kind"] == "bare fork":
        told["outcome"] = "bare"
    errors = folder / "stderr"
    return told | {
        "seconds": used.ru_utime + used.ru_stime,
        "wall": time.monotonic() - begin,
        "mb": used.ru_maxrss / 1024,
        "stderr": errors.read_bytes().decode("utf-8", "replace")[-3_000:]
        if errors.exists()
        else "",
        "left": left_over(folder),
        "status": status,
    }


def work(asked, folder):
    """In the child: make the input, train on it, write down what came."""
    for name in ("home", "tmp", "cwd", "person"):
        (folder / name).mkdir()
    os.environ |= {"TUILLM_HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp")}
    os.environ |= {"HOME": str(folder / "person"), "HF_HUB_OFFLINE": "1", "RUST_BACKTRACE": "0"}
    tempfile.tempdir = None  # the server's may be known already
    os.chdir(folder / "cwd")
    for stream, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT), stream)
    signal.alarm(WALL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    if asked["kind"] == "bare fork":
        return 0
    from text.nasty.byte_kinds import seeded
    from text.nasty.inputs import KINDS

    made = KINDS[asked["kind"]](folder / "input", seeded(asked["kind"], asked["number"]))
    like_anybody()
    begin, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    opened = watched(folder)
    told = trained(str(made), asked["settings"])
    told |= {
        "outside": list(opened),
        "made_mb": before / 1024,
        "train_seconds": time.process_time() - begin,
    }
    opened.clear()
    (folder / "told.json").write_text(json.dumps(told))
    return 0


def trained(source, settings):
    """Train as `tuillm train` does; return what came of it."""
    from tuillm import Trainer
    from tuillm.errors import TuillmError

    told: dict[str, Any] = {"outcome": "trained"}
    try:
        trainer = Trainer(
            corpus=source, name="x", preset="nano", max_steps=2, sample_tokens=0, **settings
        )
        trainer.run(quiet=True)
        told["notes"] = trainer.notes
    except TuillmError as error:
        told = {"outcome": "refused", "message": error.message, "hint": error.hint}
    except BaseException as error:
        told = {"outcome": "failed", "message": f"{type(error).__name__}: {error!s:.300}"}
        told["traceback"] = traceback.format_exc()[-3_000:]
    return told


def watched(folder):
    """Note what is opened for writing, made, renamed or removed outside of the data directory."""
    found = []
    allowed = (str(folder / "home"), str(folder / "tmp"), str(folder / "told.json"), "/dev/null")

    def look(event, given):
        if event == "open":
            path, mode, flags = given
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
            paths = [path] if writes or set(str(mode or "")) & set("wax+") else []
        else:
            many = _EVENTS.get(event, 0)
            # what is removed with the folder it is in open is named from there
            beside = event in ("os.remove", "os.rmdir", "os.mkdir") and given[-1] != -1
            paths = [] if beside else given[:many]
        for path in paths:
            if isinstance(path, str | bytes | os.PathLike):
                real = os.path.abspath(os.fsdecode(path))
                if not real.startswith(allowed):
                    found.append(f"{event} {real!r}")

    sys.addaudithook(look)
    return found


def left_over(folder):
    """What lies where nothing may: in the temporary and the current folder, half-made in ours."""
    found = [str(path) for name in ("tmp", "cwd", "person") for path in (folder / name).rglob("*")]
    home = folder / "home"
    found += [
        str(path.relative_to(home))
        for path in home.rglob("*")
        if path.name.startswith(".") or path.suffix in (".part", ".tmp", ".partial")
    ]
    return found[:9]


def like_anybody():
    """Give up root's right to read what nobody may read."""
    if os.geteuid():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()  # no capabilities at all: effective, permitted, inheritable
    libc.capset(header, data)


if __name__ == "__main__":
    main(sys.argv[1])
