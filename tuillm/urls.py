"""Addresses: which sources are one, and how one is shown without what only its owner may see.

Knows the parts of an http(s) address; fetches nothing.
"""

import re
from urllib.parse import urlsplit

# what an address may be cut to where it cannot be parsed
_SECRETS = re.compile(r"//[^/?#]*@|[?#].*", re.DOTALL)
_IN_TEXT = re.compile(r"https?://[^\s'\"<>)\]]+?(?=[.,:;]*(?:[\s'\"<>)\]]|$))",
                      re.IGNORECASE)


def is_url(source: str) -> bool:
    """Whether a source is an http(s) address rather than a path."""
    return source.lower().startswith(("http://", "https://"))


def public_url(url: str) -> str:
    """Return an address without user, password, query and fragment: the form to show or store.

    Passwords, tokens and signatures stand in these parts. A path comes back as it is.
    """
    if "://" not in url:
        return url
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    except ValueError:
        return _SECRETS.sub(lambda found: "//" if found[0].startswith("//") else "", url)


def has_secrets(url: str) -> bool:
    """Whether an address has parts that `public_url` leaves out."""
    return public_url(url) != url


def hide_secrets(text: str) -> str:
    """Return a sentence, such as a library's error, with each address in it made public."""
    return _IN_TEXT.sub(lambda found: public_url(found[0]), text)
