"""As much of the Hugging Face Hub as pushing and pulling a repository needs, on a real socket, files in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote


class HubServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.commits: dict[str, dict[str, bytes]] = {}
        self.messages: list[dict[str, Any]] = []
        self.tags: dict[str, str] = {}
        self.large: dict[str, bytes] = {}
        self.tokens: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def files_at(self, revision: str) -> dict[str, bytes] | None:
        if revision == "main":
            return self.files
        return self.commits.get(self.tags.get(revision, revision))

    def commit_at(self, revision: str) -> str:
        return next(reversed(self.commits), "0" * 40) if revision == "main" else self.tags.get(revision, revision)


class _Handler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = unquote(self.path.partition("?")[0])
        self.server.tokens.add(self.headers.get("Authorization", ""))
        if path == "/api/repos/create":
            self.say({"url": f"{self.server.url}/our/ticket"})
        elif path == "/api/validate-yaml":
            self.say({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            modes = [
                {"path": f["path"], "shouldIgnore": False, "oid": None}
                | {"uploadMode": "lfs" if f["path"].endswith(".safetensors") else "regular"}
                for f in json.loads(body)["files"]
            ]
            self.say({"files": modes})
        elif path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**o, "actions": {"upload": {"href": f"{self.server.url}/large/{o['oid']}"}}}
                for o in json.loads(body)["objects"]
            ]
            self.say({"transfer": "basic", "objects": objects}, "application/vnd.git-lfs+json")
        elif "/commit/" in path:
            self.commit([json.loads(line) for line in body.splitlines()])
        elif "/tag/" in path:
            self.server.tags[json.loads(body)["tag"]] = path.rpartition("/")[2]
            self.say({})
        else:
            self.say({"error": f"no {path}"}, status=404)

    def commit(self, lines: list[dict[str, Any]]) -> None:
        server = self.server
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                server.messages.append(value)
            elif line["key"] == "file":
                server.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                server.files[value["path"]] = server.large[value["oid"]]
            elif line["key"] == "deletedFile":
                server.files.pop(value["path"], None)
        oid = hashlib.sha1(str(len(server.commits)).encode()).hexdigest()
        server.commits[oid] = dict(server.files)
        self.say({"commitUrl": f"{server.url}/our/ticket/commit/{oid}", "commitOid": oid, "success": True})

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.large[self.path.rpartition("/")[2]] = body
        self.say({})

    def do_HEAD(self) -> None:
        self.do_GET(send=False)

    def do_GET(self, send: bool = True) -> None:
        path = unquote(self.path.partition("?")[0])
        server = self.server
        if path.endswith("/refs"):
            tags = [{"name": n, "ref": f"refs/tags/{n}", "targetCommit": c} for n, c in server.tags.items()]
            self.say({"branches": [], "converts": [], "tags": tags})
        elif found := re.fullmatch(r"/api/models/our/ticket/(?:revision|tree)/([^/]+)", path):
            files = server.files_at(found[1])
            if files is None:
                self.say({"error": "no revision"}, status=404, code="RevisionNotFound")
            elif "/tree/" in path:
                self.say([{"type": "file", "path": n, "size": len(d), "oid": "0" * 40} for n, d in files.items()])
            else:
                siblings = [{"rfilename": name} for name in files]
                self.say({"id": "our/ticket", "sha": server.commit_at(found[1]), "siblings": siblings})
        elif found := re.fullmatch(r"/our/ticket/resolve/([^/]+)/(.+)", path):
            data = (server.files_at(found[1]) or {}).get(found[2])
            if data is None:
                self.say({"error": "no file"}, status=404, code="EntryNotFound")
            else:
                self.send(data, send, {"X-Repo-Commit": server.commit_at(found[1])})
        else:
            self.say({"error": f"no {path}"}, status=404, code="RepoNotFound")

    def say(self, value: Any, kind: str = "application/json", status: int = 200, code: str | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def send(self, data: bytes, body: bool, headers: dict[str, str]) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def hub() -> Iterator[HubServer]:
    server = HubServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
