"""Nothing fails silently: each thread of the dashboard, and each process it reads, is made to fail.

Whatever is raised, and whatever stray line comes instead of an answer, is a message on the screen.
"""

import ast
from pathlib import Path

import pytest
from dashboard.pilot import opened, piloted, text_of, toasts, told, until
from dashboard.test_dash_forecast import panel

import tuillm
from tuillm.dashboard.screens.run import RunScreen
from tuillm.dashboard.screens.train import TrainScreen
from tuillm.dashboard.widgets.form import TrainForm
from tuillm.errors import TuillmError
from tuillm.store.workers import device_check, forecast_process

PACKAGE = Path(tuillm.__file__).parent
# who starts a process whose output it reads: all by the one reader, but for NVIDIA's tool
# those that read what other programs print
OF_OTHERS = {
    "bench/llama_cpp.py",
    "bench/process_time.py",
    "dashboard/export_actions.py",  # what our own command says to a person
    "dashboard/process_usage.py",
}
READERS = OF_OTHERS | {
    "store/workers/device_check.py",
    "store/workers/settings_process.py",
    "text/bpe_training.py",
    "text/sources/pdf_text.py",
    "text/statistics/repeat_process.py",
}


def fail(*given, **more):
    """What stands in for any work."""
    raise RuntimeError("broken on purpose")


@piloted(size=(120, 40))
async def test_the_look_at_the_disk(app, pilot, house, monkeypatch):
    """It fails every second and is said once; once it goes well again the next failure is news."""
    from tuillm.store.snapshot import RunsSnapshot

    looks = []

    def broken(self):
        looks.append(1)
        fail()

    with monkeypatch.context() as patch:
        patch.setattr(RunsSnapshot, "refresh", broken)
        await told(pilot, "RuntimeError: broken on purpose")
        assert "broken on purpose" in (house / "dashboard.log").read_text()
        seen = len(looks)
        await until(pilot, lambda: len(looks) > seen + 3)
        assert len(toasts(app)) == 1
    app.clear_notifications()
    await until(pilot, lambda: not app.repeated_errors._last.get("look"))
    monkeypatch.setattr(RunsSnapshot, "refresh", broken)
    await told(pilot, "broken on purpose")


@piloted(size=(120, 40))
async def test_what_a_person_asked_for(app, pilot, house):
    """An action that fails twice says so twice."""
    for _ in range(2):
        app.clear_notifications()
        app.run_in_thread(fail, "done")
        await told(pilot, "RuntimeError: broken on purpose")


@piloted(size=(120, 40))
async def test_what_follows_an_action(app, pilot, house):
    """So does what is done on the screen once it went well."""
    app.run_in_thread(lambda: None, "", then=fail)
    await told(pilot, "RuntimeError: broken on purpose")


@pytest.mark.parametrize("at", ["MetricsReader.next", "Follower._take"])
@piloted(size=(120, 40))
async def test_the_backlog_of_a_run(app, pilot, house, monkeypatch, at):
    """Reading it or drawing it: the run's view opens all the same, and says what is wrong."""
    monkeypatch.setattr(f"tuillm.dashboard.run_follower.{at}", fail)
    # the timer would end the dashboard: there it is a mistake of the event loop
    monkeypatch.setattr("tuillm.dashboard.run_follower.Follower._tick", lambda self: None)
    app.open_run("salt-road-3")
    await opened(pilot, RunScreen)
    await told(pilot, "RuntimeError: broken on purpose")


@piloted(size=(120, 40))
async def test_metrics_that_cannot_be_read(app, pilot, house):
    """What the disk says of them is on the screen, once; deleted runs say nothing."""
    metrics = house / "runs" / "salt-road-3" / "metrics.jsonl"
    metrics.unlink()
    metrics.mkdir()
    app.open_run("salt-road-3")
    await opened(pilot, RunScreen)
    await told(pilot, "metrics.jsonl cannot be read")


@piloted(size=(120, 40))
async def test_the_machine(app, pilot, house, monkeypatch):
    """What the run's process uses cannot be found out."""
    monkeypatch.setattr("tuillm.dashboard.screens.run.MachineWatch.look", fail)
    monkeypatch.setattr("tuillm.dashboard.screens.run.ACTIVE", ("finished",))
    app.open_run("salt-road-3")
    await opened(pilot, RunScreen)
    await told(pilot, "RuntimeError: broken on purpose")


NOISY = """
import sys
print("Loading shards: 100%", flush=True)
from tuillm.training.forecast.process import main
sys.exit(main())
"""


@pytest.fixture
def forecasting(tmp_path, monkeypatch):
    """A function that puts a program of ours in place of the forecast's."""

    def install(content):
        folder = tmp_path / "programs"
        folder.mkdir()
        (folder / "other_forecast.py").write_text(content)
        monkeypatch.setenv("PYTHONPATH", str(folder))
        monkeypatch.setattr(forecast_process, "_MODULE", "other_forecast")
        monkeypatch.setattr(device_check, "_MODULE", "other_forecast")

    return install


async def form_of(pilot, book):
    await pilot.press("2")
    form = (await opened(pilot, TrainScreen)).query_one(TrainForm)
    form["preset"].fill("nano")
    form["tokenizer"].fill("char")
    form["corpus"].fill(str(book))


def words_of(app):
    """What stands in the forecast's panel, in one line."""
    return " ".join(panel(app).split())


@pytest.mark.slow
@piloted(size=(120, 40))
async def test_a_forecast_that_prints_more_than_forecasts(app, pilot, book, forecasting):
    """The line is said, and the forecast stands."""
    forecasting(NOISY)
    await form_of(pilot, book)
    await told(pilot, "the forecast printed: Loading shards: 100%")
    await until(pilot, lambda: "tokens/s" in text_of(app))


@pytest.mark.slow
@piloted(size=(120, 40))
async def test_a_forecast_that_ends_with_a_traceback(app, pilot, book, forecasting):
    """Its last line is what the panel says."""
    forecasting("import no_such_library")
    await form_of(pilot, book)
    await until(pilot, lambda: "No module named 'no_such_library'" in words_of(app))


@pytest.mark.slow
@piloted(size=(120, 40))
async def test_a_forecast_whose_reader_fails(app, pilot, book, monkeypatch):
    """A mistake on this side is told in the panel as well."""
    monkeypatch.setattr(forecast_process.Forecast, "from_json", fail)
    await form_of(pilot, book)
    await until(pilot, lambda: "RuntimeError: broken on purpose" in words_of(app))


@pytest.mark.parametrize(
    "content, words",
    [
        ("import sys; print('no device here'); sys.exit(2)", "gave no answer: no device here"),
        ("import no_such_library", "gave no answer"),
    ],
)
def test_a_look_at_a_device_that_gives_no_answer(forecasting, content, words):
    """It is an error in one line; the device is not taken to be there."""
    forecasting(content)
    with pytest.raises(TuillmError, match=words):
        device_check.refuse_missing_device("cuda")


def _calls(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func).rpartition(".")[2], {each.arg for each in node.keywords}


def test_threads_are_started_by_one_module():
    """The dashboard has no other door to a thread."""
    for path in (PACKAGE / "dashboard").rglob("*.py"):
        if path.name != "background.py":
            assert not {"run_worker", "Thread", "work"} & {name for name, _ in _calls(path)}, path


def test_other_processes_are_read_by_one_module():
    """Whoever starts a process to read it goes through `json_lines`, or is declared here."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        if any(
            name in ("Popen", "run") and options & {"stdout", "capture_output"}
            for name, options in _calls(path)
        ):
            found.add(str(path.relative_to(PACKAGE)))
    assert found - {"store/workers/processes.py"} == READERS  # its stdout is the run's log
    for name in READERS - OF_OTHERS:
        assert "tuillm.store.workers.json_lines" in (PACKAGE / name).read_text()
