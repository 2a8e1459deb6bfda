"""What every layer shares: paths as typed, addresses without secrets, JSON, safe characters."""

import json
import os
import time

import pytest

from tuillm.errors import UsageError, one_line, printable
from tuillm.formats.json_text import to_json
from tuillm.urls import has_secrets, hide_secrets, public_url
from tuillm.user_paths import path_problem, user_path


@pytest.mark.parametrize(
    "typed", ["", "x" * 300, "~nobody-of-this-name/x", "a\0b", "~" + "y" * 300]
)
def test_a_path_that_cannot_be_looked_at_is_a_usage_error(typed):
    """One clear error instead of RuntimeError, OSError or ValueError from wherever it is used."""
    with pytest.raises(UsageError):
        user_path(typed)
    assert path_problem(typed)


def test_an_address_is_no_path():
    """Where a file or folder is to be, an address is refused, without its secrets."""
    with pytest.raises(UsageError, match="https://host/a is an address") as said:
        user_path("https://ann:secret@host/a?token=secret")
    assert "secret" not in str(said.value)


def test_paths_that_may_be_missing_come_back(tmp_path, monkeypatch):
    """A missing file, one below a file, and a name with ~ that is there are all paths."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "~odd").touch()
    assert user_path("missing/deep") == user_path("missing") / "deep"
    assert not user_path("file/below").exists()
    assert user_path("~odd").exists()
    assert user_path("~") == type(tmp_path)(os.path.expanduser("~"))


@pytest.mark.parametrize(
    "url, shown",
    [
        ("https://me:secret@host.example/b.txt?sig=abc#part", "https://host.example/b.txt"),
        ("http://host.example:8080/a/b", "http://host.example:8080/a/b"),
        ("https://user@host/", "https://host/"),
        ("http://[bad:secret@x/y?token=1", "http://x/y"),
        ("book?.txt", "book?.txt"),
    ],
)
def test_addresses_are_shown_without_their_secrets(url, shown):
    """User, password, query and fragment stay away from cards, names and errors."""
    assert public_url(url) == shown
    assert has_secrets(url) == (url != shown)
    assert hide_secrets(f"cannot fetch {url}: no") == f"cannot fetch {shown}: no"


def test_json_is_json_whatever_it_holds():
    """NaN and infinities are null, and a lone surrogate reads back as it was."""
    text = to_json({"a": [float("nan"), float("inf"), 1.5], "name": "b\udce9"})
    text.encode()
    assert json.loads(text) == {"a": [None, None, 1.5], "name": "b\udce9"}
    assert to_json({"ä": 1}) == '{"ä": 1}'


def test_nothing_that_acts_on_a_terminal_is_printable():
    """Controls, direction marks and separators go, surrogates become U+FFFD; letters stay."""
    assert printable("a\x1b[31m\x9b\u202eb\u2028\u200f\udc80\tc\n") == "a[31mb\ufffd\tc\n"
    assert one_line(" a\n\tb\x1b ") == "a b"
    assert printable("қазақша 👩‍👩‍👧 עברית") == "қазақша 👩‍👩‍👧 עברית"


@pytest.mark.parametrize(
    "text",
    ["n" * 200_000, "http://" + ")" * 100_000 + "x", "http://" * 20_000, "a://b" * 30_000],
    ids=["a word", "marks", "schemes", "addresses"],
)
def test_hiding_secrets_takes_time_in_proportion(text):
    """A name of any length in an error or a note stops nobody; it took minutes."""
    began = time.process_time()
    hide_secrets(text)
    assert time.process_time() - began < 5


def test_secrets_are_hidden_wherever_an_address_stands():
    """In brackets, in lists without blanks, within another address, with capitals."""
    said = hide_secrets(
        "(HTTP://a:b@c/d#e) x,http://q:w@e/r,http://z:x@y/u?k http://u/?n=ftp://m:n@o"
    )
    assert not {"a:b", "q:w", "z:x", "m:n", "#e", "?k"} & {
        said[at : at + size] for at in range(len(said)) for size in (2, 3)
    }
    assert "c/d" in said and "y/u" in said


@pytest.mark.parametrize("mark", ["/", "#", "?", "\\"])
def test_a_password_that_was_not_escaped_is_hidden_too(mark):
    """What stands before the last @ is no part of a host whose port is no number."""
    assert "SEC" not in public_url(f"http://u:SEC{mark}RET@127.0.0.1:1/book.txt")
