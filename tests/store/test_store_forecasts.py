"""A forecast in a process of its own: read line by line, cancelled at once, never left behind."""

import os
import signal

import psutil
import pytest

from tuillm.config import build_train
from tuillm.errors import TuillmError
from tuillm.store.workers.forecast_process import Forecast, ForecastProcess

pytestmark = pytest.mark.slow


@pytest.fixture
def config(book, monkeypatch):
    """Settings whose text is named relative to the current directory."""
    monkeypatch.chdir(book.parent)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return build_train({"corpus": book.name, "preset": "nano", "sample_tokens": 4})


def test_forecasts_arrive_one_by_one(config):
    """First the text's beginning, all of it, the speed; then the process ends and is reaped."""
    process = ForecastProcess(config)
    first, text, speed = process
    assert (first.stage, text.stage, speed.stage) == ("preview", "text", "speed")
    assert first.preview == speed.preview and first.preview.document
    assert text.train_tokens == speed.train_tokens > 1000
    assert text.tokens_per_sec is None and speed.tokens_per_sec > 0
    assert not psutil.pid_exists(process.pid)
    process.cancel()


def test_a_cancelled_forecast_is_gone_at_once(config):
    """Cancelling kills and reaps; whoever reads on finds the end and no error."""
    process = ForecastProcess(config)
    forecasts = iter(process)
    next(forecasts)
    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    process.cancel()
    assert not psutil.pid_exists(process.pid)
    assert list(forecasts) == []
    process.cancel()


def test_a_forecast_nobody_reads_can_be_cancelled(config):
    """As a context manager it leaves nothing behind, read or not."""
    with ForecastProcess(config) as process:
        assert psutil.pid_exists(process.pid)
    assert not psutil.pid_exists(process.pid)


def test_errors_are_raised_here(config, tmp_path):
    """What is wrong with the text comes with its hint."""
    (tmp_path / "empty.txt").write_text("")
    wrong = config.model_copy(update={"corpus": ("empty.txt",)})
    process = ForecastProcess(wrong)
    with pytest.raises(TuillmError, match="empty.txt is empty") as caught:
        list(process)
    assert caught.value.hint and not psutil.pid_exists(process.pid)


def test_a_process_that_dies_is_an_error(config):
    """Killed from outside, for memory perhaps, it is not taken for finished."""
    process = ForecastProcess(config)
    forecasts = iter(process)
    next(forecasts)
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(TuillmError, match="broke off .signal 9."):
        list(forecasts)


def test_a_forecast_survives_json():
    """As JSON and back it is the same; keys of a later version are ignored."""
    one = Forecast(bytes=3, memory={"weights": 4}, notes=("a",), warnings=("b", "c"))
    assert Forecast.from_json(one.as_json() | {"later": 1}) == one


def test_a_process_that_cannot_be_started_is_one_line(config, tmp_path, monkeypatch):
    """As on a disk that has no folder for passing files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(TuillmError, match="the forecast cannot be started: No such file"):
        ForecastProcess(config)


def test_one_that_is_cancelled_before_anybody_reads_it_has_nothing_to_say(book):
    """A thread that comes to read it later ends at once."""
    process = ForecastProcess(build_train({"corpus": str(book), "preset": "nano"}))
    process.cancel()
    assert list(process) == [] and not process.running
