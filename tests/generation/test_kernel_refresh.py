"""Kernels are measured in the background where that is due, in tuillm's own programs alone."""

import json
import os
import subprocess
import sys

import pytest
from commands import tuillm
from conditions import until

from tuillm import Sampler
from tuillm.generation import kernel_refresh
from tuillm.model.kernel_choice import Timing, expected_speed, remember, remembered


@pytest.fixture
def asked(monkeypatch):
    """What would be measured; a program of ours, on which nothing else goes on."""
    found = []
    monkeypatch.setattr(kernel_refresh, "is_ours", lambda: True)
    monkeypatch.setattr(kernel_refresh, "_slow_replies", 0)

    def measure(config, dtype):
        found.append(dtype)
        return True

    monkeypatch.setattr(kernel_refresh, "start_measuring", measure)
    return found


def test_a_shape_is_measured_once(asked, model, monkeypatch):
    """When a model of it is loaded for the first time; not in somebody else's program."""
    loaded = Sampler(model, dtype="float32").model
    assert asked == ["float32"]
    remember(loaded.config, "float32", [Timing(loaded.kernel, 1, 0.001, 1000)])
    Sampler(model, dtype="float32")
    assert asked == ["float32"]
    monkeypatch.setattr(kernel_refresh, "is_ours", lambda: False)
    Sampler(model, dtype="bfloat16")
    assert asked == ["float32"]


def test_slow_replies_are_measured_again(asked, model, monkeypatch):
    """Three in a row that are far slower than what was measured, alone on the machine."""
    monkeypatch.setattr(kernel_refresh, "LARGE_MODEL", 0)
    loaded = Sampler(model, dtype="float32").model
    asked.clear()
    remember(loaded.config, "float32", [Timing(loaded.kernel, 1, 1.0, 4 * 1_000_000)])
    expected = expected_speed(loaded.config, "float32")
    fast, slow = 100 / expected, 300 / expected  # seconds of 100 tokens

    def reply(seconds, alone=True, tokens=100):
        monkeypatch.setattr(kernel_refresh, "is_alone", lambda: alone)
        return kernel_refresh.decoded(loaded, tokens, seconds)

    assert not any(reply(seconds) for seconds in (slow, slow, fast, slow, slow))
    assert not reply(slow, alone=False) and not reply(slow, tokens=3)
    assert reply(slow) and asked == ["float32"]
    assert not reply(slow)


@pytest.mark.slow
def test_the_first_reply_of_a_machine_has_its_kernels_measured(home, model, monkeypatch):
    """`tuillm generate` returns at once; a process of its own measures, and the next one knows."""
    monkeypatch.delenv("TUILLM_MEASURE")
    done = tuillm("generate", model, "-n", 4, "--seed", 1, "--dtype", "float32", "--stats")
    assert done.returncode == 0 and "kernel=" in done.stderr
    until(lambda: (home / "cache" / "kernels.json").exists(), 120)
    code = (
        "from tuillm import Sampler; from tuillm.model.kernel_choice import remembered\n"
        f"model = Sampler({model!r}, dtype='float32').model\n"
        "known = remembered(model.config, 'float32')\n"
        "print(known.kernel == model.kernel, known.threads == model.threads)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["True", "True"], told.stderr


def test_a_change_of_kernel_is_told(home, model):
    """In words that `/show` and `--stats` print."""
    sampler = Sampler(model, dtype="float32")
    now = sampler.model.kernel
    other = next(name for name in ("plain", "in_out") if name != now)
    assert sampler.kernel == now
    remember(sampler.model.config, "float32", [Timing(other, 1, 0.002, 1000)])
    remember(sampler.model.config, "float32", [Timing(now, 1, 0.001, 1000)])
    known = remembered(sampler.model.config, "float32")
    assert known is not None and known.before == other
    assert sampler.kernel.startswith(f"{now} since ") and sampler.kernel.endswith(f"{other} before")


@pytest.mark.slow
@pytest.mark.everyday(1)
@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "int8"])
def test_the_same_seed_gives_the_same_text_in_two_starts(model, dtype):
    """With whatever kernel was chosen."""
    command = ("generate", model, "-n", 40, "--seed", 7, "--dtype", dtype)
    first, again = (tuillm(*command).stdout for _ in range(2))
    assert first == again and first.strip()


@pytest.mark.slow
def test_kernels_are_shown(home, model):
    """`tuillm bench --kernels` times all there are, names those that are not, and remembers."""
    done = tuillm("bench", model, "--kernels", "--dtype", "float32", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["kernels"]
    assert sum(row["chosen"] for row in rows) == 1
    assert all(row["error"] < 1e-3 for row in rows if row["seconds"])
    assert (home / "cache" / "kernels.json").exists()
    shown = tuillm("bench", model, "--kernels", "--dtype", "bfloat16", TUILLM_NATIVE="0")
    assert "native in bfloat16: not here, needs a C compiler" in shown.stdout
    assert "off by TUILLM_NATIVE=0" in shown.stdout and os.environ.get("TUILLM_NATIVE") != "0"
