"""Is the forecast true? What it says before a run, and what the run then takes: memory and time.

    python tests/benchmarks/forecast_truth.py TEXT [--settings tiny,...] [--families]
        [--seconds S] [--steps N]

With `--steps N` memory alone is compared, in so many steps.

Each setting is forecast as `tuillm train --forecast` does, then trained by a real worker for as
many steps as take about so many seconds. Memory is the peak of the worker's own pages, and of
mapped weights unless these are only looked at once, to be packed (LoRA in bfloat16). Time is that
of training, by the run's own clock.

The settings of `--families` start from random weights in the shapes of other families: full and
LoRA, float32 and bfloat16, blocks kept and computed again.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

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
_GATED: dict[str, Any] = dict(bias=False, rms_norm=True, gated_mlp=True)
SHAPES: dict[str, dict[str, Any]] = {
    "smollm2": dict(  # a quarter of SmolLM2-135M
        vocab_size=49_152,
        block_size=8192,
        n_layer=8,
        n_head=9,
        n_kv_head=3,
        n_embd=576,
        head_dim=64,
        n_inner=1536,
        rope_theta=1e5,
        family="llama",
    ),
    "qwen3": dict(  # half as wide as Qwen3-0.6B
        vocab_size=151_936,
        block_size=40_960,
        n_layer=6,
        n_head=8,
        n_kv_head=4,
        n_embd=512,
        head_dim=128,
        n_inner=1536,
        rope_theta=1e6,
        qk_norm=True,
        family="qwen3",
    ),
    "qwen2": dict(  # a sixth of Qwen2.5-0.5B
        vocab_size=151_936,
        block_size=32_768,
        n_layer=4,
        n_head=14,
        n_kv_head=2,
        n_embd=896,
        head_dim=64,
        n_inner=4864,
        rope_theta=1e6,
        qkv_bias=True,
        family="qwen2",
    ),
    "untied": dict(  # TinyLlama's vocabulary and proportions
        vocab_size=32_000,
        block_size=2048,
        n_layer=6,
        n_head=16,
        n_kv_head=2,
        n_embd=1024,
        head_dim=64,
        n_inner=2816,
        rope_theta=1e4,
        tie_weights=False,
        family="llama",
    ),
}
FAMILIES: dict[str, dict[str, object]] = {
    f"{shape} {way} {dtype}{' again' if again else ''}": {
        "init_from": shape,
        "lora": way == "lora",
        "dtype": dtype,
        "grad_checkpoint": again,
        "sample_tokens": 16,
    }
    for shape in SHAPES
    for way in ("full", "lora")
    for dtype in ("float32", "bfloat16")
    for again in (False, True)
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
    """Train in a worker; return the peaks of its own memory and of mapped weights, its status."""
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
    return peak, mapped, run.status()


def random_model(name, text):
    """Return the folder of a model with random weights, written once; its tokenizer is small."""
    import torch

    from tuillm.config.gpt_config import GPTConfig
    from tuillm.model import GPT, write_model
    from tuillm.text import make_tokenizer

    folder = Path(os.environ["TUILLM_HOME"]) / "random" / name
    if not folder.exists():
        folder.mkdir(parents=True)
        shape = GPTConfig(**_GATED, **SHAPES[name])
        model = GPT(shape)
        model.init_weights("none", torch.Generator().manual_seed(0))
        with torch.no_grad():
            for parameter in model.parameters():
                if not parameter.any():
                    parameter.normal_(0, 0.02)
        write_model(model, folder, None)
        lines = [text.read_text(encoding="utf-8")[:1_000_000]]
        make_tokenizer("bpe", lines, 2048).save(folder, shape.block_size)
    return folder


def measure(name, text, seconds, steps):
    """Print what was forecast and what was true of one setting.

    With `steps` the speed is not measured first, and only memory is compared.
    """
    import torch

    from tuillm.config import build_train
    from tuillm.store.registry import shape_of
    from tuillm.training.forecast.process import forecast, look
    from tuillm.training.hardware import choose_train_dtype

    settings = {"max_steps": 30, "minutes": None} | (SETTINGS | FAMILIES)[name]
    if (shape := settings.get("init_from")) in SHAPES:
        settings["init_from"] = str(random_model(str(shape), text))
    wanted = settings | {"corpus": str(text), "name": name.replace(" ", "-")}
    kind = str(choose_train_dtype(str(settings.get("dtype", "auto")), torch.device("cpu")))
    wanted["dtype"] = kind.removeprefix("torch.")
    if steps:
        config = build_train(wanted | {"max_steps": steps}, {}, shape_of)
        told = look(config)
    else:
        first = list(forecast(build_train(wanted, {}, shape_of)))[-1]
        steps = max(int(seconds / first.step_seconds), 4)
        config = build_train(wanted | {"max_steps": steps}, {}, shape_of)
        told = list(forecast(config))[-1]
    peak, mapped, status = trained(config)
    peak += 0 if config.lora and config.dtype == "bfloat16" else mapped
    if status.state != "finished":
        print(f"{name}: {status.state}: {status.error}")
        return
    line = (
        f"{name:<28} {told.parameters / 1e6:>7.1f}M  "
        f"memory {told.memory_needed / 1e6:>7.0f} MB told, {peak / 1e6:>7.0f} true: "
        f"{told.memory_needed / peak:.2f}"
    )
    if told.seconds:
        line += (
            f"   time {told.seconds:>6.1f} s told, {status.elapsed:>6.1f} true: "
            f"{told.seconds / status.elapsed:.2f}  ({steps} steps"
            f"{', estimated' if told.estimated else ''})"
        )
    print(line, flush=True)
    print("   ", {key: round(value / 1e6) for key, value in told.memory.items()}, flush=True)


def main():
    """Measure the settings that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("--settings", default=",".join(SETTINGS))
    parser.add_argument("--families", action="store_true", help="the settings of other families")
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--steps", type=int, default=0, help="compare memory alone, in so many")
    wanted = parser.parse_args()
    names = list(FAMILIES) if wanted.families else wanted.settings.split(",")
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"TUILLM_HOME": home, "TUILLM_NICE": "0"}
        if "lora" in names:
            from tuillm.config import build_train

            trained(build_train(BASE | {"corpus": str(wanted.text), "name": "base"}))
        for name in names:
            measure(name, wanted.text, wanted.seconds, wanted.steps)


if __name__ == "__main__":
    subprocess.run(["grep", "-m1", "model name", "/proc/cpuinfo"], check=False)
    sys.exit(main())
