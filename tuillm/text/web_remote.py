"""A file behind any http(s) address, as the downloader asks for it: through `requests`.

Knows HTTP's answers and says in our own words what they mean: those of servers and libraries may
hold secrets. Knows no cache.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from tuillm.errors import TuillmError
from tuillm.store.http_download import Answer, content_length
from tuillm.store.network import check_for_download
from tuillm.store.retry import TransientError, retry_after
from tuillm.urls import public_url

if TYPE_CHECKING:
    import requests

_CHUNK = 1 << 16
_BUSY = (408, 425, 429, 500, 502, 503, 504)


class WebRemote:
    """What an address answers; it may be something else the next time.

    `timeout` is the longest silence in seconds. `length` and `content_type` are what the server
    has told so far. A connection that breaks off is gone on with where the server has named the
    version that it sends, by a strong ETag or the date of its last change.
    """

    immutable = False
    size = None

    def __init__(self, url: str, limit: int, timeout: float) -> None:
        self.shown, self.limit = public_url(url), limit
        self.length: int | None = None
        self.content_type = ""
        self._url, self._timeout, self._validator = url, timeout, ""

    @contextmanager
    def get(self, start: int) -> Iterator[Answer]:
        """Ask for the bytes from `start` on, or for all of them."""
        import requests

        headers = {}
        if start and self._validator:
            # a part of a compressed body is of no use
            headers = {
                "Range": f"bytes={start}-",
                "If-Range": self._validator,
                "Accept-Encoding": "identity",
            }
        try:
            with requests.get(
                self._url, headers=headers, stream=True, timeout=self._timeout
            ) as response:
                self._refuse(response)
                self._note(response)
                yield Answer(response.status_code, response.headers, self._body(response))
        except (requests.RequestException, ValueError) as error:  # of addresses and of headers
            raise self._failure(error) from None
        except OSError:  # certificates that are not there
            check_for_download(self._url)
            raise

    def _refuse(self, response: "requests.Response") -> None:
        """Raise for an answer that is no content."""
        status = response.status_code
        if status in (200, 206):
            return
        reason = f"the server answered {_status(status)}"
        if status in _BUSY:
            raise TransientError(reason, retry_after(response.headers))
        raise self._refusal(reason)

    def _note(self, response: "requests.Response") -> None:
        """Keep what the server tells of the file it sends."""
        if response.status_code == 206:
            return
        headers = response.headers
        self.length = content_length(headers)
        self.content_type = headers.get("Content-Type", "")
        etag = headers.get("ETag", "")
        strong = etag if etag.startswith('"') else headers.get("Last-Modified", "")
        self._validator = "" if headers.get("Content-Encoding") else strong

    def _body(self, response: "requests.Response") -> Iterator[bytes]:
        import requests

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
            return self._refusal("the server cannot be reached")
        return self._refusal("it is no http address, or leads to one")

    def _refusal(self, reason: str) -> TuillmError:
        return TuillmError(f"cannot fetch {self.shown}: {reason}", "check the address")


def _status(code: int) -> str:
    """A status with its standard words: `404 Not Found`."""
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return str(code)
