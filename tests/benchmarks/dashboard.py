"""The dashboard in a crowded house: 1,000 models, 200 runs, one live with 1,000,000 rows.

    python tests/benchmarks/dashboard.py [MODELS RUNS ROWS]
    python tests/benchmarks/dashboard.py live      # bytes and CPU of each screen beside live runs

Prints, for a real pseudo-terminal of 120x40: seconds from process start to the first frame and to
the full table, milliseconds to the form at its first opening, milliseconds from a key to the
screen's answer (list of models, filter, live view of the run while rows are added to it), and the
memory of the process. Medians of nine.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from operator import ne
from pathlib import Path

import numpy as np
import psutil
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).parents[1]))
from terminal import Terminal  # noqa: E402

from tuillm.config import build_train  # noqa: E402
from tuillm.store.files import write_json  # noqa: E402
from tuillm.store.process_id import ProcessId  # noqa: E402
from tuillm.store.run_folder import Run  # noqa: E402
from tuillm.store.run_status import Status  # noqa: E402

ROUNDS = 9
SCREENS = {"models": "1", "train": "2", "runs": "\x1b3", "a run": "\r"}
LIVE_SECONDS = 10
# adds twenty rows a second to a metrics file until it is killed; its status is told each second
_WRITER = """
import json, sys, time
from pathlib import Path
step = int(sys.argv[2])
status = Path(sys.argv[1]).with_name("status.json")
with open(sys.argv[1], "a") as file:
    while True:
        step += 1
        if step % 20 == 0 and status.exists():
            told = json.loads(status.read_text()) | {"step": step, "epoch": step / 700,
                "elapsed": step * .05, "progress": step / 1e5, "eta": 5000 - step * .05}
            status.with_name("status.new").write_text(json.dumps(told))
            status.with_name("status.new").replace(status)
        file.write(json.dumps({"step": step, "train_loss": 2.0, "lr": 1e-3, "grad_norm": 1.0,
            "tokens_per_sec": 1e4, "mfu": .2, "elapsed": step * .05, "eta": 100, "epoch": 1.5,
            "progress": .5}) + "\\n")
        file.flush()
        time.sleep(.05)
"""


def main(models: int, runs: int, rows: int) -> None:
    home = Path(tempfile.mkdtemp())
    os.environ["TUILLM_HOME"] = str(home)
    try:
        furnish(home, models, runs, rows)
        first, full = [], []
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            terminal = Terminal("dashboard", columns=120, lines=40)
            terminal.wait("Palette")
            first.append(time.perf_counter() - begin)
            terminal.wait("bits per byte")
            full.append(time.perf_counter() - begin)
            terminal.close()
        print(
            f"first frame {statistics.median(first):.2f} s, all {models} models "
            f"{statistics.median(full):.2f} s"
        )
        print(f"first opening of the form {opening():.0f} ms")
        watch(home, rows)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def opening() -> float:
    """Median milliseconds from the key to the form that was never opened before."""
    times = []
    for _ in range(ROUNDS):
        terminal = Terminal("dashboard", columns=120, lines=40)
        terminal.wait("bits per byte")
        terminal.pass_time(2)
        begin = time.perf_counter()
        terminal.press("2")
        terminal.wait("new run")
        times.append((time.perf_counter() - begin) * 1000)
        terminal.close()
    return statistics.median(times)


def writer_of(run: Run, rows: int) -> "subprocess.Popen[bytes]":
    """Let a process write to a run as a worker does, from the row after `rows` on."""
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(run.metrics), str(rows)])
    started = psutil.Process(writer.pid).create_time()
    status = Status(
        state="running",
        pid=writer.pid,
        process_started=started,
        created=time.time(),
        step=rows,
        progress=0.5,
        eta=100.0,
        parameters=861_312,
        train_tokens=10**6,
        val_tokens=10**5,
        device="cpu",
        dtype="bfloat16",
    )
    assert ProcessId(writer.pid, started).alive
    run.write_status(status)
    return writer


def watch(home: Path, rows: int) -> None:
    """Press keys while a run is written to."""
    writer = writer_of(Run("big-1", home / "runs" / "big-1"), rows)
    terminal = Terminal("dashboard", columns=120, lines=40)
    try:
        terminal.wait("bits per byte")
        print(f"down in the models {answer(terminal, ['j', 'k']):.0f} ms")
        terminal.press("/")
        terminal.wait("words that stand")
        print(f"a letter in the filter {answer(terminal, ['7', chr(127)]):.0f} ms")
        terminal.press("\x1b")
        terminal.settle(0.3)  # else Escape and 3 are Alt-3
        terminal.press("3")
        terminal.wait("big-1")
        print(f"down in the runs {answer(terminal, ['j', 'k']):.0f} ms")
        terminal.press("g")
        begin = time.perf_counter()
        terminal.press("\r")
        terminal.wait("train loss")
        print(f"while the backlog is read {answer(terminal, ['l', 's']):.0f} ms")
        process = psutil.Process(terminal.pid)
        terminal.wait(lambda text: f"{rows:,}"[:-4] in text or time.perf_counter() - begin > 30, 40)
        while process.cpu_percent(0.5) > 60:
            terminal.wait(lambda text: True)
        print(f"backlog of {rows:,} rows read after {time.perf_counter() - begin:.1f} s")
        print(f"a key on the live chart {answer(terminal, ['l', 's', '+', '0']):.0f} ms")
        print(f"memory {process.memory_info().rss / 1e6:.0f} MB")
    finally:
        terminal.close()
        writer.kill()


def live(runs: int) -> None:
    """Print what each screen sends to the terminal, and computes, while some runs are going."""
    home = Path(tempfile.mkdtemp())
    os.environ["TUILLM_HOME"] = str(home)
    furnish(home, 20, 10, 1000)
    writers = []
    try:
        for number in range(runs):
            run = Run(f"live-{number}", home / "runs" / f"live-{number}")
            shutil.copytree(home / "runs" / "book-1", run.path)
            writers.append(writer_of(run, 100))
        terminal = Terminal("dashboard", columns=120, lines=40)
        terminal.wait("bits per byte")
        for name, keys in SCREENS.items():
            for key in keys:
                terminal.press(key)
                terminal.settle(0.5)
            terminal.pass_time(3)
            process = psutil.Process(terminal.pid)
            before, begun = process.cpu_times(), len(terminal.raw)
            terminal.pass_time(LIVE_SECONDS)
            after, sent = process.cpu_times(), len(terminal.raw) - begun
            share = (after.user + after.system - before.user - before.system) / LIVE_SECONDS
            pace = f"{sent / LIVE_SECONDS / 1000:.1f} KB/s, {share:.1%} of a core"
            print(f"{runs} live, {name}: {pace}", flush=True)
        terminal.close()
    finally:
        for writer in writers:
            writer.kill()
        shutil.rmtree(home, ignore_errors=True)


def answer(terminal: Terminal, keys: list[str]) -> float:
    """Median milliseconds from a key to the first change of the screen."""
    times = []
    for number in range(ROUNDS * len(keys)):
        before = terminal.settle()
        begin = time.perf_counter()
        terminal.press(keys[number % len(keys)])
        terminal.wait(partial(ne, before), 5)
        times.append((time.perf_counter() - begin) * 1000)
    return statistics.median(times)


def furnish(home: Path, models: int, runs: int, rows: int) -> None:
    """Fill a home with small but whole models and with ended runs, one of them very long."""
    weights = {"wte": np.arange(12, dtype=np.float32)}
    for number in range(models):
        folder = home / "models" / f"model-{number}"
        folder.mkdir(parents=True)
        write_json(folder / "config.json", {"n_layer": 2, "n_positions": 64, "vocab_size": 512})
        write_json(folder / "tokenizer.json", {"model": {}})
        write_json(
            folder / "tuillm.json",
            {
                "origin": "trained",
                "parameters": 1000 + number,
                "bits_per_byte": 2 + number / 1000,
                "created": time.time() - number,
            },
        )
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = build_train({"corpus": "book.txt"}).model_dump(mode="json")
    for number in range(runs):
        name = "big-1" if number == 0 else f"book-{number}"
        run = Run(name, home / "runs" / name)
        run.path.mkdir(parents=True)
        write_json(run.path / "run.json", config)
        run.write_status(
            Status(
                state="finished",
                created=time.time() - number,
                step=100,
                progress=1.0,
                bits_per_byte=2.0,
            )
        )
        write_rows(run.metrics, rows if number == 0 else 100)


def write_rows(path: Path, rows: int) -> None:
    """Metrics as a worker writes them, an evaluation every thousandth."""
    noise = np.random.default_rng(1).normal(0, 0.1, rows)
    with path.open("w") as file:
        for step in range(1, rows + 1):
            row = {
                "step": step,
                "train_loss": round(6 / step**0.1 + noise[step - 1], 6),
                "lr": 0.001,
                "grad_norm": 1.0 + abs(round(noise[step - 1], 6)),
                "tokens_per_sec": 15000.5,
                "mfu": 0.2,
                "elapsed": round(step * 0.05, 6),
                "eta": 100.0,
                "epoch": round(step / 700, 6),
                "progress": step / rows / 2,
            }
            if step % 1000 == 0:
                row |= {"val_loss": round(6 / step**0.1, 6), "bits_per_byte": 2.0}
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["live"]:
        for runs in (1, 3):
            live(runs)
        sys.exit()
    sizes = [int(word) for word in sys.argv[1:]] or [1000, 200, 1_000_000]
    main(*sizes)
