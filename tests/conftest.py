"""What all tests share: an isolated data directory, a small book, tiny trained models.

Every test gets an empty TUILLM_HOME of its own. Models are trained once a session, in a home of
their own, and copied from there.
"""

import os
import shutil
import subprocess
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from known_line import LINE

if "PYTEST_XDIST_WORKER" in os.environ:  # every core has its own process of tests
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import tuillm  # noqa: F401  (before torch: it tells OpenMP's threads not to spin for long)

SHARED = Path(__file__).parents[1].parent / "shared" / "data"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Let all but the first cases of a test that is marked `everyday(N)` be slow ones."""
    seen = {}
    for item in items:
        if mark := item.get_closest_marker("everyday"):
            name = item.nodeid.partition("[")[0]
            seen[name] = seen.get(name, 0) + 1
            if seen[name] > mark.args[0]:
                item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def native_library(pytestconfig):
    """The native forward pass, compiled once for all runs of the tests; None without a compiler."""
    from tuillm.native.compile_process import compile_once
    from tuillm.native.compiled import library

    folder = str(pytestconfig.cache.mkdir("native"))
    os.environ.setdefault("TUILLM_NATIVE_FOLDER", folder)
    compile_once(wait=120)
    return library()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch, native_library):
    """An empty data directory; nothing of the person's own is seen or touched."""
    folder = tmp_path / "home"
    monkeypatch.setenv("TUILLM_HOME", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TUILLM_MEASURE", "0")  # no test's kernel depends on the time of day
    monkeypatch.setenv("TUILLM_NICE", "0")  # workers that tests wait for give way to nobody
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "no-tiktoken-cache"))
    yield folder
    threads: Any = sys.modules.get("tuillm.generation.thread_count")
    if threads and threads._most:  # a command that was called here has let it choose threads
        threads.torch.set_num_threads(threads._most)
        threads._most = None


@pytest.fixture(scope="session")
def book_text():
    """The first 30 KB of the bundled book."""
    from tuillm.store.paths import demo_book

    return demo_book().read_text(encoding="utf-8")[:30_000]


@pytest.fixture
def book(tmp_path, book_text):
    """A text file `book.txt`."""
    path = tmp_path / "book.txt"
    path.write_text(book_text, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def shared_data():
    """The folder of texts and vocabularies beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("the data folder ../shared/data is not there")
    return SHARED


@pytest.fixture
def gpt2_vocabulary(shared_data, tmp_path, monkeypatch):
    """Let tiktoken find GPT-2's vocabulary in a cache, under the names it gives its files."""
    import hashlib

    from tuillm.text.new_tokenizer import _GPT2_HOST

    cache = tmp_path / "tiktoken"
    cache.mkdir()
    for name, source in (("vocab.bpe", "merges.txt"), ("encoder.json", "vocab.json")):
        target = cache / hashlib.sha1((_GPT2_HOST + name).encode()).hexdigest()
        shutil.copyfile(shared_data / "gpt2-bpe" / source, target)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(cache))
    return cache


@pytest.fixture(scope="session")
def transformers():
    """The library whose model and sampling ours must equal; its import may warn, we may not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import transformers
        from transformers import (  # noqa: F401
            AutoModelForCausalLM,
            GPT2LMHeadModel,
            TopPLogitsWarper,
        )
    return transformers


@pytest.fixture(scope="session")
def trained_folders(tmp_path_factory, book_text):
    """Model folders by tokenizer kind: `nano` models of the small book, trained once."""
    from tuillm import Trainer

    place = tmp_path_factory.mktemp("trained")
    source = place / "book.txt"
    source.write_text(book_text, encoding="utf-8")
    folders = {}
    before = os.environ.get("TUILLM_HOME")
    os.environ["TUILLM_HOME"] = str(place / "home")
    try:
        for kind in ("char", "bpe"):
            model = Trainer(corpus=str(source), name=kind, preset="nano", tokenizer=kind).run()
            folders[kind] = model.path
    finally:
        if before is None:
            del os.environ["TUILLM_HOME"]
        else:
            os.environ["TUILLM_HOME"] = before
    return folders


@pytest.fixture
def model(home, trained_folders):
    """A model named `book` in the registry (bpe, nano)."""
    shutil.copytree(trained_folders["bpe"], home / "models" / "book")
    return "book"


@pytest.fixture(scope="session")
def line_folder(tmp_path_factory):
    """A model that knows one sentence by heart, in pieces longer than letters."""
    from tuillm import Trainer

    place = tmp_path_factory.mktemp("line")
    (place / "line.txt").write_text(LINE * 60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUILLM_HOME", str(place / "home"))
        return (
            Trainer(
                corpus=str(place / "line.txt"),
                name="line",
                preset="nano",
                tokenizer="bpe",
                vocab_size=320,
                val_fraction=0.0,
                max_steps=120,
            )
            .run()
            .path
        )


@pytest.fixture
def other_process():
    """A function that runs Python code in another process until the block ends.

    The code prints one line when it is ready, and the process ends when its stdin closes.
    """

    @contextmanager
    def run(code="print('ready')"):
        wait = "; import sys; sys.stdout.flush(); sys.stdin.read()"
        process = subprocess.Popen(
            [sys.executable, "-c", code.replace("\n", ";") + wait],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout.readline().strip(), "the other process did not start"
            yield process
        finally:
            process.communicate(timeout=20)

    return run


@pytest.fixture
def terminal():
    """A factory of pseudo-terminals, all closed at the end."""
    from terminal import Terminal

    opened = []

    def open_terminal(*arguments, **size):
        opened.append(Terminal(*map(str, arguments), **size))
        return opened[-1]

    yield open_terminal
    for each in opened:
        each.close()
