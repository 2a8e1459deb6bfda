"""Fetches one file of the hub, going on where an earlier attempt stopped, and checks it.

Knows how the hub is asked, and what its answers mean; `store.http_download` does the rest. Knows
nothing of models.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tuillm.errors import TuillmError
from tuillm.formats.safetensors_header import StoredTensor, header_length, parse_header
from tuillm.store.files import disk_error
from tuillm.store.http_download import PIECE, Answer, fetch_file, matches, write_through
from tuillm.store.hub.api import HubFile, Plan, bounded_body
from tuillm.store.hub.hub_errors import host, hub_errors, request_errors
from tuillm.store.hub.hub_names import Source
from tuillm.store.retry import Note, Tick, TransientError, retry_after, retry_with_backoff

_LONGEST_REFUSAL = 1 << 20
_LENGTH = 8  # bytes of a safetensors file that tell the length of its header


def fetch(plan: Plan, file: HubFile, target: Path, source: Source, tick: Tick, note: Note) -> None:
    """Fetch what `target` lacks of a file; return when it has its whole length.

    Raises TuillmError when the hub refuses, when trying again is of no use, when the disk is full.
    """
    remote = _HubRemote(plan.url(file), file, source)
    fetch_file(remote, target, tick, note, f"{file.name} cannot be fetched to its end")


def fetch_small(plan: Plan, file: HubFile, source: Source) -> bytes:
    """Return the contents of a small file; raises TuillmError, or TransientError, as they come."""
    return _bytes_of(_HubRemote(plan.url(file), file, source), 0, file.size)


def fetch_header(
    plan: Plan, file: HubFile, source: Source, tick: Tick, note: Note
) -> dict[str, StoredTensor]:
    """Return the tensors that a file of weights tells of, of which its header alone is fetched.

    Raises TuillmError for a header that is damaged, and as `fetch` does.
    """
    where = f"{file.name} of {source.repo}"
    remote = _HubRemote(plan.url(file), file, source)

    def read(start: int, length: int) -> bytes:
        return retry_with_backoff(
            lambda: _bytes_of(remote, start, length),
            lambda: False,
            tick,
            note,
            f"the header of {where} cannot be fetched",
        )

    return parse_header(
        read(_LENGTH, header_length(read(0, _LENGTH), file.size, where)), file.size, where
    )


def copy(origin: Path, target: Path, tick: Tick) -> None:
    """Copy what `target` lacks of a file that lies on this machine."""
    try:
        with origin.open("rb") as old, target.open("ab", buffering=0) as new:
            old.seek(new.tell())
            while piece := old.read(PIECE):
                write_through(new, piece)
                tick(len(piece))
    except OSError as error:
        raise disk_error(error, target) from None


def is_whole(path: Path, file: HubFile, tick: Tick) -> bool:
    """Whether a file on the disk has the length and the checksum that the hub tells."""
    return matches(path, file.size, file.digest, tick)


def _bytes_of(remote: "_HubRemote", start: int, length: int) -> bytes:
    """Return so many bytes of a file from `start` on; a server without ranges is left there."""
    found = bytearray()
    if not length:
        return b""
    with remote.get(start, start + length) as answer:
        told = answer.headers.get("Content-Range", "")
        if answer.status == 206 and not told.startswith(f"bytes {start}-"):
            raise TuillmError(
                f"the server sends another part of {remote.shown} than was asked for", "try again"
            )
        skip = 0 if answer.status == 206 else start
        for piece in answer.body:
            found += piece
            if len(found) >= skip + length:
                return bytes(found[skip : skip + length])
    raise TransientError(f"the server ended after {len(found):,} bytes")


class _HubRemote:
    """A file of a commit: it never changes under its address."""

    immutable = True

    def __init__(self, url: str, file: HubFile, source: Source) -> None:
        self.shown, self.size, self.limit = file.name, file.size, file.size
        self._url, self._source = url, source

    @contextmanager
    def get(self, start: int, end: int | None = None) -> Iterator[Answer]:
        """Ask the hub through its own library, which knows the token and sends us on.

        Asked for are the bytes from `start` on, up to `end` where there is one.
        """
        from huggingface_hub import constants
        from huggingface_hub.utils import build_hf_headers, get_session

        # the client leaves the token out when it is sent on to another host
        headers = build_hf_headers(library_name="tuillm") | {"Accept-Encoding": "identity"}
        if start or end is not None:
            headers["Range"] = f"bytes={start}-" + ("" if end is None else str(end - 1))
        silence = float(constants.HF_HUB_DOWNLOAD_TIMEOUT)
        try:
            with get_session().stream(
                "GET", self._url, headers=headers, timeout=silence
            ) as response:
                self._refuse(response, start)
                yield Answer(response.status_code, response.headers, response.iter_raw())
        except request_errors() as error:
            raise TransientError(_reason(error)) from None

    def _refuse(self, response: Any, start: int) -> None:
        """Raise for an answer that is no content."""
        from huggingface_hub.utils import hf_raise_for_status

        if response.status_code in (200, 206):
            if "text/html" in response.headers.get("Content-Type", "").lower():
                raise TransientError(
                    "a web page came in place of the file; does the network want a login?"
                )
            return
        if response.status_code == 416:
            raise TransientError(f"the server's file ends before byte {start:,} of {self.size:,}")
        if response.url.netloc.decode() != host():  # the next answer sends us elsewhere
            raise TransientError(
                f"{response.url.host} answered {response.status_code}",
                retry_after(response.headers),
            )
        bounded_body(response, _LONGEST_REFUSAL)
        with hub_errors(self._source):
            hf_raise_for_status(response)
        raise TuillmError(f"{host()} answered {response.status_code} for {self.shown}")


def _reason(error: Exception) -> str:
    """Say how a connection ended."""
    kind = type(error).__name__
    if "Timeout" in kind:
        return "the server fell silent"
    if kind == "ConnectError":
        return "the server cannot be reached"
    return "the connection broke off"
