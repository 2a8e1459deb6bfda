"""`tuillm doctor`: what a report needs, without a person's paths, and what crashes have left."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tuillm.store.registry import list_models


def doctor(*arguments, home=None):
    environment = os.environ | ({"HOME": str(home)} if home else {})
    return subprocess.run(
        [sys.executable, "-m", "tuillm", "doctor", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )


def test_a_report_has_versions_machine_terminal_and_data(model, tmp_path):
    """And no path of the person's own."""
    done = doctor(home=tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    for words in ("versions", "torch", "machine", "memory", "terminal", "data", "models", "all is"):
        assert words in done.stdout, words
    assert str(tmp_path) not in done.stdout and "~" in done.stdout


def test_a_report_for_programs(model):
    """The same as JSON."""
    told = json.loads(doctor("--json").stdout)
    assert told["data"]["models"] == "1" and told["findings"] == []
    assert told["versions"]["python"].startswith("3.")


@pytest.fixture
def crashed(model, home):
    """A registry as crashes leave it: half a copy, a model moved aside, one without weights."""
    models = home / "models"
    (models / ".half.new.0a1b2c3d").mkdir()
    (models / ".other.old.0a1b2c3d").mkdir()
    (models / "book").rename(models / ".other.old.0a1b2c3d" / "folder")
    (models / "empty").mkdir()
    (models / "empty" / "config.json").write_text("{}")
    return models


def test_what_a_crash_has_left_is_found_and_mended(crashed):
    """What is whole comes back, what is half goes; what only a person can decide is told."""
    found = [each["what"] for each in json.loads(doctor("--json").stdout)["findings"]]
    assert any("half made" in each for each in found)
    assert any("'empty'" in each for each in found)
    done = doctor("--mend", "--yes")
    assert done.returncode == 0 and "mended: " in done.stderr, done.stderr
    assert sorted(path.name for path in Path(crashed).iterdir()) == ["empty", "other"]
    assert [model.name for model in list_models() if not model.problem] == ["other"]
    again = json.loads(doctor("--json").stdout)["findings"]
    assert [each["command"] for each in again] == ["tuillm rm empty"]
    assert "nothing to mend" in doctor("--mend").stderr


def test_nothing_is_asked_of_an_empty_home(home):
    """A first start is healthy, and makes no folder."""
    done = doctor()
    assert done.returncode == 0 and "all is well" in done.stdout
    assert not (home / "models").exists()
