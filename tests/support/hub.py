"""A local stand-in for the Hub: the endpoints that PAL's downloads, backup and pushes use."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_standin"
_REPO = r"/api/datasets/([\w.-]+/[\w.-]+)"


@dataclass
class Hub:
    """What the stand-in holds. ``refusing`` makes every request fail with 403;
    while ``gate`` is not set, no request for a data set is answered.

    ``models`` are public: files by repository, at every revision. ``requests``
    are the method and file name of every request for one of them; ``breaks``
    cuts the next answers short, after so many bytes.
    """

    url: str = ""
    refusing: bool = False
    private: dict[str, bool] = field(default_factory=dict)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    commits: list[tuple[str, list[str]]] = field(default_factory=list)
    squashed: list[str] = field(default_factory=list)
    models: dict[str, dict[str, bytes]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def sha(self) -> str:
        return hashlib.sha1(str(len(self.commits)).encode()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._body = b""
        path = unquote(urlsplit(self.path).path)
        if match := re.fullmatch(r"/(?!datasets/|api/)([\w.-]+/[\w.-]+)/resolve/(\w+)/(.+)", path):
            return self._model(*match.groups())
        if not self._allowed():
            return
        if match := re.fullmatch(_REPO + r"/tree/[^/]+", path):
            self._answer([_entry(name, data) for name, data in self._files(match[1]).items()])
        elif match := re.fullmatch(_REPO + r"(?:/revision/main)?", path):
            if match[1] not in self.hub.files:
                return self._fail(404, "RepoNotFound")
            siblings = [{"rfilename": name} for name in self.hub.files[match[1]]]
            self._answer({"id": match[1], "sha": self.hub.sha(), "siblings": siblings, "private": True})
        elif match := re.fullmatch(r"/datasets/([\w.-]+/[\w.-]+)/resolve/[^/]+/(.+)", path):
            data = self._files(match[1]).get(match[2])
            if data is None:
                return self._fail(404, "EntryNotFound")
            headers = {"X-Repo-Commit": self.hub.sha(), "ETag": f'"{_oid(data)}"', "Accept-Ranges": "bytes"}
            self._send(200, data, headers)
        else:
            self._fail(404, "RepoNotFound")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self._body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            self._body = self._chunks()
        path = unquote(urlsplit(self.path).path)
        if not self._allowed():
            return
        if path == "/api/repos/create":
            self._create()
        elif path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif match := re.fullmatch(_REPO + r"/preupload/main", path):
            files = json.loads(self._body)["files"]
            modes = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]
            self._answer({"files": modes})
        elif match := re.fullmatch(_REPO + r"/commit/main", path):
            self._commit(match[1])
        elif match := re.fullmatch(_REPO + r"/super-squash/main", path):
            self.hub.squashed.append(match[1])
            self._answer({})
        else:
            self._fail(404, "RepoNotFound")

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _create(self) -> None:
        asked = json.loads(self._body)
        name = f"{asked['organization']}/{asked['name']}"
        with self.hub.lock:
            known = name in self.hub.files
            self.hub.files.setdefault(name, {})
            self.hub.private.setdefault(name, asked.get("visibility") == "private" or asked.get("private"))
        url = f"{self.hub.url}/datasets/{name}"
        self._answer({"url": url, "name": name, "id": name}, 409 if known else 200)

    def _commit(self, repo: str) -> None:
        if repo not in self.hub.files:
            return self._fail(404, "RepoNotFound")
        lines = [json.loads(line) for line in self._body.splitlines()]
        changed = []
        with self.hub.lock:
            for line in lines:
                if line["key"] == "file":
                    value = line["value"]
                    self.hub.files[repo][value["path"]] = base64.b64decode(value["content"])
                    changed.append(value["path"])
            self.hub.commits.append((repo, changed))
        url = f"{self.hub.url}/datasets/{repo}/commit/{self.hub.sha()}"
        self._answer({"commitUrl": url, "commitOid": self.hub.sha(), "hookOutput": ""})

    def _allowed(self) -> bool:
        self.hub.gate.wait(60)
        if self.hub.refusing:
            self._fail(403, "")
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._fail(401, "")
        else:
            return True
        return False

    def _model(self, repo: str, revision: str, name: str) -> None:
        self.hub.requests.append((self.command, name))
        data = self.hub.models.get(repo, {}).get(name)
        if self.hub.refusing:
            return self._fail(403, "")
        if data is None:
            return self._fail(404, "EntryNotFound")
        headers = {"X-Repo-Commit": revision, "ETag": f'"{_oid(data)}"', "Accept-Ranges": "bytes"}
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        size = len(data)
        if start:
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        self._send(206 if start else 200, data[start:], headers)

    def _files(self, repo: str) -> dict[str, bytes]:
        return self.hub.files.get(repo, {})

    def _answer(self, content: object, status: int = 200) -> None:
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _fail(self, status: int, code: str) -> None:
        headers = {"X-Error-Code": code} if code else {}
        self._send(status, json.dumps({"error": code or str(status)}).encode(), headers)

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET" and self.hub.breaks:
            data, self.close_connection = data[: self.hub.breaks.pop(0)], True
        if self.command != "HEAD":
            self.wfile.write(data)


def _oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _entry(name: str, data: bytes) -> dict:
    return {"type": "file", "path": name, "size": len(data), "oid": _oid(data)}


@contextlib.contextmanager
def running() -> Iterator[Hub]:
    """A stand-in that listens on 127.0.0.1 until the end."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
