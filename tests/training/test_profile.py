"""--profile N: a table of where the time of a step goes, and a trace for perfetto."""

import json
from typing import Any

from tuillm import Trainer
from tuillm.store.run_folder import get_run

QUICK: dict[str, Any] = dict(preset="nano", tokenizer="char", sample_tokens=0, dtype="float32")


def test_steps_are_profiled(book, capsys):
    """Both files are in the run's folder, and the log says where."""
    Trainer(book, **QUICK, max_steps=12, profile=3).run()
    run = get_run("book-1")
    trace = json.loads((run.path / "trace.json").read_text())
    names = [event.get("name", "") for event in trace["traceEvents"]]
    assert sum(name.startswith("ProfilerStep#") for name in names) in (3, 6)
    assert any("aten::" in name for name in names)
    table = (run.path / "profile.txt").read_text()
    assert table.startswith("3 steps\n") and "aten::" in table
    assert "ui.perfetto.dev" in capsys.readouterr().err


def test_a_run_that_is_shorter_has_what_it_has(book):
    """And one that is not profiled has neither file."""
    Trainer(book, **QUICK, max_steps=5, profile=50).run(quiet=True)
    assert (get_run("book-1").path / "profile.txt").exists()
    Trainer(book, **QUICK, max_steps=5, name="plain").run(quiet=True)
    assert not (get_run("plain-1").path / "profile.txt").exists()
