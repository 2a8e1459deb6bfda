"""Is the forecast true? What it says before a run, and what the run then takes: memory and time.

    python tests/benchmarks/forecast_truth.py TEXT [--settings tiny,small,...] [--seconds 40]

Each setting is forecast as `tuillm train --forecast` does, then trained by a real worker for as
many steps as take about so many seconds. Memory is the peak of the worker's own pages and of mapped
weights. Time is that of training, by the run's own clock.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

SETTINGS: dict[str, dict[str, object]] = {
    "tiny": {"preset": "tiny"},
    "tiny-adamw": {"preset": "tiny", "optimizer": "adamw", "tokenizer": "char"},
    "small": {"preset": "small"},
    "medium": {"preset": "medium"},
    "wide": {"preset": "tiny", "n_embd": 512, "n_layer": 6, "n_head": 8, "block_size": 256},
    "gpt2": {"preset": "gpt2", "tokenizer": "bpe", "batch_size": 1, "block_size": 512},
    "gpt2-adamw": {
        "preset": "gpt2",
        "optimizer": "adamw",
        "tokenizer": "bpe",
        "batch_size": 2,
        "block_size": 256,
    },
    "lora": {"init_from": "base", "lora": True, "batch_size": 2},
}
BASE: dict[str, object] = {
    "preset": "gpt2",
    "tokenizer": "bpe",
    "batch_size": 1,
    "block_size": 512,
    "max_steps": 1,
}


def own(pid):
    """The memory of a process in bytes that is its own; 0 where it has ended.

    Pages of programs and libraries are left out: the system takes them back as it likes.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    lines = [line for line in status.splitlines() if line.startswith("RssAnon")]
    return 1024 * int(lines[0].split()[1]) if lines else 0


def mapped_weights(pid):
    """The pages of mapped weights in memory, in bytes; to look at them holds the process up."""
    total, weights = 0, False
    try:
        lines = Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    for line in lines:
        head = line.split(None, 1)[0]
        if not head.endswith(":"):
            weights = line.endswith(".safetensors")
        elif weights and head == "Rss:":
            total += 1024 * int(line.split()[1])
    return total


def trained(config):
    """Train in a worker; return the peak of its memory and its status at the end."""
    from tuillm.store.workers.launch import start_run

    run = start_run(config, replace=True)
    peak, mapped, pid = 0, 0, run.recorded().pid

    def watch():
        nonlocal peak, mapped
        looked = time.monotonic()
        while run.status().state in ("preparing", "running"):
            worker = run.recorded().pid if pid == os.getpid() else pid
            peak = max(peak, own(worker))
            if time.monotonic() - looked > 5:
                looked, mapped = time.monotonic(), max(mapped, mapped_weights(worker))
            time.sleep(0.05)

    watching = threading.Thread(target=watch)
    watching.start()
    watching.join()
    return peak + mapped, run.status()


def measure(name, text, seconds):
    """Print what was forecast and what was true of one setting."""
    from tuillm.config import build_train
    from tuillm.store.registry import shape_of
    from tuillm.training.forecast.process import forecast

    settings = {"max_steps": 30, "minutes": None} | SETTINGS[name]
    wanted = settings | {"corpus": str(text), "name": name}
    first = list(forecast(build_train(wanted, {}, shape_of)))[-1]
    steps = max(int(seconds / first.step_seconds), 4)
    config = build_train(wanted | {"max_steps": steps}, {}, shape_of)
    told = list(forecast(config))[-1]
    peak, status = trained(config)
    if status.state != "finished":
        print(f"{name}: {status.state}: {status.error}")
        return
    memory, duration = told.memory_needed / peak, told.seconds / status.elapsed
    print(
        f"{name:<12} {told.parameters / 1e6:>7.1f}M  "
        f"memory {told.memory_needed / 1e6:>7.0f} MB told, {peak / 1e6:>7.0f} true: "
        f"{memory:.2f}   time {told.seconds:>6.1f} s told, "
        f"{status.elapsed:>6.1f} true: {duration:.2f}  ({steps} steps"
        f"{', estimated' if told.estimated else ''})",
        flush=True,
    )
    print("   ", {key: round(value / 1e6) for key, value in told.memory.items()}, flush=True)


def main():
    """Measure the settings that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("--settings", default=",".join(SETTINGS))
    parser.add_argument("--seconds", type=float, default=40)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"TUILLM_HOME": home, "TUILLM_NICE": "0"}
        if "lora" in wanted.settings.split(","):
            from tuillm.config import build_train

            trained(build_train(BASE | {"corpus": str(wanted.text), "name": "base"}))
        for name in wanted.settings.split(","):
            measure(name, wanted.text, wanted.seconds)


if __name__ == "__main__":
    subprocess.run(["grep", "-m1", "model name", "/proc/cpuinfo"], check=False)
    sys.exit(main())
