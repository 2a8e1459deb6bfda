"""A hub of our own that takes what is pushed: repositories, blobs of LFS, commits.

Speaks what `huggingface_hub` sends: create, preupload, the LFS batch with plain and multipart
uploads, validate-yaml, commit. Told to, it refuses, breaks off, or holds back. What was sent
becomes a state of a repository by a commit alone, and can be pulled from it then.
"""

import base64
import json
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

from standin import Asked, Handler, Hub, git_sha1, sha256_of

_PIECE = 1 << 14


class PushHub(Hub):
    """The servers; tokens are 'hf_right', and 'hf_read', which may not write.

    `refusals` are (part of a path, status): requests whose path holds the part are answered with
    the status, each once. `part` is the length from which on uploads come in parts of that length.
    `hold_at` is the byte of an upload before which the server waits for `go`; `cut_at` the one
    behind which it hangs up, once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.refusals: list[tuple[str, int]] = []
        self.part: int | None = None
        self.hold_at: int | None = None
        self.cut_at: int | None = None
        self.blobs: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.commits: list[dict[str, Any]] = []
        self.created: list[dict[str, Any]] = []

    def handler(self) -> "type[Handler]":
        return PushHandler

    def uploads(self) -> list[Asked]:
        """The requests that brought bytes of files."""
        return [asked for asked in self.requests if asked.method == "PUT"]


class PushHandler(Handler):
    """Answers GET as the hub that is pulled from does."""

    @property
    def hub(self) -> PushHub:
        hub = self.server.hub
        assert isinstance(hub, PushHub)
        return hub

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if not self._refused(path):
            super().do_GET()

    do_HEAD = do_GET

    def do_POST(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        token = self.headers.get("Authorization", "")
        self.asked = Asked(self.server.name, "POST", path, token=token)
        self.hub.requests.append(self.asked)
        if self._refused(path):
            return
        if token != "Bearer hf_right" and "complete" not in path:
            self._refuse(403 if token == "Bearer hf_read" else 401)
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path == "/api/validate-yaml":
            self._told({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            self._preupload(path.split("/preupload/")[0].removeprefix("/api/models/"), body)
        elif path.endswith(".git/info/lfs/objects/batch"):
            self._batch(json.loads(body))
        elif path.startswith("/complete/"):
            self._complete(json.loads(body))
        elif "/commit/" in path:
            self._commit(path.split("/commit/")[0].removeprefix("/api/models/"), body)
        else:
            self._refuse(404)

    def do_PUT(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.asked = Asked(self.server.name, "PUT", path)
        self.asked.token = self.headers.get("Authorization", "")
        self.hub.requests.append(self.asked)
        if self._refused(path):
            return
        content = self._received(int(self.headers["Content-Length"]))
        if content is None:
            return
        _, oid, *part = path.strip("/").split("/")
        if part:
            self.hub.parts.setdefault(oid, {})[int(part[0])] = content
        elif sha256_of(content) == oid:
            self.hub.blobs[oid] = content
        self._answer(200, b"", {"ETag": f'"{sha256_of(content)[:8]}"'})

    def _received(self, length: int) -> bytes | None:
        hub, content = self.hub, bytearray()
        while len(content) < length:
            if hub.hold_at is not None and len(content) >= hub.hold_at:
                hub.held.set()
                hub.go.wait()
            if hub.cut_at is not None and len(content) >= hub.cut_at:
                hub.cut_at = None
                self.close_connection = True
                with suppress(OSError):
                    self.connection.shutdown(2)
                return None
            piece = self.rfile.read(min(_PIECE, length - len(content)))
            if not piece:
                self.close_connection = True
                return None
            content += piece
            self.asked.sent = len(content)
        return bytes(content)

    def _refused(self, path: str) -> bool:
        for number, (part, status) in enumerate(self.hub.refusals):
            if part in path:
                del self.hub.refusals[number]
                if self.command == "PUT":
                    self._received(int(self.headers["Content-Length"]))
                self._refuse(status)
                return True
        return False

    def _create(self, wanted: dict[str, Any]) -> None:
        repo = f"{wanted.get('organization') or 'me'}/{wanted['name']}"
        if repo in self.hub.repositories:
            self._refuse(409)
            return
        private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
        self.hub.created.append(wanted)
        self.hub.add(repo, {}, private=private)
        self._told({"url": f"{self.hub.address}/{repo}"})

    def _preupload(self, repo: str, body: bytes) -> None:
        found = self.hub.repositories.get(repo)
        if found is None:
            self._refuse(404, "RepoNotFound")
            return
        told = []
        for file in json.loads(body)["files"]:
            name = file["path"]
            large = name.endswith(".safetensors") or file["size"] > 10_000_000
            there = found.files.get(name)
            oid = None if there is None else sha256_of(there) if large else git_sha1(there)
            mode = "lfs" if large else "regular"
            told.append({"path": name, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self._told({"files": told})

    def _batch(self, wanted: dict[str, Any]) -> None:
        told = []
        for each in wanted["objects"]:
            oid, size = each["oid"], each["size"]
            entry: dict[str, Any] = {"oid": oid, "size": size}
            if oid not in self.hub.blobs:
                entry["actions"] = {"upload": self._upload(oid, size)}
            told.append(entry)
        self._told({"transfer": "basic", "objects": told})

    def _upload(self, oid: str, size: int) -> dict[str, Any]:
        hub = self.hub
        if not hub.part or size <= hub.part:
            return {"href": f"{hub.cdn}/upload/{oid}"}
        count = -(-size // hub.part)
        parts = {f"{n:05}": f"{hub.cdn}/upload/{oid}/{n}" for n in range(1, count + 1)}
        header = {"chunk_size": str(hub.part), **parts}
        return {"href": f"{hub.address}/complete/{oid}", "header": header}

    def _complete(self, told: dict[str, Any]) -> None:
        oid = told["oid"]
        parts = self.hub.parts.pop(oid)
        content = b"".join(parts[number] for number in sorted(parts))
        assert [part["partNumber"] for part in told["parts"]] == sorted(parts)
        assert sha256_of(content) == oid
        self.hub.blobs[oid] = content
        self._told({})

    def _commit(self, repo: str, body: bytes) -> None:
        rows = [json.loads(line) for line in body.splitlines()]
        head, found = rows[0]["value"], self.hub.repositories[repo]
        if head.get("parentCommit") not in (None, found.commit):
            self._refuse(412)
            return
        files = dict(found.files)
        for row in rows[1:]:
            value = row["value"]
            if row["key"] == "deletedFile":
                del files[value["path"]]
                continue
            files[value["path"]] = (
                self.hub.blobs[value["oid"]]
                if row["key"] == "lfsFile"
                else base64.b64decode(value["content"])
            )
        self.hub.commits.append({"repo": repo, "summary": head["summary"], "rows": len(rows) - 1})
        state = self.hub.add(repo, files, private=found.private)
        url = f"{self.hub.address}/{repo}/commit/{state.commit}"
        self._told({"success": True, "commitOid": state.commit, "commitUrl": url})

    def _told(self, value: object) -> None:
        self._answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})
