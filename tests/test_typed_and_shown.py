"""What every layer shares: paths as typed, addresses without secrets, JSON, safe characters."""

import json
import os

import pytest

from tuillm.errors import UsageError, one_line, printable
from tuillm.json_text import to_json
from tuillm.urls import has_secrets, hide_secrets, public_url
from tuillm.user_paths import path_problem, user_path


@pytest.mark.parametrize("typed", ["x" * 300, "~nobody-of-this-name/x", "a\0b", "~" + "y" * 300])
def test_a_path_that_cannot_be_looked_at_is_a_usage_error(typed):
    """One clear error instead of RuntimeError, OSError or ValueError from wherever it is used."""
    with pytest.raises(UsageError):
        user_path(typed)
    assert path_problem(typed)


def test_paths_that_may_be_missing_come_back(tmp_path, monkeypatch):
    """A missing file, one below a file, and a name with ~ that is there are all paths."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "~odd").touch()
    assert user_path("missing/deep") == user_path("missing") / "deep"
    assert not user_path("file/below").exists()
    assert user_path("~odd").exists()
    assert user_path("~") == type(tmp_path)(os.path.expanduser("~"))


@pytest.mark.parametrize("url, shown", [
    ("https://me:secret@host.example/b.txt?sig=abc#part", "https://host.example/b.txt"),
    ("http://host.example:8080/a/b", "http://host.example:8080/a/b"),
    ("https://user@host/", "https://host/"),
    ("http://[bad:secret@x/y?token=1", "http://x/y"),
    ("book?.txt", "book?.txt"),
])
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
