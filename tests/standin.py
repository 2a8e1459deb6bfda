"""A stand-in for the Hugging Face hub on this machine, and for the host that its files lie on.

Speaks what `huggingface_hub` asks for: a model's metadata with checksums, and `resolve` with HEAD,
ranges and redirects; files that git would not hold lie on a second host, as the real ones do. Told
to, it breaks off, flips a byte, refuses, knows no ranges, holds back. It writes down every request.
"""

import hashlib
import json
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote, urlsplit

PIECE = 1 << 14
LFS = (".safetensors", ".bin")
_FAR = 1 << 62


@dataclass
class Asked:
    """One request: who was asked for what, from which byte on, and what was sent.

    One `of_header` wants no byte behind the header of a safetensors file.
    """

    host: str
    method: str
    path: str
    start: int = 0
    status: int = 0
    sent: int = 0
    token: str = ""
    of_header: bool = False

    @property
    def file(self) -> str:
        """The name of the file that was asked for, '' when it was something else."""
        return self.path.rpartition("/")[2] if "/api/models/" not in self.path else ""


@dataclass
class Repository:
    """Files by name at one commit; `gated` and `private` ones want the token 'hf_right'."""

    files: dict[str, bytes]
    gated: bool = False
    private: bool = False
    sizes: dict[str, int] = field(default_factory=dict)
    tags: tuple[str, ...] = ()

    @property
    def commit(self) -> str:
        """What git would call this state of the files, or nearly so."""
        state = "".join(name + sha256_of(content) for name, content in sorted(self.files.items()))
        return hashlib.sha1(state.encode()).hexdigest()


class Hub:
    """The two servers, from `with Hub() as hub` until its end, and what they are told to do.

    `cuts` are the bytes after which the next answers with a file's content break off; `answers` the
    error statuses of the next answers that would send weights, `metadata_answers` of those with
    metadata; `flip` the byte of the weights that is sent wrong; `hold` the byte of the weights
    before which the server waits for `go`; `pace` its bytes per second; `portal` the headers of the
    next answers for weights with a login page in their place ("Content-Length" none: in chunks).
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.old: dict[tuple[str, str], Repository] = {}
        self.requests: list[Asked] = []
        self.cuts: list[int] = []
        self.answers: list[int] = []
        self.metadata_answers: list[int] = []
        self.headers: dict[str, str] = {}
        self.flip: int | None = None
        self.hold: int | None = None
        self.pace: float | None = None
        self.short: int = 0
        self.portal: list[dict[str, str]] = []
        self.knows_ranges = True
        self.held, self.go, self._closing = threading.Event(), threading.Event(), threading.Event()
        self._servers = [Server(self, name, self.handler()) for name in ("hub", "cdn")]

    def handler(self) -> "type[Handler]":
        """What answers requests."""
        return Handler

    def __enter__(self) -> Self:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.set()
        self.go.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    @property
    def address(self) -> str:
        """What HF_ENDPOINT has to be."""
        return self._servers[0].address

    @property
    def cdn(self) -> str:
        """The address of the second host."""
        return self._servers[1].address

    def environment(self, place: Any, **more: str) -> dict[str, str]:
        """The environment of a process that knows only this hub, with its cache in `place`."""
        usual = {
            key: value
            for key, value in os.environ.items()
            if not key.upper().startswith("HF_") and "PROXY" not in key.upper()
        }
        return (
            usual
            | {
                "HF_ENDPOINT": self.address,
                "HF_HOME": str(place),
                "HF_HUB_OFFLINE": "0",
                "HF_HUB_DISABLE_TELEMETRY": "1",
            }
            | more
        )

    def add(self, repo: str, files: dict[str, bytes], **facts: Any) -> Repository:
        """Publish files as the newest state of a repository; earlier states can still be had."""
        found = Repository(dict(files), **facts)
        self.repositories[repo] = self.old[repo, found.commit] = found
        return found

    def of_weights(self) -> list[Asked]:
        """The requests that were answered with weights, by the host where they lie."""
        return [
            asked
            for asked in self.requests
            if asked.host == "cdn"
            and asked.method == "GET"
            and asked.status in (200, 206)
            and not asked.of_header
        ]

    # what the servers ask

    def find(self, repo: str, revision: str) -> Repository | None:
        """The state of a repository that a branch or a commit means."""
        if revision == "main":
            return self.repositories.get(repo)
        return self.old.get((repo, revision))

    def wait(self, before: int, after: int, weights: bool) -> None:
        """Hold back as told before the bytes from `before` to `after` are sent."""
        if weights and self.hold is not None and before <= self.hold < after:
            self.held.set()
            self.go.wait()
        if weights and self.pace:
            self._closing.wait((after - before) / self.pace)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: Hub, name: str, handler: "type[Handler]") -> None:
        self.hub, self.name = hub, name
        super().__init__(("127.0.0.1", 0), handler)

    @property
    def address(self) -> str:
        # two names of one machine are two hosts
        return f"http://{'127.0.0.1' if self.name == 'hub' else 'localhost'}:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that was killed is no error of ours


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        hub, path = self.server.hub, unquote(urlsplit(self.path).path)
        self.asked = Asked(
            self.server.name, self.command, path, token=self.headers.get("Authorization", "")
        )
        hub.requests.append(self.asked)
        parts = path.strip("/").split("/")
        if self.server.name == "cdn":
            self._content("/".join(parts[:2]), parts[2], parts[3])
        elif parts[:2] == ["api", "models"] and len(parts) in (4, 6):
            self._metadata("/".join(parts[2:4]), parts[5] if len(parts) == 6 else "main")
        elif parts[:1] == ["cache"]:
            self._content("/".join(parts[1:3]), parts[3], parts[4])
        elif len(parts) == 5 and parts[2] == "resolve":
            self._resolve("/".join(parts[:2]), parts[3], parts[4])
        else:
            self._refuse(404, "RepoNotFound")

    do_HEAD = do_GET

    def _metadata(self, repo: str, revision: str) -> None:
        hub = self.server.hub
        found = hub.find(repo, revision)
        if hub.metadata_answers:
            self._refuse(hub.metadata_answers.pop(0))
        elif repo not in hub.repositories or hub.repositories[repo].private and not self._known:
            self._refuse(404 if self._known else 401, "RepoNotFound")
        elif not found:
            self._refuse(404, "RevisionNotFound")
        else:
            body = json.dumps(
                {
                    "_id": "0",
                    "id": repo,
                    "modelId": repo,
                    "sha": found.commit,
                    "private": found.private,
                    "gated": "auto" if found.gated else False,
                    "tags": list(found.tags),
                    "siblings": [self._sibling(found, name) for name in found.files],
                }
            ).encode()
            self._answer(200, body, {"Content-Type": "application/json"})

    def _sibling(self, found: Repository, name: str) -> dict[str, Any]:
        content = found.files[name]
        told = {"rfilename": name, "size": found.sizes.get(name, len(content))}
        if not name.endswith(LFS):
            return told | {"blobId": git_sha1(content)}
        return told | {
            "blobId": "0" * 40,
            "lfs": {"size": told["size"], "sha256": sha256_of(content), "pointerSize": 130},
        }

    def _resolve(self, repo: str, revision: str, name: str) -> None:
        hub = self.server.hub
        found = hub.find(repo, revision)
        if not found:
            self._refuse(404, "RevisionNotFound" if repo in hub.repositories else "RepoNotFound")
        elif found.gated and not self._known:
            self._refuse(403 if self.asked.token else 401, "GatedRepo")
        elif name not in found.files:
            self._refuse(404, "EntryNotFound")
        else:
            content, lfs = found.files[name], name.endswith(LFS)
            headers = {"X-Repo-Commit": found.commit, "X-Linked-Size": str(len(content))}
            place = f"{repo}/{found.commit}/{name}"
            if lfs:
                self._answer(
                    302,
                    b"",
                    headers
                    | {
                        "Location": f"{self.server.hub.cdn}/{place}",
                        "X-Linked-Etag": f'"{sha256_of(content)}"',
                    },
                )
            else:
                self._answer(
                    307,
                    b"",
                    headers | {"Location": f"/cache/{place}", "ETag": f'"{git_sha1(content)}"'},
                )

    def _content(self, repo: str, revision: str, name: str) -> None:
        hub = self.server.hub
        found = hub.find(repo, revision)
        if not found or name not in found.files:
            self._refuse(404, "EntryNotFound")
            return
        self.asked.of_header = self._end <= _header_end(found.files[name])
        weights = name.endswith(LFS) and not self.asked.of_header
        if weights and hub.answers:
            self._refuse(hub.answers.pop(0))
            return
        if weights and hub.portal:
            self._login_page(hub.portal.pop(0))
            return
        content = bytearray(found.files[name])
        if weights:
            if hub.flip is not None:
                content[hub.flip] ^= 1
            content = content[: len(content) - hub.short]
        lfs = name.endswith(LFS)
        etag = sha256_of(found.files[name]) if lfs else git_sha1(found.files[name])
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": found.commit}
        start, end = (self._start, self._end) if hub.knows_ranges else (0, _FAR)
        self.asked.start = start
        if start and start >= len(content):
            self._refuse(416)
        elif start or end < _FAR:
            end = min(end, len(content))
            span = f"bytes {start}-{end - 1}/{len(content)}"
            part = bytes(content[start:end])
            self._answer(206, part, headers | {"Content-Range": span}, weights)
        else:
            self._answer(200, bytes(content), headers, weights)

    def _login_page(self, headers: dict[str, str]) -> None:
        self.asked.status = 200
        page = b"<html>" + b"log in " * 100
        self.send_response(200)
        told = {} if "Content-Length" in headers else {"Transfer-Encoding": "chunked"}
        for name, value in (headers | told).items():
            self.send_header(name, value)
        self.end_headers()
        chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(page), page)
        self.wfile.write(chunked if told else page)

    @property
    def _start(self) -> int:
        wanted = self.headers.get("Range", "")
        return int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0

    @property
    def _end(self) -> int:
        last = self.headers.get("Range", "").rpartition("-")[2]
        return int(last) + 1 if last else _FAR

    @property
    def _known(self) -> bool:
        return self.asked.token == "Bearer hf_right"

    def _refuse(self, status: int, code: str = "") -> None:
        headers = self.server.hub.headers | ({"X-Error-Code": code} if code else {})
        self._answer(status, b"no", headers)

    def _answer(
        self, status: int, body: bytes, headers: dict[str, str], weights: bool = False
    ) -> None:
        self.asked.status = status
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        with suppress(OSError):  # the client may be killed at any time
            self._send(body, weights)

    def _send(self, body: bytes, weights: bool) -> None:
        hub = self.server.hub
        cut = hub.cuts.pop(0) if weights and hub.cuts else None
        for at in range(0, len(body), PIECE):
            piece = body[at : at + PIECE]
            if cut is not None:
                piece = piece[: max(cut - at, 0)]
            hub.wait(self.asked.start + at, self.asked.start + at + len(piece), weights)
            self.wfile.write(piece)
            self.asked.sent += len(piece)
            if cut is not None and at + PIECE >= cut:
                self.close_connection = True
                return

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _header_end(content: bytes) -> int:
    """Where the header of a safetensors file ends."""
    return 8 + int.from_bytes(content[:8], "little")


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def gpt2_files(write: Callable[..., None], folder: Any) -> dict[str, bytes]:
    """The files that `write` puts into a folder, and some that a real repository also has."""
    write(folder)
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    return files | {
        "README.md": b"# a model\n",
        ".gitattributes": b"*.bin filter=lfs\n",
        "pytorch_model.bin": bytes(100_000),
    }
