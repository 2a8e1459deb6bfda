"""Fetches an address once into the cache; later calls find the file there.

Knows http(s), a size limit and a timeout; does not know what the file is for.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from tuillm.errors import TuillmError
from tuillm.store.files import disk_error
from tuillm.store.paths import cache_dir, ensure_dir

MAX_BYTES = 1_000_000_000
TIMEOUT = 30.0
_CHUNK = 1 << 16

Progress = Callable[[int, int | None], None]


def is_url(source: str) -> bool:
    """Whether a source is an http(s) address rather than a path."""
    return source.lower().startswith(("http://", "https://"))


def download(
    url: str,
    progress: Progress | None = None,
    *,
    max_bytes: int = MAX_BYTES,
    timeout: float = TIMEOUT,
) -> Path:
    """Return the cached file of an address, fetching it when it is not there yet.

    `progress(done, total)` is called with bytes; `timeout` is the longest silence in seconds.
    Raises TuillmError when the address cannot be reached, answers with an error, is larger
    than `max_bytes`, or breaks off; no part of a file stays behind.
    """
    try:
        target = cached_path(url)
    except ValueError as error:
        raise TuillmError(f"cannot fetch {url}: {error}", "check the address") from None
    if not target.exists():
        ensure_dir(target.parent)
        _fetch(url, target, progress, max_bytes, timeout)
    return target


def cached_path(url: str) -> Path:
    """Where the file of an address is, or will be."""
    name = PurePosixPath(unquote(urlsplit(url).path)).name.lstrip(".") or "text"
    short = name.encode()[-100:].decode(errors="ignore")  # a disk counts bytes
    return cache_dir() / "downloads" / hashlib.sha256(url.encode()).hexdigest()[:16] / short


def _fetch(
    url: str, target: Path, progress: Progress | None, max_bytes: int, timeout: float
) -> None:
    import requests

    handle, temporary = tempfile.mkstemp(prefix=".part.", dir=target.parent)
    try:
        with (
            os.fdopen(handle, "wb") as file,
            requests.get(url, stream=True, timeout=timeout) as response,
        ):
            response.raise_for_status()
            total = int(response.headers.get("Content-Length", 0)) or None
            if response.headers.get("Content-Encoding"):
                total = None  # the length is that of the compressed body
            done = 0
            for chunk in response.iter_content(_CHUNK):
                done += len(chunk)
                if max(done, total or 0) > max_bytes:
                    raise TuillmError(f"{url} is larger than {max_bytes / 1e6:g} MB")
                file.write(chunk)
                if progress:
                    progress(done, total)
            if total is not None and done != total:
                raise TuillmError(f"{url} broke off after {done:,} of {total:,} bytes", "try again")
        os.replace(temporary, target)
    except (requests.RequestException, ValueError) as error:  # of addresses and of headers
        raise TuillmError(f"cannot fetch {url}: {_reason(error)}", "check the address") from None
    except OSError as error:
        raise disk_error(error, target) from None
    finally:
        Path(temporary).unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    # silence in the middle of an answer comes as a ConnectionError
    if isinstance(error, requests.Timeout) or "Read timed out" in str(error):
        return "the server did not answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    if isinstance(error, requests.ConnectionError):
        return "the server cannot be reached"
    return str(error).split("\n")[0]
