"""A file behind any http(s) address, as the downloader asks for it: through `requests`.

Knows HTTP's answers and says in our own words what they mean: those of servers and libraries may
hold secrets. Knows no cache.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from tuillm.errors import TuillmError
from tuillm.store.http_download import Answer, content_length
from tuillm.store.network import check_for_download
from tuillm.store.retry import TransientError, retry_after
from tuillm.urls import public_url

if TYPE_CHECKING:
    import requests

# small enough that a slow server is told from a silent one
_CHUNK = 1 << 12
_LONGEST_VERSION = 300
_BUSY = (408, 425, 429, 500, 502, 503, 504)


class Unchanged(Exception):
    """The server says that it has what is here already."""


@dataclass(frozen=True)
class Version:
    """What a server calls the version of a file that it sends: its ETag, the date of its change."""

    etag: str = ""
    modified: str = ""

    @property
    def conditions(self) -> dict[str, str]:
        """The headers that ask for the file only where it has changed."""
        told = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: value for name, value in told.items() if value}


class WebRemote:
    """What an address answers; it may be something else the next time.

    `timeout` is the longest silence in seconds. `known` is the version of a copy that is here:
    where the server has no other, `get` raises Unchanged. `part` is the validator of a part that is
    here; `keep` is told that of the answer whose first byte is about to come. `length`,
    `content_type`, `version` and `validator` are what the server has told so far: a connection that
    breaks off is gone on with where it has named the version that it sends, by a strong ETag or the
    date of its last change.
    """

    immutable = False
    size = None

    def __init__(
        self,
        url: str,
        limit: int,
        timeout: float,
        known: Version | None = None,
        part: str = "",
        keep: Callable[[str], None] = lambda validator: None,
    ) -> None:
        self.shown, self.limit = public_url(url), limit
        self.length: int | None = None
        self.content_type = ""
        self.version, self.validator = Version(), part
        self._keep = keep
        self._url, self._timeout, self._known = url, timeout, known or Version()

    @contextmanager
    def get(self, start: int) -> Iterator[Answer]:
        """Ask for the bytes from `start` on, or for all of them."""
        import requests

        from tuillm.text.web_redirects import GuardedSession

        part = self.validator if start else ""
        try:
            with GuardedSession(self._refusal) as session, ExitStack() as answers:
                response = answers.enter_context(self._ask(session, start, part))
                if part and not self._is_rest(response, start, part):
                    response = answers.enter_context(self._ask(session, 0, ""))
                self._refuse(response)
                self._note(response)
                yield Answer(response.status_code, response.headers, self._body(response))
        except (requests.RequestException, ValueError) as error:  # of addresses and of headers
            raise self._failure(error) from None
        except OSError:  # certificates that are not there
            check_for_download(self._url)
            raise

    def _ask(
        self, session: "requests.Session", start: int, part: str
    ) -> "AbstractContextManager[requests.Response]":
        headers = dict(self._known.conditions)
        if part:
            # a part of a compressed body is of no use
            headers |= {"Range": f"bytes={start}-", "If-Range": part, "Accept-Encoding": "identity"}
        return session.get(self._url, headers=headers, stream=True, timeout=self._timeout)

    def _is_rest(self, response: "requests.Response", start: int, part: str) -> bool:
        """Whether an answer can be taken where the rest of a part was asked for."""
        etag = response.headers.get("ETag", "")
        other = response.status_code == 206 and part.startswith('"') and etag not in ("", part)
        begin = response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        elsewhere = response.status_code == 206 and not begin
        return response.status_code != 416 and not other and not elsewhere

    def _refuse(self, response: "requests.Response") -> None:
        """Raise for an answer that is no content."""
        status = response.status_code
        if status == 304 and self._known.conditions:
            raise Unchanged
        if status in (200, 206):
            return
        reason = f"the server answered {_status(status)}"
        if status in _BUSY:
            raise TransientError(reason, retry_after(response.headers))
        raise self._refusal(reason)

    def _note(self, response: "requests.Response") -> None:
        """Keep what the server tells of the file it sends."""
        headers = response.headers
        self.content_type = headers.get("Content-Type", "")
        told = [headers.get(name, "")[:_LONGEST_VERSION] for name in ("ETag", "Last-Modified")]
        self.version = Version(*told) if any(told) else self.version
        if response.status_code == 206:
            total = headers.get("Content-Range", "").rpartition("/")[2]
            self.length = int(total) if total.isascii() and total.isdigit() else None
            return
        self.length = content_length(headers)
        self.validator = "" if headers.get("Content-Encoding") else _strong(headers)

    def _body(self, response: "requests.Response") -> Iterator[bytes]:
        import requests

        self._keep(self.validator)  # what was there of another version is gone by now
        try:
            yield from response.iter_content(_CHUNK)
        except requests.RequestException as error:  # which is an OSError, as the disk's are
            raise self._failure(error) from None

    def _failure(self, error: Exception) -> Exception:
        """What to raise for an exception of `requests`."""
        import requests

        check_for_download(self._url)  # what is set wrong says more than the library does
        # silence in the middle of an answer comes as a ConnectionError
        if isinstance(error, requests.Timeout) or "Read timed out" in str(error):
            return TransientError("the server did not answer in time")
        if isinstance(error, requests.TooManyRedirects):
            return self._refusal("the server sends us on and on")
        if isinstance(error, requests.exceptions.ContentDecodingError):
            return self._refusal("the server's answer is compressed, and damaged")
        if isinstance(error, requests.exceptions.ChunkedEncodingError):
            return TransientError("the connection broke off")
        if isinstance(error, requests.ConnectionError):
            return self._refusal("the server cannot be reached", "check the network, the address")
        return self._refusal("it is no http address, or leads to one")

    def _refusal(self, reason: str, hint: str = "check the address") -> TuillmError:
        return TuillmError(f"cannot fetch {self.shown}: {reason}", hint)


def _strong(headers: Mapping[str, str]) -> str:
    """Return what names a version byte for byte: a strong ETag, or a date that has passed.

    A file may change twice in a second (RFC 9110, 8.8.2.2).
    """
    etag, modified = headers.get("ETag", ""), headers.get("Last-Modified", "")
    if etag.startswith('"'):
        return etag[:_LONGEST_VERSION]
    return "" if modified == headers.get("Date") else modified[:_LONGEST_VERSION]


def _status(code: int) -> str:
    """A status with its standard words: `404 Not Found`."""
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return str(code)
