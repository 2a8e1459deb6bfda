"""Addresses: which sources are one, and how one is shown without what only its owner may see.

Knows the parts of an http(s) address; fetches nothing.
"""

import hashlib
import re
from urllib.parse import urlsplit

# what an address may be cut to where it cannot be parsed
_SECRETS = re.compile(r"//[^/?#]*@|[?#].*", re.DOTALL)
# the variable in which a process hands on, as JSON, what stored addresses were before
ADDRESSES = "TUILLM_ADDRESSES"
_KEPT = re.compile(r"([^?#]*)#kept=([0-9a-f]{16})")
# with or without a user: the name of a host, as a rule, has a dot
_HOST = re.compile(
    r"(?:.*@)?(?:\[[0-9a-f:.]+\]|[\w-]+(?:\.[\w-]+)+|localhost|[\w-]+(?=:\d))"
    r"(?::\d*)?",
    re.IGNORECASE,
)
# before the name of a data set of the Hugging Face hub
DATASETS = "hf://datasets/"
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,30}$", re.IGNORECASE)
# what a sentence ends or brackets an address with
_AROUND = "'\"<>)]}.,:;"


def is_url(source: str) -> bool:
    """Whether a source is an http(s) address rather than a path."""
    return source.lower().startswith(("http://", "https://"))


def is_dataset(source: str) -> bool:
    """Whether a source is the name of a data set of the hub, right or wrong."""
    return source.lower().startswith(DATASETS)


def is_remote(source: str) -> bool:
    """Whether a source is no path of this machine."""
    return is_url(source) or is_dataset(source)


def public_url(url: str) -> str:
    """Return an address without user, password, query and fragment: the form to show or store.

    Passwords, tokens and signatures stand in these parts. A path comes back as it is.
    """
    if "://" not in url:
        return url
    scheme, _, rest = url.partition("://")
    host, behind = re.split("[/?#]", rest, maxsplit=1)[0], rest.rpartition("@")[2]
    if not _HOST.fullmatch(host) and ":" in host and "@" in rest:
        url = f"{scheme}://{behind}"  # a password that was not escaped may hold any mark
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    except ValueError:
        return _SECRETS.sub(lambda found: "//" if found[0].startswith("//") else "", url)


def has_secrets(url: str) -> bool:
    """Whether an address has parts that `public_url` leaves out."""
    scheme, mark, rest = url.partition("://")
    return public_url(url) != f"{scheme.lower()}{mark}{rest}"


def address_key(url: str) -> str:
    """Return what the file of an address is kept under; `stored_url` keeps the same key."""
    if told := _KEPT.fullmatch(url):
        return told[2]
    return hashlib.sha256(url.encode(errors="surrogateescape")).hexdigest()[:16]


def stored_url(url: str) -> str:
    """Return the form of an address to store: where it has secrets, the public one and its key.

    The key finds the file that was fetched with them; what was left out cannot be had back.
    """
    if not is_url(url) or not has_secrets(url) or _KEPT.fullmatch(url):
        return url
    return f"{public_url(url)}#kept={address_key(url)}"


def without_key(url: str) -> str:
    """Return a stored address as `public_url` gives it, or '' for one that is none of these."""
    told = _KEPT.fullmatch(url)
    return told[1] if told else ""


def hide_secrets(text: str) -> str:
    """Return a sentence, such as a library's error, with each address in it made public.

    It takes no longer than in proportion to the text's length, whatever stands in it.
    """
    first, *rest = text.split("://")
    said, scheme = [first], _SCHEME.search(first[-31:])
    for index, part in enumerate(rest, start=1):
        following = _SCHEME.search(part[-31:]) if index < len(rest) else None
        end = len(part) - len(following[0]) if following else len(part)
        # an address ends at a blank, or where the next one begins
        words = part[:end].split(maxsplit=1)
        address = words[0].rstrip(_AROUND) if words and not part[0].isspace() else ""
        shown = address
        if address and scheme:
            shown = public_url(f"{scheme[0]}://{address}").partition("://")[2]
        said.append(f"://{shown}{part[len(address) :]}")
        scheme = following
    return "".join(said)
