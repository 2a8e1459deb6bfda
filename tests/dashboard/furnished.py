"""A home with models and runs in it, written as files: the same at every call, whatever the clock.

    furnish(home)                           # no process runs, nothing was trained

Numbers come from formulas and times are relative to now, so what the dashboard draws of it can be
compared letter by letter.
"""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

from tuillm.config import build_train
from tuillm.config.families import gpt2
from tuillm.store.files import write_json
from tuillm.store.process_id import this_process
from tuillm.store.run_folder import Run
from tuillm.store.run_status import Status

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
# so that no age changes its number while somebody looks
_LATE = 2

# name, card, layers, width, context, vocabulary, minutes ago
_MODELS: list[Any] = [
    (
        "salt-road",
        dict(
            origin="trained",
            run="salt-road-3",
            corpus="salt-road.txt",
            corpus_bytes=96_215,
            tokenizer="bpe",
            parameters=861_312,
            steps=1000,
            val_loss=2.6142,
            bits_per_byte=1.3127,
        ),
        4,
        128,
        64,
        512,
        4,
    ),
    (
        "salt-road-letters",
        dict(
            origin="fine-tuned",
            parent="salt-road",
            run="letters-1",
            corpus="letters.txt",
            corpus_bytes=41_002,
            tokenizer="bpe",
            parameters=861_312,
            steps=340,
            val_loss=2.9313,
            bits_per_byte=1.4902,
        ),
        4,
        128,
        64,
        512,
        55,
    ),
    (
        "tang-poems",
        dict(
            origin="trained",
            run="tang-poems-1",
            corpus="唐诗三百首.txt",
            corpus_bytes=118_404,
            tokenizer="char",
            parameters=2_310_144,
            steps=2000,
            val_loss=5.0127,
            bits_per_byte=2.4316,
        ),
        4,
        192,
        256,
        2730,
        26 * 60,
    ),
    (
        "demo",
        dict(
            origin="trained",
            run="demo-1",
            corpus="the-salt-road.txt",
            corpus_bytes=58_881,
            tokenizer="bpe",
            parameters=3_440_640,
            steps=487,
            val_loss=0.2581,
            bits_per_byte=0.1172,
            held_out=False,
        ),
        4,
        256,
        128,
        1024,
        3 * 24 * 60,
    ),
    (
        "bigram",
        dict(
            origin="trained",
            corpus="salt-road.txt",
            corpus_bytes=96_215,
            tokenizer="char",
            parameters=18_432,
            steps=600,
            val_loss=2.4981,
            bits_per_byte=3.5719,
        ),
        0,
        128,
        64,
        72,
        3 * 24 * 60,
    ),
    (
        "gpt2",
        dict(origin="pulled", tokenizer="gpt2", parameters=124_439_808),
        12,
        768,
        1024,
        50_257,
        12 * 24 * 60,
    ),
    ("broken", dict(origin="imported"), 2, 64, 64, 512, 40 * 24 * 60),
]
_SAMPLE = """\
The ferry came at noon, and with it came the salt. {} sat on the wall and counted
the sacks. "Dry feet and a short road," said Marda.

"And somebody home at the end of it," said the girl.
"""
_NAMES = ("Teb", "Tib", "Marda", "The mare", "Tib", "Mr. Pounce")


def furnish(home: Path) -> None:
    """Fill an empty home with seven models and six runs that have ended."""
    for name, card, layers, width, context, vocabulary, minutes in _MODELS:
        folder = home / "models" / name
        folder.mkdir(parents=True)
        write_json(
            folder / "config.json",
            {
                "model_type": "gpt2",
                "n_layer": layers,
                "n_head": 2,
                "n_embd": width,
                "n_positions": context,
                "vocab_size": vocabulary,
            },
        )
        write_json(folder / "tokenizer.json", {"model": {}})
        made = int(time.time()) - minutes * _MINUTE - _LATE  # always of the same length
        write_json(folder / "tuillm.json", card | {"created": made})
        if name != "broken":
            _weights(folder, biases=name == "gpt2")
    run(home, "salt-road-3", 1200, 4 * _MINUTE, model="salt-road")
    run(
        home,
        "salt-road-2",
        1200,
        9 * _MINUTE,
        {"dropout": 0.2, "seed": 7},
        floor=2.7,
        state="stopped",
        progress=0.75,
    )
    run(
        home,
        "letters-1",
        400,
        55 * _MINUTE,
        {"corpus": ["letters.txt"]},
        floor=2.9,
        model="salt-road-letters",
    )
    run(
        home,
        "salt-road-1",
        300,
        2 * _HOUR,
        {"preset": "small"},
        floor=2.4,
        state="failed",
        progress=0.06,
        error="no space left to write /books/last",
        hint="free some space",
    )
    # nobody has this process number, so the run counts as lost
    run(
        home,
        "tang-poems-1",
        2000,
        26 * _HOUR,
        {"corpus": ["唐诗三百首.txt"]},
        floor=5.0,
        state="running",
        pid=2**30,
        progress=0.5,
    )
    run(home, "demo-1", 487, 3 * _DAY, {"preset": "heart"}, floor=0.25, model="demo")


def run(
    home: Path,
    name: str,
    steps: int,
    ago: float,
    settings: dict | None = None,
    *,
    floor: float = 2.417,
    state: str = "finished",
    progress: float = 1.0,
    **status,
) -> Run:
    """Write one run folder; its loss falls from 6.2 towards `floor` with a ripple."""
    made = Run(name, home / "runs" / name)
    made.path.mkdir(parents=True)
    values = {"corpus": ["salt-road.txt"]} | (settings or {})
    write_json(made.path / "run.json", build_train(values).model_dump(mode="json"))
    rows = [_row(step, steps, floor, progress) for step in range(1, steps + 1)]
    made.metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    evaluated = [row for row in rows if "val_loss" in row]
    made.samples.write_text(
        "".join(
            json.dumps({"step": row["step"], "text": _SAMPLE.format(_NAMES[number % len(_NAMES)])})
            + "\n"
            for number, row in enumerate(evaluated)
        )
    )
    made.log.write_text(
        f"reading {values['corpus'][0]}\n"
        + "".join(
            f"step {row['step']}: validation loss {row['val_loss']:.3f}\n" for row in evaluated
        )
        + ("published salt-road\n" if state == "finished" else "")
    )
    best, last = min(evaluated, key=lambda row: row["val_loss"]), rows[-1]
    made.write_status(
        Status(
            **{
                "state": state,
                "created": time.time() - ago - _LATE,
                "step": steps,
                "progress": progress,
                "epoch": last["epoch"],
                "elapsed": last["elapsed"],
                "train_loss": last["train_loss"],
                "tokens_per_sec": last["tokens_per_sec"],
                "val_loss": best["val_loss"],
                "bits_per_byte": best["bits_per_byte"],
                "best_step": best["step"],
                "parameters": 861_312,
                "train_tokens": 48_107,
                "val_tokens": 4_812,
                "loss_curve": _sketch([row["train_loss"] for row in rows]),
                "device": "cpu",
                "dtype": "bfloat16",
            }
            | status
        )
    )
    return made


def _sketch(losses: list[float]) -> tuple[float, ...]:
    """The mean loss of each of sixteen parts of a run."""
    each = max(len(losses) // 16, 1)
    return tuple(
        sum(losses[at : at + each]) / len(losses[at : at + each])
        for at in range(0, len(losses), each)
    )


def going(home: Path) -> None:
    """Add a run that this very process seems to be working on."""
    me = this_process()
    run(
        home,
        "salt-road-4",
        700,
        _MINUTE,
        {"minutes": 2.0},
        state="running",
        pid=me.pid,
        process_started=me.started,
        progress=0.58,
        eta=31.0,
    )


def _row(step: int, steps: int, floor: float, progress: float) -> dict[str, float]:
    """One line of the metrics, an evaluation every fiftieth step."""
    train = floor - 0.2 + (6.2 - floor) / (1 + step / 60) + 0.08 * math.sin(step * 2.4)
    share = progress * step / steps
    row = {
        "step": step,
        "train_loss": round(train, 4),
        "lr": round(0.003 * min(step / 100, 1 - 0.9 * share), 6),
        "grad_norm": round(1 + 3 / (1 + step / 20) + 0.2 * math.sin(step * 1.7), 4),
        "tokens_per_sec": round(41_000 + 1500 * math.sin(step / 9), 1),
        "mfu": 0.231,
        "elapsed": round(step * 0.05, 3),
        "eta": round((1 - share) * steps * 0.05, 3),
        "epoch": round(step * 2048 / 48_107, 4),
        "progress": round(share, 4),
    }
    if step % 50 == 0 or step == steps:
        held_out = floor + (6.2 - floor) / (1 + step / 55) + max(step - 1000, 0) * 2e-4
        row |= {"val_loss": round(held_out, 4), "bits_per_byte": round(held_out / 1.9915, 4)}
    return row


def _weights(folder: Path, biases: bool) -> None:
    """The weights file of a folder's config.json; its zeros take no room on the disk."""
    path, end, header = folder / "config.json", 0, {}
    for named in gpt2.tensors(gpt2.shape(json.loads(path.read_text()), path)):
        name, shape = named.name, named.sizes(named.shape[0])
        if biases or not named.optional:
            begin, end = end, end + 4 * math.prod(shape)
            header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    written = json.dumps(header).encode()
    weights = folder / "model.safetensors"
    weights.write_bytes(len(written).to_bytes(8, "little") + written)
    os.truncate(weights, 8 + len(written) + end)
