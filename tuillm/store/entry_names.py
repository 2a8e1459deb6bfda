"""Which names models and runs may have, and how a name is made from a file's name."""

import re
import unicodedata
from pathlib import PurePath
from urllib.parse import unquote

from tuillm.errors import UsageError, brief
from tuillm.urls import public_url

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_name(name: str) -> str:
    """Return `name` if it may be used, else raise UsageError with the rule."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{brief(name)} cannot be a name",
            "letters, digits, '.', '_' and '-', at most 64, beginning with a letter or digit",
        )
    return name


def name_from(source: str) -> str:
    """Make a name from a path or an address: 'My Book.txt' gives 'My-Book'; 'book' if nothing fits.

    Accents are dropped; letters outside ASCII are left out.
    """
    path = public_url(source).rstrip("/")
    stem = PurePath(unquote(path) if "://" in source else path).stem
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("._-")[:64].rstrip("._-")
    return name or "book"
