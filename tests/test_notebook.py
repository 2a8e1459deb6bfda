"""docs/tuillm.ipynb runs from its first cell to its last, and is kept without what it printed."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "tuillm.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
# runs a notebook in a kernel of this Python; prints each cell's output as JSON
_RUN = """
import json, sys, warnings
warnings.simplefilter("ignore")
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
nbformat.validate(notebook)
if sys.argv[2:]:
    notebook.cells.insert(0, nbformat.v4.new_code_cell(sys.argv[2]))
NotebookClient(notebook, timeout=500, kernel_name="python3").execute()
json.dump({cell["id"]: cell.get("outputs") for cell in notebook.cells}, sys.stdout)
"""


@pytest.fixture
def run(tmp_path, home, monkeypatch):
    """A function that runs the notebook, after some `first` code, and returns outputs by cell."""
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))

    def begin(*first):
        command = [sys.executable, "-c", _RUN, str(NOTEBOOK), *first]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout)

    return begin


def _printed(outputs):
    return "".join(each["text"] for each in outputs if each.get("name") == "stdout")


@pytest.mark.slow
def test_the_notebook_runs(run, home):
    """Explores, trains, draws the curve, writes and answers, as its words say."""
    outputs = run()
    assert "79,853 characters" in _printed(outputs["explore"])
    assert "bits per byte" in _printed(outputs["train"])
    assert [each for each in outputs["curve"] if "image/png" in each.get("data", {})]
    assert _printed(outputs["sample"])
    assert _printed(outputs["qa"]).splitlines()[0] == "What colour is grass? It is green."
    assert sorted(path.name for path in (home / "models").iterdir()) == ["colours", "salt-road"]


@pytest.mark.slow
def test_without_matplotlib_the_notebook_says_what_to_do(run):
    """The curve is left out, and the rest runs."""
    outputs = run("import sys\nsys.modules['matplotlib'] = None")
    assert "%pip install matplotlib" in _printed(outputs["curve"])
    assert "It is green." in _printed(outputs["qa"])


def test_the_notebook_is_kept_without_output():
    """Nor with the numbers of its last run."""
    code = [cell for cell in CELLS if cell["cell_type"] == "code"]
    assert code and not any(cell["outputs"] or cell["execution_count"] for cell in code)


def test_links_of_the_notebook_lead_somewhere():
    """They are relative to docs/, or addresses."""
    words = "".join("".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "markdown")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", words) if "://" not in link]
    assert links and all((NOTEBOOK.parent / link).is_file() for link in links)
    assert "](docs/tuillm.ipynb)" in (ROOT / "README.md").read_text(encoding="utf-8")
