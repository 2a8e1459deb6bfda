"""What was measured before on this machine: a line of JSON a run, in the data directory."""

import time
from dataclasses import asdict
from pathlib import Path

from tuillm.bench.decode_speed import Speed
from tuillm.bench.machine_speed import Machine
from tuillm.formats.json_text import JsonObject
from tuillm.store.files import append_json
from tuillm.store.jsonl import read_rows
from tuillm.store.paths import data_dir, ensure_dir


def as_json(machine: Machine, model: str, tokens: int, speeds: list[Speed]) -> JsonObject:
    """Return one run of the benchmark as a JSON object."""
    return {
        "time": time.time(),
        "fingerprint": machine.fingerprint,
        "machine": asdict(machine),
        "model": model,
        "tokens": tokens,
        "decode": [asdict(each) for each in speeds],
    }


def keep(result: JsonObject) -> None:
    """Add a run to the history. Raises TuillmError when the disk refuses."""
    append_json(_file(), result)


def last_like(result: JsonObject) -> JsonObject | None:
    """Return the newest earlier run on the same machine with the same model, None without one."""
    rows = read_rows(_file())[0]
    same = (
        row
        for row in reversed(rows)
        if all(row.get(key) == result[key] for key in ("fingerprint", "model", "tokens"))
    )
    return next(same, None)


def _file() -> Path:
    return ensure_dir(data_dir()) / "bench.jsonl"
