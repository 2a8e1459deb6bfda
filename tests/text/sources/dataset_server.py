"""The part of the Hugging Face hub that the `datasets` library asks for data sets, on loopback.

Speaks metadata, trees and `resolve` with ranges; knows gated repositories. Requests are written
down.
"""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "a" * 40


class DatasetServer(ThreadingHTTPServer):
    """Data sets by name, each with its files by path; from `with` until its end."""

    daemon_threads = True

    def __init__(self, repositories, gated=()):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories, self.gated, self.asked = repositories, gated, []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error):
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(path)
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "datasets"] and parts[2:3] == ["old"]:  # one that had no owner
            self.answer(200, json.dumps(self.facts("org/plain")).encode())
        elif parts[:2] == ["api", "datasets"]:
            self.metadata("/".join(parts[2:4]), parts[4:])
        elif parts[0] == "datasets" and parts[3:4] == ["resolve"]:
            self.resolve("/".join(parts[1:3]), parts[4], "/".join(parts[5:]))
        else:
            self.refuse("RepoNotFound")

    do_HEAD = do_GET

    def facts(self, repo):
        names = [{"rfilename": name} for name in self.server.repositories[repo]]
        return {"_id": "0", "id": repo, "sha": COMMIT, "private": False, "gated": False} | {
            "disabled": False,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "siblings": names,
        }

    def metadata(self, repo, parts):
        files = self.server.repositories.get(repo)
        if files is None:
            self.refuse("RepoNotFound")
        elif parts[:1] == ["tree"]:
            self.answer(200, json.dumps(_tree(files, "/".join(parts[2:]))).encode())
        else:
            self.answer(200, json.dumps(self.facts(repo)).encode())

    def resolve(self, repo, revision, name):
        files = self.server.repositories.get(repo)
        if files is None:
            self.refuse("RepoNotFound")
        elif repo in self.server.gated:
            self.refuse("GatedRepo", 401)
        elif revision not in ("main", COMMIT):
            self.refuse("RevisionNotFound")
        elif name not in files:
            self.refuse("EntryNotFound")
        else:
            headers = {"ETag": f'"{_oid(files[name])}"', "X-Repo-Commit": COMMIT}
            first, _, last = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
            if not first:
                self.answer(200, files[name], headers)
                return
            body = files[name][int(first) : int(last or len(files[name])) + 1]
            span = f"bytes {first}-{int(first) + len(body) - 1}/{len(files[name])}"
            self.answer(206, body, headers | {"Content-Range": span})

    def refuse(self, code, status=404):
        self.answer(status, b"", {"X-Error-Code": code})

    def answer(self, status, body, headers=None):
        self.send_response(status)
        told = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        for name, value in (told | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *words):
        pass


def _tree(files, folder):
    """What stands in a folder: its files, and the folders in it."""
    within = f"{folder}/" if folder else ""
    names = [name.removeprefix(within) for name in files if name.startswith(within)]
    folders = dict.fromkeys(name.partition("/")[0] for name in names if "/" in name)
    return [
        {
            "type": "file",
            "path": within + name,
            "size": len(files[within + name]),
            "oid": _oid(files[within + name]),
        }
        for name in names
        if "/" not in name
    ] + [{"type": "directory", "path": within + name, "oid": "0" * 40} for name in folders]


def _oid(content):
    return hashlib.sha1(content).hexdigest()
