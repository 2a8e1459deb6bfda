"""What was measured before on this machine: a line of JSON a run, in the data directory.

Loads no torch; knows records, and measures nothing.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tuillm.bench.bench_record import Key, Measurement, is_number, measurements_of
from tuillm.formats.json_text import JsonObject
from tuillm.store.files import append_json
from tuillm.store.jsonl import read_rows
from tuillm.store.paths import data_dir, ensure_dir

if TYPE_CHECKING:
    from tuillm.bench.kernel_table import KernelRow
    from tuillm.bench.machine_speed import Machine
    from tuillm.bench.precision_quality import Quality


@dataclass(frozen=True)
class BenchRun:
    """One run of the benchmark as it was kept; `time` is in seconds since 1970."""

    time: float
    fingerprint: str
    model: str
    results: tuple[Measurement, ...]


def as_json(
    machine: "Machine",
    model: str,
    tokens: int,
    results: Sequence[Measurement],
    quality: "Sequence[Quality]" = (),
    kernels: "Sequence[KernelRow]" = (),
) -> JsonObject:
    """Return one run of the benchmark as a JSON object."""
    return {
        "time": time.time(),
        "fingerprint": machine.fingerprint,
        "machine": asdict(machine),
        "model": model,
        "tokens": tokens,
        "results": [asdict(each) for each in results],
        "quality": [asdict(each) for each in quality],
        "kernels": [asdict(each) for each in kernels],
    }


def keep(result: JsonObject) -> None:
    """Add a run to the history. Raises TuillmError when the disk refuses."""
    append_json(_file(), result)


def values_before(result: JsonObject) -> tuple[dict[Key, float], float | None]:
    """Return what each measurement came to the last time, and the newest such time.

    Counted are runs on the same machine with the same model and as many tokens.
    """
    found: dict[Key, float] = {}
    newest = None
    wanted = {each.key for each in measurements_of(result)}
    for row in reversed(read_rows(_file())[0]):
        if any(row.get(key) != result[key] for key in ("fingerprint", "model", "tokens")):
            continue
        for each in measurements_of(row):
            if each.key in wanted and each.key not in found:
                found[each.key] = each.value
                newest = newest or (row["time"] if is_number(row.get("time")) else None)
    return found, newest


def kept_runs() -> list[BenchRun]:
    """Return all kept runs with results, the oldest first; damaged lines are passed over."""
    runs = []
    for row in read_rows(data_dir() / _NAME)[0]:
        results = measurements_of(row)
        if results and is_number(row.get("time")):
            machine, model = str(row.get("fingerprint", "")), str(row.get("model", ""))
            runs.append(BenchRun(float(row["time"]), machine, model, tuple(results)))
    return runs


_NAME = "bench.jsonl"


def _file() -> Path:
    return ensure_dir(data_dir()) / _NAME
