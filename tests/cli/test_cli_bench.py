"""tuillm bench: the machine, and programs that decode in turns, beside the memory's limit."""

import json

import pytest
import torch
from commands import tuillm
from tuillm.bench.programs import programs_for, random_folder

from tuillm.bench.decode_speed import Program, measure_in_turns
from tuillm.bench.machine_speed import measure_machine
from tuillm.config.gpt_config import GPTConfig

SMALL = GPTConfig(300, 64, 2, 2, 32, 0.0, True, True)


def test_they_take_turns_and_are_compared_round_by_round():
    """A median of ratios; the limit is what the bandwidth allows for the bytes of a token."""
    turns = []

    def after(name, seconds):
        def decode(tokens):
            turns.append(name)
            return seconds.pop(0)

        return decode

    ours = Program("tuillm", "float32", 1, 1000, after("ours", [0.1, 0.2, 0.4]))
    theirs = Program("other", "float32", 1, 1000, after("theirs", [0.2, 0.4, 0.2]))
    first, second = measure_in_turns([ours, theirs], 8, 3, {1: 100_000.0})
    assert turns == ["ours", "theirs"] * 3
    assert (first.tokens_per_sec, first.of_limit, first.against) == pytest.approx((5, 0.05, None))
    assert second.against == pytest.approx(0.5) and first.slow < 5 < first.fast


def test_threads_are_as_before_in_the_end():
    """Whoever measures with one thread gives the others back, also after an error."""
    most = torch.get_num_threads()

    def fail(tokens):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        measure_in_turns([Program("tuillm", "float32", 1, 1, fail)], 1, 1, {1: 1.0})
    assert torch.get_num_threads() == most
    machine = measure_machine()
    assert torch.get_num_threads() == most and machine.threads == most
    assert set(machine.bandwidth) == {1, most} and min(machine.bandwidth.values()) > 1e8
    assert min(machine.matmul.values()) > 1e8


def test_the_bytes_of_a_token_are_those_of_the_weights(tmp_path):
    """All but positions, of which a row is read; by the size of an item."""
    found = list(programs_for(random_folder(tmp_path, SMALL), ("float32", "bfloat16"), (1,), False))
    weights = (tmp_path / "model.safetensors").stat().st_size
    assert [each.dtype for each in found] == ["float32", "bfloat16"]
    assert found[0].bytes_a_token == 2 * found[1].bytes_a_token
    assert weights - 64 * 32 * 4 - 8000 < found[0].bytes_a_token < weights - 64 * 32 * 4
    assert all(each.seconds_a_token(2) > 0 for each in found)


@pytest.mark.slow
def test_by_the_command_line(home):
    """JSON has all of it; a second run shows what the first one came to."""
    words = ["--tokens", "2", "--rounds", "2", "--dtype", "float32,bfloat16"]
    first = tuillm("bench", *words, "--json")
    assert first.returncode == 0, first.stderr
    told = json.loads(first.stdout)
    programs = [(each["program"], each["dtype"]) for each in told["decode"]]
    kinds = ["float32", "bfloat16"]
    assert programs == [(name, kind) for name in ("tuillm", "transformers") for kind in kinds]
    assert (
        told["machine"]["bandwidth"] and len((home / "bench.jsonl").read_text().splitlines()) == 1
    )
    second = tuillm("bench", *words)
    assert "before: " in second.stdout and "of limit" in second.stdout


def test_a_context_that_is_too_short_is_refused(model):
    """Prompt and reply have to fit: who slides its window does other work than who cannot."""
    done = tuillm("bench", model, "--tokens", "900", "--no-peers")
    assert done.returncode != 0 and "context is too short" in done.stderr


def test_what_there_is_none_of_is_refused():
    """In a line that says what there is."""
    for words, said in (
        (["--dtype", "int4"], "float32, bfloat16, int8"),
        (["--threads", "0"], "allowed: 1 to"),
        (["--rounds", "0"], "1 <= whole number"),
        (["nobody"], "no model named 'nobody'"),
    ):
        done = tuillm("bench", *words)
        assert done.returncode != 0 and said in done.stderr and "Traceback" not in done.stderr
