"""An address is fetched once, whole or not at all."""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tuillm.errors import TuillmError
from tuillm.store.paths import cache_dir
from tuillm.text.corpus import read_corpus
from tuillm.text.web_cache import cached_path, download
from tuillm.urls import is_url

BODY = b"Call me Ishmael. " * 10_000


class Handler(BaseHTTPRequestHandler):
    """Answers as the path asks; silent answers last until the test is over."""

    server: "Server"

    def do_GET(self):
        self.server.asked.append(self.path)
        self.server.ranges.append(self.headers.get("Range", ""))
        name = self.path.rsplit("/", 1)[-1]
        if name == "missing.txt":
            self.send_error(404)
        elif name == "silent.txt":
            self.server.over.wait(10)
        elif name == "moved.txt":
            self.answer(302, b"", Location="/book.txt")
        elif name == "chunked.txt":
            self.answer(200, BODY, length=None)
        elif name == "gzip.txt":
            self.answer(200, gzip.compress(BODY), **{"Content-Encoding": "gzip"})
        elif name == "damaged.txt":
            self.answer(200, BODY, **{"Content-Encoding": "gzip"})
        elif name == "circle.txt":
            self.answer(302, b"", Location="/circle.txt")
        elif name == "telling.txt":
            self.send_response(403, "the signature S1G%6eATURE is too old")
            self.end_headers()
        elif name == "odd-length.txt":
            self.answer(200, BODY, length="many")
        elif name == "halves.txt":
            self.answer(200, BODY[:70_000], length=len(BODY))
            self.server.over.wait(10)
            self.wfile.write(BODY[70_000:])
        elif name in ("resumed.txt", "changed.txt"):
            self.answer_in_parts(name)
        else:
            cut = name in ("cut.txt", "stalled.txt")
            self.answer(200, BODY[:70_000] if cut else BODY, length=len(BODY))
            if name == "stalled.txt":
                self.server.over.wait(10)

    def answer_in_parts(self, name):
        """Break off after 70,000 bytes, the first time; later go on, unless the file changed."""
        first = self.server.asked.count(self.path) == 1
        etag = '"1"' if first or name == "resumed.txt" else '"2"'
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        if first:
            self.answer(200, BODY[:70_000].upper(), length=len(BODY), ETag=etag)
        elif self.headers.get("If-Range") == etag:
            told = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
            self.answer(206, BODY[start:], ETag=etag, **{"Content-Range": told})
        else:
            self.answer(200, BODY, ETag=etag)

    def answer(self, status, body, length="", **headers):
        self.send_response(status)
        if length is not None:
            headers["Content-Length"] = length or len(body)
        for key, value in headers.items():
            self.send_header(key, str(value))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    """A server that says nothing of clients that hang up."""

    asked: list[str]
    ranges: list[str]
    over: threading.Event
    url: str

    def handle_error(self, request, client_address):
        pass


@pytest.fixture
def server(monkeypatch):
    """A loopback server; `asked` lists the paths it was asked for, `url` is its address."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server(("127.0.0.1", 0), Handler)
    server.asked, server.ranges, server.over = [], [], threading.Event()
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()
    thread.join(10)


def left_files():
    """Every file in the cache of downloads, hidden ones included."""
    return [path for path in (cache_dir() / "downloads").rglob("*") if path.is_file()]


def test_an_address_is_fetched_once(server):
    """The second time the file is taken from the cache without asking the server."""
    first = download(server.url + "/texts/book.txt")
    second = download(server.url + "/texts/book.txt")
    assert first == second == cached_path(server.url + "/texts/book.txt")
    assert first.read_bytes() == BODY
    assert first.name == "book.txt"
    assert server.asked == ["/texts/book.txt"]
    assert left_files() == [first]


def test_two_addresses_of_one_name_do_not_meet(server):
    """Files are told apart by the whole address, query included."""
    paths = {download(server.url + end) for end in ("/a/book.txt", "/b/book.txt", "/a/book.txt?2")}
    assert len(paths) == 3


@pytest.mark.parametrize("name", ["moved.txt", "chunked.txt", "gzip.txt", "odd-length.txt"])
def test_other_ways_of_answering_give_the_same_file(server, name):
    """Redirects, answers of unknown or odd length and compressed ones arrive as the plain text."""
    assert download(f"{server.url}/{name}").read_bytes() == BODY


def test_progress_is_told_in_bytes_up_to_the_end(server):
    """Progress is told while the file comes, with the total known throughout."""
    calls = []

    def report(done, total):
        calls.append((done, total))
        server.over.set()  # the server waits for the first report with the second half

    download(server.url + "/halves.txt", report)
    assert calls[0][0] <= 70_000
    assert calls[-1][0] == len(BODY)
    assert {total for _, total in calls} == {len(BODY)}


def test_a_connection_that_breaks_off_is_gone_on_with(server):
    """What has come is kept and the rest asked for, where the server names its version."""
    content = download(server.url + "/resumed.txt").read_bytes()
    start = int(server.ranges[1].removeprefix("bytes=").removesuffix("-"))
    assert 0 < start <= 70_000 and len(server.ranges) == 2
    assert content == BODY[:start].upper() + BODY[start:]


def test_a_file_that_has_changed_meanwhile_comes_from_its_beginning(server):
    """No mixture of two versions: what has come of the old one is given up."""
    calls = []
    path = download(server.url + "/changed.txt", lambda done, total: calls.append(done))
    assert path.read_bytes() == BODY and calls[-1] == len(BODY)
    assert server.ranges[0] == "" and server.ranges[1] and len(server.ranges) == 2


def test_progress_without_a_length_has_no_total(server):
    """Where the server does not say how long the file is, the total is unknown."""
    calls = []
    download(server.url + "/chunked.txt", lambda done, total: calls.append((done, total)))
    assert calls[-1] == (len(BODY), None)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("missing.txt", {}, "the server answered 404 Not Found"),
        ("book.txt", {"max_bytes": 100_000}, "is larger than 0"),
        ("chunked.txt", {"max_bytes": 100_000}, "is larger than 0"),
        ("gzip.txt", {"max_bytes": 100_000}, "is larger than 0"),
        ("cut.txt", {}, "broke off"),
        ("silent.txt", {"timeout": 0.3}, "did not answer in time"),
        ("stalled.txt", {"timeout": 0.3}, "did not answer in time"),
        ("damaged.txt", {}, "the server's answer is compressed, and damaged"),
        ("circle.txt", {}, "the server sends us on and on"),
        ("telling.txt", {}, "the server answered 403 Forbidden"),
    ],
)
def test_a_failed_fetch_says_why_and_leaves_nothing(server, name, options, words):
    """Whatever goes wrong is one line with the address, and no part of a file stays behind."""
    url = f"{server.url}/{name}"
    with pytest.raises(TuillmError) as caught:
        download(url, **options)
    assert words in caught.value.message
    assert url in caught.value.message and "S1G" not in caught.value.message
    assert "\n" not in str(caught.value)
    assert left_files() == []


def test_a_failed_fetch_is_tried_again(server):
    """A failure is not remembered: the server is asked anew the next time."""
    for _ in range(2):
        with pytest.raises(TuillmError):
            download(server.url + "/missing.txt")
    assert len(server.asked) == 2


def test_a_server_that_is_gone_cannot_be_reached(server):
    """A refused connection is told as that."""
    server.shutdown()
    server.server_close()
    with pytest.raises(TuillmError, match="the server cannot be reached") as caught:
        download(server.url + "/book.txt")
    assert "address" in caught.value.hint
    assert left_files() == []


@pytest.mark.parametrize("url", ["http://", "http://a..b/x", "http://[::1", "https://x y/z"])
def test_an_impossible_address_is_refused(url, monkeypatch):
    """What cannot be an address is one clear line and needs no network."""
    monkeypatch.setenv("NO_PROXY", "*")
    with pytest.raises(TuillmError, match="cannot fetch") as caught:
        download(url, timeout=0.3)
    assert url in caught.value.message


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://h/a/My%20Book.txt?x=1#y", "My Book.txt"),
        ("http://h/", "text"),
        ("http://h/a/..", "text"),
        ("http://h/a/%2E%2E%2Fpasswd", "passwd"),
        ("http://h/.hidden", "hidden"),
    ],
)
def test_the_cached_file_has_the_name_in_the_address(url, name):
    """The last part of the address names the file and never leads out of the cache."""
    assert cached_path(url).name == name
    assert cached_path(url).parents[1] == cache_dir() / "downloads"


def test_a_long_name_in_any_script_fits_the_disk(server):
    """A title of a hundred Chinese characters, three bytes each, is still a file name."""
    path = download(f"{server.url}/{'鲸' * 150}.txt")
    assert path.read_bytes() == BODY
    assert path.suffix == ".txt"


def test_an_address_is_a_corpus(server):
    """A book is learned from its address as from a file."""
    corpus = read_corpus((server.url + "/book.txt",))
    assert corpus.text == BODY.decode()
    assert corpus.label == "book.txt"


@pytest.mark.parametrize(
    ("source", "expected"),
    [("http://x/y", True), ("HTTPS://x/y", True), ("http.txt", False), ("ftp://x", False)],
)
def test_addresses_are_told_from_paths(source, expected):
    """Only http and https make an address; everything else is a path."""
    assert is_url(source) is expected
