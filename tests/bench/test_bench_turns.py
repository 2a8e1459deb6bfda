"""Programs take turns; what they came to is kept, and found again by the next run."""

import json

import pytest
import torch

from tuillm.bench.bench_history import keep, kept_runs, values_before
from tuillm.bench.bench_record import Measurement, measurements_of
from tuillm.bench.machine_speed import measure_machine
from tuillm.bench.turns import Program, take_turns
from tuillm.errors import TuillmError


def program(name, values, turns, unit="tokens/s", limit=None):
    """A program that comes to the next of some values each time, and notes its turn."""

    def once():
        turns.append(name)
        return values.pop(0)

    return Program("decode", name, "float32", 1, unit, once, limit)


def test_they_take_turns_and_are_compared_round_by_round():
    """A median of ratios, not a ratio of medians; the share is of what the limit allows."""
    turns = []
    ours = program("tuillm", [10.0, 5.0, 2.5], turns, limit=100.0)
    theirs = program("other", [5.0, 2.5, 5.0], turns)
    first, second = take_turns([ours, theirs], 3)
    assert turns == ["tuillm", "other"] * 3
    assert (first.value, first.of_limit, first.against) == pytest.approx((5, 0.05, None))
    assert first.limit == pytest.approx(100)
    assert (second.value, second.against, second.of_limit) == pytest.approx((5, 0.5, None))
    assert first.slow < 5 < first.fast


def test_of_times_less_is_faster():
    """A program that takes twice as long is half as fast, and its slow tenth is the longest."""
    ours = program("tuillm", [1.0, 1.0, 1.0], [], "s")
    theirs = program("other", [2.0, 1.9, 4.0], [], "s")
    _, second = take_turns([ours, theirs], 3)
    assert second.against == pytest.approx(0.5)
    assert second.slow > second.value > second.fast


def test_without_a_number_there_are_a_few_rounds():
    """Up to seven of what is quick."""
    turns = []
    take_turns([program("tuillm", [1.0] * 9, turns)], None)
    assert len(turns) == 7


def test_threads_are_as_before_in_the_end():
    """Whoever measures with one thread gives the others back, also after an error."""
    most = torch.get_num_threads()

    def fail():
        assert torch.get_num_threads() == 1
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        take_turns([Program("decode", "tuillm", "float32", 1, "tokens/s", fail)], 1)
    assert torch.get_num_threads() == most


def test_another_program_that_fails_is_told_of():
    """In a line that says which one it was, and how to go without it."""

    def fail():
        raise RuntimeError("out of\nluck")

    theirs = Program("prefill", "other", "float32", 1, "tokens/s", fail)
    with pytest.raises(TuillmError, match="other failed in prefill, float32: RuntimeError: out of"):
        take_turns([theirs], 1)


def test_the_machine_has_limits():
    """Of memory by threads, of matrices by precision."""
    most = torch.get_num_threads()
    machine = measure_machine()
    assert torch.get_num_threads() == most and machine.threads == most
    assert set(machine.bandwidth) == {1, most} and min(machine.bandwidth.values()) > 1e8
    assert min(machine.matmul.values()) > 1e8


def row(value, when, case="float32", **changes):
    """A line of the history with one result."""
    result = dict(
        measure="decode",
        program="tuillm",
        case=case,
        threads=2,
        unit="tokens/s",
        value=value,
        slow=1,
        fast=3,
        of_limit=0.5,
        against=None,
    )
    return dict(time=when, fingerprint="a machine", model="mine", tokens=32) | {
        "results": [result | changes]
    }


def test_the_newest_value_of_each_is_what_was_before():
    """Runs measure different things: each has its own last time, on the same machine."""
    for each in (
        row(1.0, 100.0),
        row(2.0, 200.0),
        row(3.0, 300.0, "int8"),
        row(9.0, 400.0) | {"fingerprint": "another"},
        row(9.0, 400.0) | {"tokens": 64},
    ):
        keep(each)
    now = row(0.0, 500.0)
    now["results"] += row(0.0, 500.0, "int8")["results"]
    found, newest = values_before(now)
    assert {key[2]: value for key, value in found.items()} == {"float32": 2.0, "int8": 3.0}
    assert newest == 300.0
    assert values_before(row(0.0, 1.0, program="another")) == ({}, None)


def test_damaged_lines_of_the_history_are_passed_over(home):
    """Whatever stands in the file, what is whole is read."""
    damaged = [
        "no JSON",
        "[]",
        json.dumps(row("fast", 1.0)),
        json.dumps(row(float("inf"), 1.0)),
        json.dumps(row(1.0, "yesterday")),
        json.dumps({"time": 1.0, "results": [7, None, {}]}),
    ]
    keep(row(5.0, 7.0))
    with open(home / "bench.jsonl", "a", encoding="utf-8") as file:
        file.write("\n".join(damaged) + "\n")
    (run,) = kept_runs()
    assert (run.time, run.model) == (7.0, "mine")
    assert run.results == tuple(measurements_of(row(5.0, 7.0)))
    assert isinstance(run.results[0], Measurement) and run.results[0].limit == 10.0
