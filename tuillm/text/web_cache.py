"""Fetches an address once into the cache; later calls find the file there.

After a day the server is asked whether it has another one. Knows http(s), limits of size, silence
and slowness, and that a web page in place of a book is no book. What an address holds of secrets is
used to fetch it, and neither shown nor stored.
"""

import json
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from tuillm.errors import DiskError, Interrupted, TuillmError
from tuillm.store.defer_signals import uninterrupted
from tuillm.store.files import disk_error
from tuillm.store.http_download import fetch_file
from tuillm.store.paths import cache_dir, ensure_dir
from tuillm.text.file_types import AS_TEXT, Found, recognize
from tuillm.text.web_parts import part_file
from tuillm.text.web_remote import Unchanged, WebRemote
from tuillm.text.web_versions import keep_version, kept_version
from tuillm.urls import ADDRESSES, address_key, public_url, without_key

MAX_BYTES = 1_000_000_000
TIMEOUT = 30.0
DAY = 86_400.0
# fewer bytes than that in so many seconds are no answer but a trickle
SLOWEST, SLOW_SECONDS = 6_000, 60.0
# for so long nobody is asked again who could not be reached
_REST = 600.0
_CHARSET = ".charset"  # no name of a file in the cache begins with a dot
_VAIN = ".asked-in-vain"
_PLAUSIBLE_CHARSET = re.compile(r"[A-Za-z0-9][\w.:+-]{0,40}")
# where a web page is no answer: names of texts, tables, books and archives
_NO_PAGES = re.compile(
    r"\.(?:te?xt|md|utf-?8|csv|tsv|jsonl?|ndjson|parquet|epub|pdf|docx|zip|tar|tgz|gz|bz2|xz|zst)$",
    re.IGNORECASE,
)

Progress = Callable[[int, int | None], None]
Note = Callable[[str], None]


def download(
    url: str,
    progress: Progress | None = None,
    *,
    as_text: bool = False,
    max_age: float = DAY,
    note: Note = lambda words: None,
    max_bytes: int = MAX_BYTES,
    timeout: float = TIMEOUT,
) -> Path:
    """Return the cached file of an address, fetching it when it is not there yet.

    When it is older than `max_age` seconds, the server is asked whether it has changed; where that
    cannot be done the copy is as good as ever, and `note` is told. `progress(done, total)` is
    called with bytes; `timeout` is the longest silence in seconds.

    Raises TuillmError when the address cannot be reached, answers with an error, leads to where it
    must not, is larger than `max_bytes` or slower than 100 bytes a second, breaks off and cannot be
    gone on with; unless `as_text` also when a web page comes in place of a text. A part of a file
    stays only where its server has named the version, for the next call to go on with.
    """
    target = cached_path(url)
    if not is_cached(url, as_text=as_text):
        ensure_dir(target.parent)
        _fetch(_with_secrets(url), target, progress, as_text, max_bytes, timeout)
    elif (age := time.time() - target.stat().st_mtime) > max_age and (whole := _askable(url)):
        _refresh(whole, target, progress, as_text, max_bytes, timeout, age, note)
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
    return path.exists() and (as_text or not _stray_page(path, path.name))


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
    if whole := _askable(url):
        return whole
    raise TuillmError(
        f"the copy of {without_key(url)} is no longer in the cache, and what its address held "
        "besides (a password or a signature) was not stored",
        "name the whole address again",
    )


def _askable(url: str) -> str:
    """Return the address with all that it takes to ask for it; '' where that is not known."""
    if not without_key(url):
        return url
    known = json.loads(os.environ.get(ADDRESSES) or "{}")
    return str(known.get(url, ""))


def _refresh(
    url: str,
    target: Path,
    progress: Progress | None,
    as_text: bool,
    max_bytes: int,
    timeout: float,
    age: float,
    note: Note,
) -> None:
    """Ask for a file that is here: the copy stays where there is no newer one to be had."""
    vain = target.parent / _VAIN
    reason = "it could not be reached a moment ago"
    if not vain.exists() or time.time() - vain.stat().st_mtime > _REST:
        try:
            _fetch(url, target, progress, as_text, max_bytes, timeout, again=True)
            vain.unlink(missing_ok=True)
            return
        except (Interrupted, DiskError):
            raise
        except TuillmError as error:
            reason = error.message.partition(f"{public_url(url)}: ")[2] or error.message
            with suppress(OSError):
                vain.touch()
    note(
        f"{public_url(url)}: whether it has changed is not known ({reason}); the copy from "
        f"{_days(age)} ago is used"
    )


def _days(seconds: float) -> str:
    days = max(round(seconds / DAY), 1)
    return "1 day" if days == 1 else f"{days:,} days"


def _fetch(
    url: str,
    target: Path,
    progress: Progress | None,
    as_text: bool,
    max_bytes: int,
    timeout: float,
    again: bool = False,
) -> None:
    known = kept_version(target) if again else None
    try:
        with part_file(target) as kept:
            remote = WebRemote(url, max_bytes, timeout, known, kept.validator, kept.keep)
            try:
                _receive(remote, kept.path, progress)
            except Unchanged:
                kept.give_up()
                os.utime(target)
                return
            if not as_text and (found := _stray_page(kept.path, target.name)):
                kept.give_up()
                raise _refusal(found, public_url(url))
            with uninterrupted():
                _keep_charset(target, remote.content_type)
                keep_version(target, remote.version)
                kept.become(target)
    except OSError as error:
        raise disk_error(error, target) from None


def _receive(remote: WebRemote, target: Path, progress: Progress | None) -> None:
    """Write what a server sends; raises TuillmError when it is too much, too slow or breaks off."""
    done = target.stat().st_size
    since, last = time.monotonic(), done

    def tick(came: int) -> None:
        nonlocal done, since, last
        done += came
        if progress and came:
            progress(done, remote.length)
        if (now := time.monotonic()) - since > SLOW_SECONDS:
            if 0 <= done - last < SLOWEST:
                raise TuillmError(
                    f"cannot fetch {remote.shown}: the server sends less than "
                    f"{SLOWEST / SLOW_SECONDS:,.0f} bytes a second",
                    "try again later",
                )
            since, last = now, done

    fetch_file(
        remote,
        target,
        tick,
        lambda words: None,
        f"cannot fetch {remote.shown}",
        attempts=1,
        kept=lambda: bool(remote.validator),
    )


def _stray_page(path: Path, name: str) -> Found | None:
    """What a fetched file is, when it is a web page and its address promised something else."""
    if not _NO_PAGES.search(name):
        return None
    try:
        with path.open("rb") as file:
            found = recognize(file.read(1 << 16))
    except OSError:
        return None
    return found if found and "web page" in found.what else None


def _refusal(found: Found, shown: str) -> TuillmError:
    return TuillmError(
        f"{shown} answered with something that is {found.what}, not plain text",
        "does the network want a login, or does the page only lead to the text? "
        f"name the address of the text itself; {AS_TEXT}",
    )


def _keep_charset(target: Path, content_type: str) -> None:
    """Note beside a file the encoding that its server told, or that it told none."""
    told = re.search(r"charset\s*=\s*[\"']?([^\s\"';]+)", content_type, re.IGNORECASE)
    charset_file = target.parent / _CHARSET
    if told and _PLAUSIBLE_CHARSET.fullmatch(told[1]) and told[1].isascii():
        charset_file.write_text(told[1], encoding="ascii")
    else:
        charset_file.unlink(missing_ok=True)
