"""What an address holds of secrets is used to fetch it, and neither shown nor stored.

A loopback server that wants a password and a signature; real commands and workers.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tuillm.config import build_train
from tuillm.errors import TuillmError
from tuillm.store.entry_names import name_from
from tuillm.store.hub.api import check_settings
from tuillm.store.paths import cache_dir
from tuillm.store.process_id import this_process
from tuillm.store.registry import get_model
from tuillm.store.run_folder import create_run, list_runs, model_name
from tuillm.store.run_status import ACTIVE
from tuillm.store.workers import processes
from tuillm.store.workers.launch import resume_run, start_run
from tuillm.text.corpus import read_corpus
from tuillm.text.training_text import corpus_of
from tuillm.text.web_cache import cached_path, charset_of, download
from tuillm.urls import hide_secrets, public_url, stored_url

SECRETS = ("hunter22", "S1GNATURE", "fr4gment")
PAGE = b"<!DOCTYPE html><html><body>Please log in.</body></html>"


class Handler(BaseHTTPRequestHandler):
    """Gives the book to who knows the password and the signature, a page to others."""

    server: "Server"

    def do_GET(self):
        self.server.asked.append(self.path)
        name, _, query = self.path.rpartition("/")[2].partition("?")
        wanted = "Basic " + base64.b64encode(b"ann:hunter22").decode()
        body, kind = self.server.book.encode(), "text/plain"
        if name == "portal.txt" and len(self.server.asked) == 1:
            body, kind = PAGE, "text/html"
        elif name == "cyrillic.txt":
            body, kind = "Война и мир\n".encode("cp1251"), "text/plain; charset=windows-1251"
        elif name == "error.json":
            body, kind = b'{"error": "expired"}', "application/json"
        elif name == "bad.txt":
            body = b"\xf0\xe1 \xd0\n"
        elif name == "missing.txt":
            return self.send_error(404)
        elif query != "sig=S1GNATURE" or self.headers.get("Authorization") != wanted:
            return self.send_error(403)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    """Knows what it was `asked` for; `url` and `public` tell the address of a file."""

    asked: list[str]
    book: str
    url: Callable[[str], str]
    public: Callable[[str], str]


@pytest.fixture
def server(monkeypatch, book_text):
    """The server; `url(name)` is the whole address of a file, secrets and all."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server(("127.0.0.1", 0), Handler)
    server.asked, server.book = [], book_text
    host = f"127.0.0.1:{server.server_address[1]}"
    server.url = lambda name: f"http://ann:hunter22@{host}/{name}?sig=S1GNATURE#fr4gment"
    server.public = lambda name: f"http://{host}/{name}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.fixture(autouse=True)
def no_worker_left():
    """Workers are gone when a test is over."""
    yield
    for worker in processes._started:
        try:
            worker.wait(30)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def tuillm(*arguments):
    """Run a command; return its exit code and all that it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "tuillm", *map(str, arguments)],
        text=True,
        capture_output=True,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


def secrets_in(text):
    return [secret for secret in SECRETS if secret in text]


def secrets_on_disk(*folders):
    """The files that hold a secret, in their contents or their names."""
    files = [path for folder in folders for path in Path(folder).rglob("*")]
    return [
        path
        for path in files
        if secrets_in(str(path))
        or (path.is_file() and secrets_in(path.read_bytes().decode("latin-1")))
    ]


def wait_for_end(run):
    deadline = time.monotonic() + 90
    while run.status().state in ACTIVE:
        assert time.monotonic() < deadline, run.status()
        time.sleep(0.02)
    return run.status()


def small(source, **settings):
    return build_train(
        {
            "corpus": source,
            "preset": "nano",
            "tokenizer": "char",
            "max_steps": 2,
            "sample_tokens": 4,
        }
        | settings
    )


@pytest.mark.slow
def test_a_whole_life_leaves_no_secret_anywhere(server, home, tmp_path):
    """Forecast, train, show, list, export: nothing printed and nothing stored holds a secret."""
    url, quick = server.url("book.txt"), ["--preset", "nano", "--max-steps", "2"]
    code, said = tuillm("train", url, *quick, "--forecast")
    assert code == 0 and not secrets_in(said) and server.public("book.txt") in said
    code, said = tuillm("train", url, *quick)
    assert code == 0 and not secrets_in(said), said
    assert get_model("book").card.corpus == "book.txt"
    for command in (
        ["train", url, *quick, "--name", "again", "--forecast"],
        ["show", "book"],
        ["show", "book", "--json"],
        ["list"],
        ["runs", "show", "book-1"],
        ["runs", "show", "book-1", "--json"],
        ["runs", "list", "--json"],
        ["export", "book", tmp_path / "out"],
        ["eval", "book", url],
    ):
        code, said = tuillm(*command)
        assert code == 0 and not secrets_in(said), (command, said)
    assert server.public("book.txt") in tuillm("runs", "show", "book-1")[1]
    assert secrets_on_disk(home, tmp_path / "out") == []
    assert len(server.asked) == 1


@pytest.mark.everyday(2)
@pytest.mark.parametrize("name", ["missing.txt", "portal.txt", "error.json", "bad.txt"])
def test_no_failure_tells_a_secret(server, home, name):
    """Whatever goes wrong is one line with the public address, and nothing is left in the cache."""
    code, said = tuillm("train", server.url(name), "--preset", "nano")
    assert code == 1 and said.count("\n") == 1, said
    assert not secrets_in(said) and public_url(server.url(name)) in said
    assert secrets_on_disk(home) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://ann:hunter22@127.0.0.1:1/book.txt?sig=S1GNATURE",
        "http://ann:hunter22@[::1/book.txt?sig=S1GNATURE#fr4gment",
        "http://ann:hunter22@h\u2100st/book.txt?sig=S1GNATURE",
        "http://ann:hunter22@127.0.0.1:port/?sig=S1GNATURE",
        "http://ann:hun'ter22@a..b/book.txt?sig=S1GNATURE",
    ],
)
def test_no_impossible_address_tells_a_secret(url, monkeypatch):
    """Libraries quote the address in their errors, whole or in parts; ours are without."""
    monkeypatch.setenv("NO_PROXY", "*")
    with pytest.raises(TuillmError, match="cannot fetch") as caught:
        read_corpus((url,))
    said = str(caught.value)
    assert not secrets_in(said) and "ter22" not in said and "\n" not in said


@pytest.mark.everyday(1)
@pytest.mark.parametrize("verb", ["import", "pull", "chat"])
def test_other_verbs_that_get_an_address_do_not_repeat_it(verb):
    """An address where a name belongs is refused without its secrets."""
    code, said = tuillm(verb, "http://ann:hun'ter22@h/book.txt?sig='S1GNATURE")
    assert code and not secrets_in(said) and "ter22" not in said, said


@pytest.mark.slow
def test_a_worker_fetches_with_the_secrets_that_it_is_not_to_write_down(server, home):
    """Started without a check before, as by the dashboard, it gets them and leaves no trace."""
    run = start_run(small(server.url("book.txt"), name="theirs"))
    assert wait_for_end(run).state == "finished", run.log.read_text()
    assert run.config.corpus == (stored_url(server.url("book.txt")),)
    assert secrets_on_disk(home) == []
    assert corpus_of(get_model("theirs")).corpus.text == server.book
    shutil.rmtree(cache_dir() / "downloads")
    with pytest.raises(TuillmError, match="cannot be read: the copy of http://127.* no longer in"):
        corpus_of(get_model("theirs"))


@pytest.mark.slow
def test_a_run_goes_on_from_the_cache_and_says_when_it_was_emptied(server, home):
    """Nothing is asked for again; without the copy, the words say what is missing."""
    download(server.url("book.txt"))
    run = create_run(small(server.url("book.txt")), this_process())
    run.write_status(run.status().model_copy(update={"state": "failed"}))
    resume_run(run)
    assert wait_for_end(run).state == "finished", run.log.read_text()
    assert len(server.asked) == 1
    shutil.rmtree(cache_dir() / "downloads")
    resume_run(run, extend=1)
    status = wait_for_end(run)
    assert status.state == "failed" and "no longer in the cache" in status.error
    code, said = tuillm("runs", "resume", run.id)
    assert code == 1 and "no longer in the cache" in said and "--corpus" in said
    code, said = tuillm("runs", "resume", run.id, "--corpus", server.url("book.txt"))
    assert code == 0 and not secrets_in(said), said
    assert wait_for_end(run).state == "finished", run.log.read_text()
    assert secrets_on_disk(home) == []


def test_names_and_stored_forms(server):
    """The name is that of the file; the stored form finds the cached file of the whole address."""
    url = server.url("My%20Book.txt")
    assert name_from(url) == model_name(small(url)) == "My-Book"
    assert not secrets_in(name_from("https://ann:hunter22@host/"))
    kept = stored_url(url)
    assert stored_url(kept) == kept and not secrets_in(kept)
    assert cached_path(kept) == cached_path(url)
    assert public_url(kept) == server.public("My%20Book.txt")
    assert stored_url("http://h/book.txt") == "http://h/book.txt"


def test_older_runs_are_shown_without_what_they_stored(server, home):
    """A run.json of an earlier version holds the address; it goes on working and is not shown."""
    run = create_run(small("http://h/book.txt"), this_process())
    stored = json.loads((run.path / "run.json").read_text())
    stored["corpus"] = [server.url("book.txt")]
    (run.path / "run.json").write_text(json.dumps(stored))
    for more in ([], ["--json"]):
        code, said = tuillm("runs", "show", run.id, *more)
        assert code == 0 and not secrets_in(said)
    assert list_runs()[0].config.corpus == (server.url("book.txt"),)


@pytest.mark.everyday(1)
@pytest.mark.parametrize(
    "endpoint", ["http://ann:hunter22@[::1", "http://ann:hunter22@127.0.0.1:1", "ann:hunter22@h"]
)
def test_the_hubs_endpoint_tells_no_secret(endpoint):
    """An HF_ENDPOINT with credentials is not quoted, whatever is wrong with it."""
    environment = os.environ | {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "NO_PROXY": "*"}
    done = subprocess.run(
        [sys.executable, "-m", "tuillm", "pull", "gpt2"],
        text=True,
        timeout=60,
        capture_output=True,
        env=environment,
    )
    assert done.returncode == 1 and not secrets_in(done.stdout + done.stderr), done.stderr
    check_settings()


def test_a_page_in_place_of_a_book_is_not_kept(server):
    """A login page is refused as such; the next time the book itself is fetched."""
    with pytest.raises(TuillmError, match="web page") as caught:
        download(server.url("portal.txt"))
    assert "login" in caught.value.hint
    assert not cached_path(server.url("portal.txt")).exists()
    assert read_corpus((server.url("portal.txt"),)).text == server.book


def test_a_page_that_an_earlier_version_kept_is_fetched_again(server):
    """What lies in the cache is looked at, too."""
    server.asked.append("once")
    place = cached_path(server.url("portal.txt"))
    place.parent.mkdir(parents=True)
    place.write_bytes(PAGE)
    assert read_corpus((server.url("portal.txt"),)).text == server.book


def test_a_page_is_fetched_when_it_is_what_was_asked_for(server):
    """With `as_text` the page is the text, and is kept."""
    for _ in range(2):
        assert read_corpus((server.url("portal.txt"),), as_text=True).text == PAGE.decode()
    assert len(server.asked) == 1


def test_the_charset_that_a_server_tells_counts(server):
    """Too short to be guessed, a text is read as its server says; also later, from the cache."""
    for _ in range(2):
        corpus = read_corpus((server.url("cyrillic.txt"),))
        assert corpus.text == "Война и мир\n" and "as its server says" in corpus.notes[0]
    assert charset_of(server.url("cyrillic.txt")) == "windows-1251"
    assert not secrets_in(" ".join(corpus.notes)) and corpus.label == "cyrillic.txt"


@pytest.mark.parametrize(
    ("said", "hidden"),
    [
        ("cannot reach https://a:b@h/x?y#z.", "cannot reach https://h/x."),
        ("proxy socks5://a:b@h:1 is bad", "proxy socks5://h:1 is bad"),
        ("'https://h/x?y=it's' (https://a:b'c@h/?z), is", "'https://h/x' (https://h/), is"),
        ("see tuillm runs resume x-1 (a: b@c)", "see tuillm runs resume x-1 (a: b@c)"),
    ],
)
def test_addresses_in_sentences_are_made_public(said, hidden):
    """Whatever library wrote the words."""
    assert hide_secrets(said) == hidden
