"""A server in this process that speaks the hub's HTTP, and what was fetched from it: for `test_hub*.py`."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlparse

COMMIT = "c0ffee" + 34 * "0"
REPO = "user/model"


class Hub:
    """The hub and, at another address, its store. `cut` ends an answer of the store after so many bytes, and those
    after it at once."""

    def __init__(self):
        self.files = {}
        self.requests = []  # of the store: path, Range, Authorization
        self.cut = None
        self.forged = {}  # files that are not what the hub says of them
        self.status = 200
        self.stalls = False  # before it ends an answer
        self.closed = threading.Event()
        self.hub = serve(self, Api)
        self.store = serve(self, Store)
        self.url = f"http://127.0.0.1:{self.hub.server_port}"

    def promised(self, name):
        data = self.files[name]
        return {"size": len(data), "sha": hashlib.sha256(data).hexdigest()}

    def close(self):
        self.closed.set()
        for server in (self.hub, self.store):
            server.shutdown()
            server.server_close()


class Api(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = urlparse(self.path).path
        hub = self.server.owner
        if hub.status != 200:
            return self.answer(hub.status, b"", {"X-Error-Message": "no"})
        if path == f"/api/models/{REPO}":
            files = [{"rfilename": name} for name in hub.files]
            about = {"id": REPO, "sha": COMMIT, "siblings": files}
            return self.answer(200, json.dumps(about).encode(), {"Content-Type": "application/json"})
        name = path.removeprefix(f"/{REPO}/resolve/main/")
        if name == path or name not in hub.files:
            code = "EntryNotFound" if name != path else "RepoNotFound"
            return self.answer(404, b"", {"X-Error-Code": code})
        promised = hub.promised(name)
        about = {
            "Location": f"http://127.0.0.1:{hub.store.server_port}/{name}",
            "X-Repo-Commit": COMMIT,
            "X-Linked-Size": str(promised["size"]),
            "X-Linked-Etag": f'"{promised["sha"]}"',
            "ETag": '"of the redirect"',
        }
        return self.answer(302, b"", about)

    def answer(self, status, body, headers):
        self.send_response(status)
        for key, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class Store(Api):
    def do_GET(self):
        hub = self.server.owner
        name = self.path[1:]
        wanted = self.headers.get("Range")
        hub.requests.append((name, wanted, self.headers.get("Authorization")))
        data = hub.forged.get(name, hub.files[name])
        first = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(data) - first))
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        rest = data[first:]
        if hub.cut is not None:
            self.wfile.write(rest[: hub.cut])
            hub.cut = 0
            self.wfile.flush()
            if hub.stalls:
                hub.closed.wait(60)
            self.connection.close()
            return
        self.wfile.write(rest)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that went away is no error here."""


def serve(owner, handler):
    server = Server(("127.0.0.1", 0), handler)
    server.owner = owner
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def use(monkeypatch, url):
    """What HF_ENDPOINT does when the package is imported."""
    from huggingface_hub import constants

    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + template)


def path_of(answer):
    code, out, err = answer
    assert (code, err) == (0, "")
    return out.removesuffix("\n")


def bytes_of(path):
    return Path(path).read_bytes()


def incomplete(hub):
    return [p for p in hub.home.rglob("*.part") if p.is_file()]


def blobs(hub):
    return sorted(p.name for p in hub.home.glob("hub/*/blobs/*") if not p.name.startswith("."))
