"""A hub of our own with tiny models in the real layout, and pulls in processes of their own.

HF_ENDPOINT is read when `huggingface_hub` is imported, so everything runs as a person runs it.
"""

import subprocess
import sys
from types import SimpleNamespace

import pytest
from standin import Hub, gpt2_files


def make_files(folder, book_text, **shape):
    """The files of a random GPT-2 with a BPE vocabulary of its own."""
    import torch

    from tuillm.config.gpt_config import GPTConfig
    from tuillm.model import GPT
    from tuillm.model.hf_folder import write_model
    from tuillm.text.new_tokenizer import make_tokenizer

    def write(place):
        tokenizer = make_tokenizer("bpe", [book_text], 300)
        model = GPT(GPTConfig(vocab_size=tokenizer.n_vocab, block_size=64, n_head=4, **shape))
        model.init_weights("random", torch.Generator().manual_seed(1))
        write_model(model, place, tokenizer.eot)
        tokenizer.save(place, 64)

    return gpt2_files(write, folder)


@pytest.fixture(scope="session")
def tiny_files(tmp_path_factory, book_text):
    """A model of half a megabyte."""
    return make_files(tmp_path_factory.mktemp("tiny"), book_text, n_layer=2, n_embd=64)


@pytest.fixture(scope="session")
def larger_files(tmp_path_factory, book_text):
    """A model of ten megabytes."""
    return make_files(tmp_path_factory.mktemp("larger"), book_text, n_layer=3, n_embd=256)


@pytest.fixture
def hub(tiny_files):
    """A hub with the tiny model as `openai-community/gpt2`."""
    with Hub() as hub:
        hub.add("openai-community/gpt2", tiny_files)
        yield hub


@pytest.fixture
def start(hub, tmp_path):
    """A function that starts `tuillm ...` in a process that knows our hub, or other Python."""
    started = []

    def run(*arguments, python=(), **environment):
        command = [sys.executable, *(python or ("-m", "tuillm")), *arguments]
        started.append(
            subprocess.Popen(
                command,
                env=hub.environment(tmp_path / "hf", **environment),
                text=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def tuillm(start):
    """A function that runs `tuillm ...` to its end: `code`, `out` and `err`."""

    def run(*arguments, **options):
        process = start(*arguments, **options)
        out, err = process.communicate(timeout=60)
        return SimpleNamespace(code=process.returncode, out=out, err=err)

    return run
