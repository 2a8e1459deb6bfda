"""An environment that is set wrong for the network: one line that names the variable, no traceback.

Nothing is asked of any network: the addresses are of this machine, where nobody listens.
"""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tuillm.errors import TuillmError
from tuillm.store.network import check_for_download, check_for_hub

NOBODY = "http://127.0.0.1:9"
OURS = ("HF_", "SSL_", "CURL_", "REQUESTS_")
CLEAN = {
    name: value
    for name, value in os.environ.items()
    if "PROXY" not in name.upper() and not name.startswith(OURS)
}
WITHOUT_SOCKS = pytest.mark.skipif(
    bool(find_spec("socks") or find_spec("socksio")), reason="this Python has what SOCKS needs"
)
SOCKS = "socks5://me:secret@127.0.0.1:9"


def tuillm(home, *arguments, **environment):
    """Run a command in an environment that is clean but for this; return its one line."""
    done = subprocess.run(
        [sys.executable, "-m", "tuillm", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=CLEAN
        | {
            "TUILLM_HOME": str(home),
            "HF_ENDPOINT": NOBODY,
            "HF_HUB_OFFLINE": "0",
            "HF_HOME": str(home / "hf"),
        }
        | environment,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("tuillm: ") and done.stderr.count("\n") == 1, done.stderr
    assert "secret" not in done.stderr
    return done.stderr


@pytest.mark.everyday(3)
@pytest.mark.parametrize(
    "name, value",
    [
        ("HF_HUB_DOWNLOAD_TIMEOUT", "abc"),
        ("HF_HUB_ETAG_TIMEOUT", "1.5s"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "-3"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", ""),
        ("HF_HUB_ETAG_TIMEOUT", "9" * 5000),
        ("HTTPS_PROXY", "http://[bad"),
        ("https_proxy", "http://host:port"),
        ("ALL_PROXY", "ftp://host"),
        ("HTTP_PROXY", "http://"),
        ("SSL_CERT_FILE", "/no/such.pem"),
        ("SSL_CERT_DIR", "/no/such"),
        ("SSL_CERT_FILE", __file__),
        pytest.param("ALL_PROXY", SOCKS, marks=WITHOUT_SOCKS),
        pytest.param("https_proxy", "socks5h://h:1", marks=WITHOUT_SOCKS),
    ],
    ids=lambda each: str(each)[:30],
)
def test_pulls(home, name, value):
    """A pull names the variable, and leaves nothing behind."""
    assert name in tuillm(home, "pull", "gpt2", **{name: value})
    assert not list((home / "pulls").glob("[!.]*")) and "unset" in tuillm(
        home, "pull", "gpt2", **{name: value}
    )


@pytest.mark.everyday(2)
@pytest.mark.parametrize(
    "name, value, url",
    [
        pytest.param("ALL_PROXY", SOCKS, "http://a.invalid/b.txt", marks=WITHOUT_SOCKS),
        pytest.param("HTTPS_PROXY", SOCKS, "https://a.invalid/b.txt", marks=WITHOUT_SOCKS),
        ("HTTP_PROXY", "http://[bad", "http://a.invalid/b.txt"),
        ("REQUESTS_CA_BUNDLE", "/no/such.pem", "https://a.invalid/b.txt"),
        ("CURL_CA_BUNDLE", "/no/such.pem", "https://a.invalid/b.txt"),
        ("REQUESTS_CA_BUNDLE", __file__, "https://a.invalid/b.txt"),
    ],
    ids=lambda each: str(each)[:30],
)
def test_texts_by_address(home, name, value, url):
    """So does a training on a text that has to be fetched; no run is left."""
    assert name in tuillm(home, "train", url, **{name: value})
    assert not list((home / "runs").glob("*"))


@pytest.mark.slow
@WITHOUT_SOCKS
def test_gpt2s_vocabulary(home, book, tmp_path):
    """And the vocabulary that has to be fetched once, told by the run that needed it."""
    arguments = ("train", str(book), "--tokenizer", "gpt2", "--preset", "nano")
    cache = str(tmp_path / "none")
    assert "ALL_PROXY" in tuillm(home, *arguments, ALL_PROXY=SOCKS, TIKTOKEN_CACHE_DIR=cache)


@pytest.fixture
def clean(monkeypatch):
    """No variable of the network but those that a test sets."""
    for name in os.environ.keys() - CLEAN.keys():
        monkeypatch.delenv(name)
    return monkeypatch.setenv


def test_what_is_right_passes(clean):
    """Proxies, time-outs and certificates as they should be; what is set wrong but not in use."""
    import certifi

    for name, value in (
        ("HTTPS_PROXY", "http://me:x@proxy.example:3128"),
        ("http_proxy", "host:1"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "30"),
        ("HF_HUB_ETAG_TIMEOUT", " 5 "),
        ("SSL_CERT_FILE", certifi.where()),
        ("SSL_CERT_DIR", "/no/such"),
        ("REQUESTS_CA_BUNDLE", certifi.where()),
        ("CURL_CA_BUNDLE", "/no/such"),
    ):
        clean(name, value)
    check_for_hub()
    check_for_download("https://a.example/b")
    clean("ALL_PROXY", "ftp://x")
    check_for_download("https://a.example/b")
    with pytest.raises(TuillmError, match="ALL_PROXY"):
        check_for_hub()
    clean("NO_PROXY", "*")
    check_for_hub()
    clean("REQUESTS_CA_BUNDLE", "/no/such")
    check_for_download("http://a.example/b")
