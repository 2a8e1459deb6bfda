"""Logs a run as CSV files in its folder: `csv/metrics.csv`, `samples.csv` and `settings.csv`.

A step that a resumed run takes again replaces the former one. Knows CSV; needs nothing installed.
"""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from tuillm.formats.json_text import JsonObject
from tuillm.loggers.logger import LoggedRun
from tuillm.store.files import write_text
from tuillm.store.jsonl import FIGURES, MetricsRow, Sample
from tuillm.store.paths import ensure_dir

_COLUMNS = ("step", *FIGURES, "micro_batch", "loss_scale")


class CsvLogger:
    """Keeps the CSV files of a run."""

    def __init__(self, run: LoggedRun, after: int) -> None:
        """Go on after step `after`, -1 for the beginning. Raises TuillmError where it cannot."""
        folder = ensure_dir(run.folder / "csv")
        self.where, self.hint = str(folder), ""
        self._metrics, self._samples = folder / "metrics.csv", folder / "samples.csv"
        forecast = [(f"forecast.{key}", value) for key, value in _flat(run.forecast)]
        settings = [("setting", "value"), *run.settings.items(), *forecast]
        write_text(folder / "settings.csv", _lines(settings))
        self._open: dict[Path, TextIO] = {}
        for path, head in ((self._metrics, _COLUMNS), (self._samples, ("step", "text"))):
            self._keep(path, head, after)

    def step(self, row: MetricsRow) -> None:
        """Add a line."""
        self._add(self._metrics, [row.get(column, "") for column in _COLUMNS])

    def sample(self, sample: Sample) -> None:
        """Add a line."""
        self._add(self._samples, [sample.step, sample.text])

    def rewind(self, step: int) -> None:
        """Drop the lines after `step`."""
        for path, head in ((self._metrics, _COLUMNS), (self._samples, ("step", "text"))):
            self._keep(path, head, step)

    def flush(self) -> None:
        """Write what is buffered."""
        for file in self._open.values():
            file.flush()

    def finish(self, state: str) -> None:
        """Close the files."""
        for file in self._open.values():
            file.close()

    def _add(self, path: Path, values: list[object]) -> None:
        csv.writer(self._open[path]).writerow(values)

    def _keep(self, path: Path, head: tuple[str, ...], step: int) -> None:
        """Begin a file with its lines up to a step, and leave it open at its end."""
        if path in self._open:
            self._open.pop(path).close()
        kept: list[list[str]] = []
        if path.exists() and step >= 0:
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.reader(file))[1:]
            kept = [row for row in rows if row and row[0].isdigit() and int(row[0]) <= step]
        write_text(path, _lines([head, *kept]))
        self._open[path] = path.open("a", encoding="utf-8", newline="")


def _lines(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _flat(values: JsonObject) -> list[tuple[str, object]]:
    return [(key, value) for key, value in values.items() if isinstance(value, int | float | str)]
