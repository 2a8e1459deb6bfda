"""Processes that we start run our code alone, whatever lies in the folder they are started from."""

import os
import subprocess
import sys

import pytest

from tuillm.store.workers.processes import module_command, module_environment

MARK = "import os; open(os.environ['RAN_MARK'], 'a').write(__name__ + '\\n')\n"
# what ours and theirs import at some time, from the standard library and beside it
NAMES = [
    "random",
    "psutil",
    "numpy",
    "click",
    "pydantic",
    "platformdirs",
    "filelock",
    "secrets",
    "json",
    "tempfile",
    "signal",
    "requests",
    "rich",
    "tokenizers",
    "tiktoken",
    "safetensors",
    "torch",
    "textual",
    "prompt_toolkit",
    "sitecustomize",
    "usercustomize",
    "typing",
    "re",
    "tuillm",
]


@pytest.fixture
def hostile(tmp_path, monkeypatch, book):
    """A folder with a book and modules that leave a mark when they are run; `.ran` reads it."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    (folder / "book.txt").write_text(book.read_text(encoding="utf-8"), encoding="utf-8")
    for name in NAMES:
        (folder / f"{name}.py").write_text(MARK)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RAN_MARK", str(tmp_path / "ran"))
    return lambda: (tmp_path / "ran").read_text() if (tmp_path / "ran").exists() else ""


@pytest.mark.parametrize("path", ["", os.pathsep, ".", "./"])
def test_modules_of_the_current_folder_are_not_run(hostile, monkeypatch, path):
    """Neither by -m nor by an entry of PYTHONPATH that stands for the current folder."""
    monkeypatch.setenv("PYTHONPATH", path)
    command = module_command("tuillm", "--version")
    done = subprocess.run(command, env=module_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "tuillm, version" in done.stdout
    assert hostile() == ""


@pytest.mark.slow
def test_training_and_its_forecast_run_no_code_beside_the_book(hostile):
    """A run's worker and the forecast's process, started from the book's folder."""
    from tuillm.config import build_train
    from tuillm.store.run_status import ACTIVE
    from tuillm.store.workers.forecast_process import ForecastProcess
    from tuillm.store.workers.launch import start_run

    config = build_train({"corpus": "book.txt", "preset": "nano", "max_steps": 2})
    with ForecastProcess(config) as process:
        assert [forecast.stage for forecast in process]
    run = start_run(config)
    while run.status().state in ACTIVE:
        pass
    assert run.status().state == "finished", run.log.read_text()
    assert hostile() == ""


def test_python_dash_m_runs_no_code_of_the_current_folder(hostile):
    """`python -m tuillm` typed in a hostile folder imports its own modules; -m itself is Python's.

    Without a `tuillm.py` there, which is what the person would then have asked for.
    """
    os.remove("tuillm.py")
    done = subprocess.run([sys.executable, "-m", "tuillm", "list"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert hostile() == ""


def test_a_source_tree_that_is_not_installed_still_finds_itself(tmp_path, monkeypatch):
    """-P takes the current folder away, so that of tuillm is named where it is no installed one."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    import tuillm

    root = os.path.dirname(os.path.dirname(tuillm.__file__))
    entries = module_environment()["PYTHONPATH"].split(os.pathsep)
    done = subprocess.run(
        module_command("tuillm", "--version"),
        env=module_environment(),
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0
    assert root in entries or "site-packages" in root
