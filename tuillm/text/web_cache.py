"""Fetches an address once into the cache; later calls find the file there.

Knows http(s), a size limit and a timeout, and that a web page in place of a book is no book. What
an address holds of secrets is used to fetch it, and neither shown nor stored.
"""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from tuillm.errors import TuillmError
from tuillm.store.defer_signals import uninterrupted
from tuillm.store.files import disk_error
from tuillm.store.http_download import fetch_file
from tuillm.store.paths import cache_dir, ensure_dir
from tuillm.store.temp_files import clear_leftovers, temporary_file
from tuillm.text.file_types import AS_TEXT, Found, recognize
from tuillm.text.web_remote import WebRemote
from tuillm.urls import ADDRESSES, address_key, public_url, without_key

MAX_BYTES = 1_000_000_000
TIMEOUT = 30.0
_CHARSET = ".charset"  # no name of a file in the cache begins with a dot
_PLAUSIBLE_CHARSET = re.compile(r"[A-Za-z0-9][\w.:+-]{0,40}")

Progress = Callable[[int, int | None], None]


def download(
    url: str,
    progress: Progress | None = None,
    *,
    as_text: bool = False,
    max_bytes: int = MAX_BYTES,
    timeout: float = TIMEOUT,
) -> Path:
    """Return the cached file of an address, fetching it when it is not there yet.

    `progress(done, total)` is called with bytes; `timeout` is the longest silence in seconds.
    Raises TuillmError when the address cannot be reached, answers with an error, is larger
    than `max_bytes`, or breaks off and cannot be gone on with; unless `as_text` also when a web
    page or the like comes in place of a text. No part of a file stays behind.
    """
    target = cached_path(url)
    if not is_cached(url, as_text=as_text):
        ensure_dir(target.parent)
        _fetch(_with_secrets(url), target, progress, as_text, max_bytes, timeout)
    return target


def cached_path(url: str) -> Path:
    """Where the file of an address is, or will be; raises TuillmError for an impossible one."""
    try:
        path = urlsplit(public_url(url)).path
    except ValueError:
        raise TuillmError(
            f"cannot fetch {public_url(url)}: it is no http address", "check the address"
        ) from None
    name = PurePosixPath(unquote(path)).name.lstrip(".") or "text"
    short = name.encode(errors="replace")[-100:].decode(errors="ignore")  # a disk counts bytes
    return cache_dir() / "downloads" / address_key(url) / short


def is_cached(url: str, *, as_text: bool = False) -> bool:
    """Whether the file of an address is there, and no web page that was taken for one."""
    path = cached_path(url)
    return path.exists() and (as_text or not _found_in(path))


def charset_of(url: str) -> str:
    """Return the charset that the server told of a cached file, or ''."""
    try:
        return (cached_path(url).parent / _CHARSET).read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""


def _with_secrets(url: str) -> str:
    """Return the address to ask: what was stored without its secrets gets them back, if at all.

    Whoever started this process may have handed them on.
    """
    public = without_key(url)
    if not public:
        return url
    known = json.loads(os.environ.get(ADDRESSES) or "{}")
    if url in known:
        return str(known[url])
    raise TuillmError(
        f"the copy of {public} is no longer in the cache, and what its address held besides "
        "(a password or a signature) was not stored",
        "name the whole address again",
    )


def _fetch(
    url: str, target: Path, progress: Progress | None, as_text: bool, max_bytes: int, timeout: float
) -> None:
    shown = public_url(url)
    clear_leftovers(target.parent)
    try:
        with temporary_file(target) as (temporary, handle):
            remote = WebRemote(url, max_bytes, timeout)
            _receive(remote, temporary, progress)
            if not as_text and (found := _found_in(temporary)):
                raise _refusal(found, shown)
            os.fsync(handle)
            with uninterrupted():
                _keep_charset(target, remote.content_type)
                os.replace(temporary, target)
    except OSError as error:
        raise disk_error(error, target) from None


def _receive(remote: WebRemote, target: Path, progress: Progress | None) -> None:
    """Write what a server sends; raises TuillmError when it is too much or breaks off."""
    done = 0

    def tick(came: int) -> None:
        nonlocal done
        done += came
        if progress and came:
            progress(done, remote.length)

    fetch_file(remote, target, tick, lambda words: None, f"cannot fetch {remote.shown}", attempts=1)


def _found_in(path: Path) -> Found | None:
    """What a fetched file is, when it is not a plain text."""
    try:
        with path.open("rb") as file:
            return recognize(file.read(1 << 16))
    except OSError:
        return None


def _refusal(found: Found, shown: str) -> TuillmError:
    advice = found.advice
    if "web page" in found.what:
        advice = (
            "does the network want a login, or does the page only lead to the text? "
            f"name the address of the text itself; {AS_TEXT}"
        )
    return TuillmError(
        f"{shown} answered with something that is {found.what}, not plain text", advice
    )


def _keep_charset(target: Path, content_type: str) -> None:
    """Note beside a file the encoding that its server told, or that it told none."""
    told = re.search(r"charset\s*=\s*[\"']?([^\s\"';]+)", content_type, re.IGNORECASE)
    charset_file = target.parent / _CHARSET
    if told and _PLAUSIBLE_CHARSET.fullmatch(told[1]) and told[1].isascii():
        charset_file.write_text(told[1], encoding="ascii")
    else:
        charset_file.unlink(missing_ok=True)
