"""Training, tokenizers and processes: that what is timed is the work it is said to be."""

import sys
import time

import numpy as np
import pytest
import torch

from tuillm.bench.eager_loop import EagerLoop
from tuillm.bench.first_token_speed import first_token_programs
from tuillm.bench.process_time import seconds_to_end, seconds_to_first_byte
from tuillm.bench.startup_speed import startup_programs
from tuillm.bench.tokenizer_speed import (
    documents_of,
    encode_to_file,
    made_text,
    peer_encoders,
    tokenizer_programs,
)
from tuillm.bench.training_speed import training_programs
from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import TuillmError
from tuillm.text import Corpus, make_tokenizer

SHAPE = GPTConfig(32, 16, 2, 2, 32, 0.0, False, True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_loop_in_plain_pytorch_trains(dtype):
    """It learns a cycle of ids, with a model of as many parameters as ours has."""
    torch.manual_seed(0)
    tokens = np.tile(np.arange(32, dtype=np.uint16), 20)
    loop = EagerLoop(SHAPE, tokens, 8, dtype)
    assert sum(each.numel() for each in loop._model.parameters()) == SHAPE.parameter_count
    losses = [loop.step() for _ in range(150)]
    assert losses[0] > 3 and np.mean(losses[-5:]) < 1


def test_the_loop_sees_nothing_that_comes_after():
    """Its attention is causal."""
    model = EagerLoop(SHAPE, np.zeros(99, np.uint16), 2, torch.float32)._model.eval()
    with torch.inference_mode():
        one, other = model(torch.tensor([[1, 2, 3], [1, 2, 9]]))
    assert torch.allclose(one[:2], other[:2]) and not torch.allclose(one[2], other[2])


@pytest.mark.slow
def test_training_beside_the_loop():
    """Each shape takes real steps; the loop stands beside what has its optimizer."""
    found = [*training_programs(("float32",), 1, {"float32": 1e12}, True)]
    cases = {}
    for each in found:
        cases.setdefault(each.case, []).append(each.program)
    both = ["tuillm", "PyTorch loop"]
    assert cases == {
        "nanoGPT, float32": both,
        "tiny, adamw, float32": both,
        "tiny, muon, float32": ["tuillm"],
    }
    assert all(each.once() > 0 and each.limit > 0 for each in found)


def test_all_tokenizers_find_the_same_ids():
    """What is timed is the same work; ours adds the end of each document."""
    documents = documents_of(made_text(60_000, 1), 2_000)
    assert "".join(documents) == made_text(60_000, 1) != made_text(60_000, 2)
    tokenizer = make_tokenizer("bpe", documents, 400)
    counts = {name: encode(documents) for name, encode in peer_encoders(tokenizer, 2).items()}
    ours = encode_to_file(Corpus.of(documents), tokenizer) - len(documents)
    assert counts == {"tiktoken": ours, "tokenizers": ours}


def test_the_tokenizer_of_a_model_is_measured(trained_folders):
    """By its own name and size, else one that is learned from the bundled book."""
    named = [*tokenizer_programs(trained_folders["char"], 2, False, 5_000)]
    assert [each.program for each in named] == ["tuillm"] and named[0].case.startswith("char of ")
    assert named[0].once() > 0
    assert [each.case for each in tokenizer_programs(None, 2, True, 5_000)] == ["bpe of 1,024"] * 3


def test_processes_are_timed_and_failures_told():
    """To the first byte, or to the end; who prints nothing, or fails, is an error."""
    python = [sys.executable, "-c"]
    assert seconds_to_end([*python, "pass"]) > 0
    with pytest.raises(TuillmError, match="ended with 1: ValueError: oh"):
        seconds_to_end([*python, "raise ValueError('oh')"])
    told = seconds_to_first_byte([*python, "import os; print(os.environ['ONE'])"], {"ONE": "1"})
    assert told > 0
    for code in ("pass", "print(1); exit(2)"):
        with pytest.raises(TuillmError, match="ended with"):
            seconds_to_first_byte([*python, code], {})


def test_the_first_byte_is_not_the_last():
    """Of a process that goes on for a while."""
    code = "import time; print('x', flush=True); end = time.monotonic() + 0.3\n"
    code += "while time.monotonic() < end: pass"
    begin = time.monotonic()
    first = seconds_to_first_byte([sys.executable, "-c", code], {})
    assert first < time.monotonic() - begin - 0.25


def test_start_up_runs_the_program():
    """Each command is one that ends well."""
    found = [*startup_programs(2)]
    assert [each.case for each in found] == ["--version", "--help", "list", "-c pass"]
    assert all(each.once() > 0 for each in found)


@pytest.mark.slow
def test_the_first_token_of_a_real_model(trained_folders, tmp_path, transformers):
    """Both print one; nothing of it is in the person's own data directory."""
    found = [*first_token_programs(trained_folders["bpe"], 2, True, tmp_path / "scratch")]
    assert [each.program for each in found] == ["tuillm", "transformers"]
    assert all(each.once() > 0 for each in found)
