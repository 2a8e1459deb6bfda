"""A cached address is asked for again after a day, gone on with after a break, led nowhere else.

A loopback server; the age of a copy is set by hand.
"""

import hashlib
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tuillm.cli.train import _fetch_addresses
from tuillm.config import build_train
from tuillm.errors import TuillmError
from tuillm.store.locks import take
from tuillm.store.paths import cache_dir
from tuillm.text import web_cache, web_redirects
from tuillm.text.sources.find_items import find_items
from tuillm.text.web_cache import DAY, cached_path, download
from tuillm.text.web_redirects import is_inside
from tuillm.urls import stored_url

BODY = b"".join(b"line %d of the book\n" % number for number in range(12_000))
CHANGED = "Sat, 01 Jan 2022 00:00:00 GMT"


class Handler(BaseHTTPRequestHandler):
    """Answers with `server.body` under `server.version`; breaks off where it is told to."""

    def do_GET(self):
        server = self.server
        server.asked.append((self.path, dict(self.headers)))
        if server.location and self.path == "/moved.txt":
            return self.answer(302, b"", {"Location": server.location})
        if server.status != 200:
            return self.answer(server.status, b"", {})
        told = {name: value for name, value in server.version.items() if value}
        if self.unchanged():
            return self.answer(304, b"", told)
        start, body = 0, server.body
        wanted = self.headers.get("Range", "")
        if wanted and (server.careless or self.headers["If-Range"] in told.values()):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                return self.answer(416, b"", {})
            told["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        rest = body[start:]
        self.answer(206 if start else 200, rest[: server.cut], told, len(rest))
        server.over.wait(20 if server.trickle else 0)

    def unchanged(self):
        told, version = self.headers, self.server.version
        if "If-None-Match" in told:
            return told["If-None-Match"] == version.get("ETag")
        return told.get("If-Modified-Since", "no") == version.get("Last-Modified")

    def answer(self, status, body, headers, length=None):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def serve(monkeypatch):
    """A function that starts a server on an address of this machine; all end with the test."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,127.0.0.2,localhost")
    started = []

    def serve(host="127.0.0.1"):
        server = ThreadingHTTPServer((host, 0), Handler)
        server.handle_error = lambda *arguments: None
        server.asked, server.over = [], threading.Event()
        server.body, server.version, server.status = BODY, {"ETag": '"1"'}, 200
        server.cut, server.careless, server.trickle, server.location = None, False, False, ""
        server.url = f"http://{host}:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        started.append((server, thread))
        return server

    yield serve
    for server, thread in started:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


@pytest.fixture
def server(serve):
    return serve()


def made_older(url, seconds=DAY + 60):
    """Let a copy be as if it had been fetched some time ago."""
    then = time.time() - seconds
    os.utime(cached_path(url), (then, then))


def files_of(url):
    return sorted(path.name for path in cached_path(url).parent.iterdir())


VERSIONS = [{"ETag": '"1"'}, {"ETag": 'W/"1"'}, {"Last-Modified": CHANGED}]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_copy_of_yesterday_is_asked_for(server, version):
    """304: the copy is as good as new; the whole day after nobody is asked."""
    server.version, url = version, server.url + "/book.txt"
    download(url)
    download(url)
    assert len(server.asked) == 1
    made_older(url)
    for _ in range(2):
        assert download(url, note=pytest.fail).read_bytes() == BODY
    ((_, first), (_, second)) = server.asked
    assert not {"If-None-Match", "If-Modified-Since"} & set(first)
    assert {"If-None-Match", "If-Modified-Since"} & set(second)


@pytest.mark.parametrize("version", [*VERSIONS, {}])
def test_a_text_that_has_changed_is_fetched(server, version):
    """The new one takes the place of the old one, with its version."""
    server.version, url = version, server.url + "/book.txt"
    download(url)
    made_older(url)
    server.body = b"another text\n"
    server.version = {name: value.replace("1", "2") for name, value in version.items()}
    assert download(url).read_bytes() == b"another text\n"
    made_older(url)
    assert download(url).read_bytes() == b"another text\n"
    conditions = server.asked[2][1]
    assert conditions.get("If-None-Match") == server.version.get("ETag")


def test_a_run_that_goes_on_does_not_ask(server):
    """`max_age` of infinity takes the copy, however old it is."""
    url = server.url + "/book.txt"
    download(url)
    made_older(url, 1000 * DAY)
    download(url, max_age=float("inf"))
    assert len(server.asked) == 1


def test_without_the_network_the_copy_is_used_and_that_is_said(server):
    """Once asked in vain nobody is asked for a while, and it is said each time."""
    url = server.url + "/book.txt"
    download(url)
    server.shutdown()
    server.server_close()
    made_older(url, 3 * DAY)
    notes = []
    for _ in range(2):
        (item,) = find_items([url], note=notes.append)[0]
        with item.open() as stream:
            assert stream.read() == BODY
    assert len(notes) == 2 and all(url in note and "3 days ago" in note for note in notes)
    assert "cannot be reached" in notes[0] and "\n" not in notes[0]


@pytest.mark.parametrize("status", [404, 500, 403])
def test_a_server_that_has_lost_the_text_takes_no_copy_away(server, status):
    """The copy is used, and the answer told."""
    url, notes = server.url + "/book.txt", []
    download(url)
    made_older(url)
    server.status = status
    assert download(url, note=notes.append).read_bytes() == BODY
    assert str(status) in notes[0]


def test_a_login_page_takes_no_copy_away(server):
    """What comes in place of the text is refused, and the copy used."""
    url, notes = server.url + "/book.txt", []
    download(url)
    made_older(url)
    server.version, server.body = {}, b"<!DOCTYPE html><html><body>Log in</body></html>"
    assert download(url, note=notes.append).read_bytes() == BODY
    assert "web page" in notes[0]


def test_the_command_says_that_it_uses_a_copy(server, capsys):
    """`tuillm train ADDRESS` asks, and tells on stderr what it could not learn."""
    url = server.url + "/book.txt"
    download(url)
    made_older(url)
    server.status = 503
    _fetch_addresses(build_train({"corpus": url}))
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "503" in said.err
    assert len(server.asked) == 2


def test_what_was_stored_without_its_secrets_is_not_asked_for(server):
    """Nobody has the signature any more; the copy is there."""
    url = server.url + "/book.txt?sig=S3CRET"
    download(url)
    made_older(url)
    assert download(stored_url(url), note=pytest.fail) == cached_path(url)
    assert len(server.asked) == 1


def broken_off(server, url):
    """Leave a part of the text in the cache; return the error."""
    server.cut = 100_000
    with pytest.raises(TuillmError) as caught:  # nothing more comes at the attempts after the first
        download(url, lambda done, total: setattr(server, "cut", 0))
    server.cut = None
    return caught.value


@pytest.mark.parametrize("version", [{"ETag": '"1"'}, {"Last-Modified": CHANGED}])
def test_the_next_command_goes_on_where_one_broke_off(server, version):
    """Only the rest is asked for, of the version that the part is of."""
    server.version, url = version, server.url + "/book.txt"
    assert "what has come is kept" in broken_off(server, url).hint
    assert files_of(url) == [".part", ".part-version"]
    have = (cached_path(url).parent / ".part").stat().st_size
    asked, calls = len(server.asked), []
    path = download(url, lambda done, total: calls.append((done, total)))
    assert path.read_bytes() == BODY
    ((_, headers),) = server.asked[asked:]
    assert headers["Range"] == f"bytes={have}-" and headers["If-Range"] in version.values()
    assert calls[-1] == (len(BODY), len(BODY)) and calls[0][0] > have
    assert files_of(url) == [".version", "book.txt"]


@pytest.mark.parametrize("careless", [False, True])
def test_a_part_of_another_version_is_given_up(server, careless):
    """Also where a server sends the rest of the new one, which its ETag tells."""
    url = server.url + "/book.txt"
    broken_off(server, url)
    server.version, server.body = {"ETag": '"2"'}, BODY.upper()
    server.careless = careless
    assert download(url).read_bytes() == BODY.upper()


def test_a_part_that_is_longer_than_the_text_is_given_up(server):
    """The server has no such bytes (416): the text comes from its beginning."""
    url = server.url + "/book.txt"
    broken_off(server, url)
    server.body = b"short\n"
    assert download(url).read_bytes() == b"short\n"


@pytest.mark.parametrize(
    "version", [{}, {"ETag": 'W/"1"'}, {"Last-Modified": CHANGED}, {"ETag": "1"}]
)
def test_without_a_version_nothing_is_kept(server, version, monkeypatch):
    """No ETag, a weak one, a date that may still change within its second."""
    monkeypatch.setattr(Handler, "date_time_string", lambda handler: CHANGED)
    server.version, url = version, server.url + "/book.txt"
    assert "kept" not in broken_off(server, url).hint
    assert files_of(url) == []


def test_two_at_once_do_not_write_into_one_part(server):
    """Who comes second fetches for himself, whole, and the part of the first stays as it is."""
    url = server.url + "/book.txt"
    broken_off(server, url)
    part = cached_path(url).parent / ".part"
    before = part.read_bytes()
    with take(part):
        assert download(url).read_bytes() == BODY
        assert part.read_bytes() == before
    assert server.asked[-1][1].get("Range") is None


def test_a_part_without_its_version_is_worth_nothing(server):
    """What a crash leaves in between, or an odd file, is fetched anew."""
    url = server.url + "/book.txt"
    place = cached_path(url).parent
    place.mkdir(parents=True)
    (place / ".part").write_bytes(b"something else")
    assert download(url).read_bytes() == BODY
    (place / ".version").write_bytes(b"{damaged")
    made_older(url)
    assert download(url).read_bytes() == BODY


def test_an_answer_that_trickles_is_ended(server, monkeypatch):
    """Less than 100 bytes a second for a minute: here for a moment."""
    monkeypatch.setattr(web_cache, "SLOW_SECONDS", 1e-9)
    monkeypatch.setattr(web_cache, "SLOWEST", 1)
    server.trickle, server.cut, server.version = True, 10, {}
    url = server.url + "/book.txt"
    with pytest.raises(TuillmError, match="the server sends less than"):
        download(url)
    assert files_of(url) == []


@pytest.fixture
def outside(monkeypatch):
    """127.0.0.1 is as if it were somewhere in the world; 127.0.0.2 is this machine."""
    monkeypatch.setattr(web_redirects, "is_inside", lambda host: host in ("127.0.0.2", "localhost"))


@pytest.mark.parametrize("hops", [1, 2])
def test_a_server_outside_leads_to_none_inside(serve, outside, hops):
    """Nothing is asked there, over however many addresses it goes."""
    out, inside = serve(), serve("127.0.0.2")
    out.location = inside.url + "/book.txt"
    first = out
    if hops == 2:
        first = serve()
        first.location = out.url + "/moved.txt"
    with pytest.raises(TuillmError, match="sends us on to an address inside") as caught:
        download(first.url + "/moved.txt")
    assert first.url in caught.value.message and inside.asked == []
    assert list((cache_dir() / "downloads").rglob("*.txt")) == []


def test_a_name_that_turns_out_to_be_inside_is_not_asked(serve, outside, monkeypatch):
    """The address that was connected to counts, not what a name was before (DNS rebinding)."""
    out, inside = serve(), serve("127.0.0.2")
    out.location = f"http://book.example:{inside.server_address[1]}/book.txt"
    monkeypatch.setenv("NO_PROXY", "*")
    real = web_redirects.socket.getaddrinfo
    monkeypatch.setattr(
        web_redirects.socket,
        "getaddrinfo",
        lambda host, *more, **options: real(
            "127.0.0.2" if host == "book.example" else host, *more, **options
        ),
    )
    with pytest.raises(TuillmError, match="sends us on to an address inside"):
        download(out.url + "/moved.txt")
    assert inside.asked == []


def test_who_names_an_address_inside_is_led_on(serve, outside):
    """From inside to inside and outside; a person may name what they like."""
    inside, out, other = serve("127.0.0.2"), serve(), serve("127.0.0.2")
    assert download(inside.url + "/book.txt").read_bytes() == BODY
    for target in (out, other):
        inside.location = target.url + "/book.txt"
        assert download(f"{inside.url}/moved.txt?{target.url}").read_bytes() == BODY


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://h/x", "gopher://h/", "data:,x"])
def test_other_kinds_of_addresses_are_not_gone_to(server, target):
    """A redirect to a file or another protocol is refused in words."""
    server.location = target
    with pytest.raises(TuillmError, match="sends us on to what is no http address") as caught:
        download(server.url + "/moved.txt")
    assert "passwd" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("127.0.0.1", True),
        ("127.1", True),
        ("2130706433", True),
        ("0x7f.1", True),
        ("localhost", True),
        ("LOCALHOST.", True),
        ("a.localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("64:ff9b::7f00:1", True),
        ("2002:7f00:1::", True),
        ("10.1.2.3", True),
        ("172.16.0.1", True),
        ("192.168.1.1", True),
        ("169.254.169.254", True),
        ("100.64.0.1", True),
        ("fe80::1%eth0", True),
        ("fc00::1", True),
        ("0.0.0.0", True),
        ("::", True),
        ("224.0.0.1", True),
        ("93.184.216.34", False),
        ("2606:2800:220:1::1", False),
        ("::ffff:93.184.216.34", False),
        ("www.gutenberg.org", False),
    ],
)
def test_what_is_inside(host, inside):
    """This machine, private networks, link-local and shared addresses, in all their spellings."""
    assert is_inside(host) is inside


def test_the_part_survives_a_kill(server, other_process):
    """A process that is killed in the middle leaves what has come, to be gone on with."""
    url = server.url + "/book.txt"
    server.cut, server.trickle = 100_000, True
    code = (
        "import threading\n"
        "from tuillm.text.web_cache import download\n"
        f"run = lambda: download({url!r}, lambda done, total: print(done, flush=True))\n"
        "threading.Thread(target=run, daemon=True).start()"
    )
    with other_process(code) as process:
        part = cached_path(url).parent / ".part"
        while part.stat().st_size < 90_000:
            assert process.poll() is None
            process.stdout.readline()
        process.kill()
    server.trickle, server.cut = False, None
    assert download(url).read_bytes() == BODY
    assert server.asked[-1][1]["Range"].startswith("bytes=")
    assert hashlib.sha256(cached_path(url).read_bytes()).digest() == hashlib.sha256(BODY).digest()
