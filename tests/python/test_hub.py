"""`puna pull` and `puna.hub`, against a server in this process that speaks the hub's HTTP."""

import functools
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlparse

import pytest

import puna
from puna.cli import main

pytestmark = pytest.mark.native
constants = pytest.importorskip("huggingface_hub.constants", reason="huggingface_hub is not installed")

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


@pytest.fixture
def hub(tiny, tmp_path, monkeypatch):
    found = Hub()
    found.files = {
        "README.md": b"#",
        "m-Q8_0.gguf": tiny + b"8",
        "m-Q4_K_M.gguf": tiny,
        "mmproj-m-Q4_K_M.gguf": b"x",
    }
    found.home = tmp_path / "home"
    found.environment = os.environ | {
        "HF_ENDPOINT": found.url, "HF_HOME": str(found.home), "HF_TOKEN": "hf_secret", "HF_HUB_DISABLE_XET": "1",
    }  # fmt: skip
    use(monkeypatch, found.url)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(found.home / "hub"))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    yield found
    found.close()


def use(monkeypatch, url):
    """What HF_ENDPOINT does when the package is imported."""
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + template)


@pytest.fixture
def pull(hub, capsys):
    """Pulls in this process; answers exit code, text and errors."""

    def run(*arguments):
        try:
            code = main(["pull", *map(str, arguments)])
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


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


def test_a_model_is_pulled_once(hub, pull):
    path = path_of(pull(f"{REPO}:Q8_0"))
    assert path.endswith(f"/snapshots/{COMMIT}/m-Q8_0.gguf")
    assert bytes_of(path) == hub.files["m-Q8_0.gguf"]
    assert path_of(pull(f"{REPO}:q8_0")) == path
    assert len(hub.requests) == 1


def test_the_token_goes_to_the_hub_alone(hub, pull):
    pull(REPO)
    assert [authorization for *_, authorization in hub.requests] == [None]


def test_without_a_quant_it_is_llama_cpps_choice(hub, pull):
    assert path_of(pull(REPO)).endswith("/m-Q4_K_M.gguf")
    assert path_of(pull(f"{REPO}:latest")).endswith("/m-Q4_K_M.gguf")
    del hub.files["m-Q4_K_M.gguf"]
    assert path_of(pull(REPO)).endswith("/m-Q8_0.gguf")
    assert path_of(pull(REPO, "-hff", "mmproj*")).endswith("/mmproj-m-Q4_K_M.gguf")


def test_a_split_model_is_pulled_whole(hub, pull):
    for i in (1, 2, 3):
        hub.files[f"big/b-Q6_K-0000{i}-of-00003.gguf"] = bytes([i])
    path = path_of(pull(f"{REPO}:Q6_K"))
    assert path.endswith("/big/b-Q6_K-00001-of-00003.gguf")
    assert [bytes_of(path.replace("00001-of", f"0000{i}-of")) for i in (1, 2, 3)] == [
        b"\1",
        b"\2",
        b"\3",
    ]


def test_files_may_go_into_a_folder(hub, pull, tmp_path):
    for _ in range(2):
        assert path_of(pull(REPO, "--local-dir", tmp_path / "here")) == str(tmp_path / "here/m-Q4_K_M.gguf")
    assert [p.name for p in (tmp_path / "here").iterdir()] == ["m-Q4_K_M.gguf"]
    assert len(hub.requests) == 1


def test_what_was_begun_of_an_older_version_goes(hub, pull, tmp_path):
    names = [".m-Q4_K_M.gguf.01234567.part", ".other.gguf.01234567.part"]
    for name in names:
        (tmp_path / name).write_bytes(b"begun")
    pull(REPO, "--local-dir", tmp_path)
    assert sorted(p.name for p in tmp_path.glob("*.*")) == [names[1], "m-Q4_K_M.gguf"]


def test_an_interrupted_pull_goes_on(hub, pull, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between tries
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100)
    hub.cut = 1000
    code, out, err = pull(REPO)
    assert (code, out) == (1, "")
    assert f"{REPO}: broke off: " in err
    assert "the next try goes on where this one ended" in err
    assert blobs(hub) == []
    (part,) = incomplete(hub)
    n_bytes = part.stat().st_size
    assert 1000 <= n_bytes < len(hub.files["m-Q4_K_M.gguf"])
    hub.cut = None
    hub.requests.clear()
    path = path_of(pull(REPO))
    assert bytes_of(path) == hub.files["m-Q4_K_M.gguf"]
    assert hub.requests[0][1] == f"bytes={n_bytes}-"
    assert incomplete(hub) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize(("sent", "code"), [("SIGKILL", -9), ("SIGINT", 130)])
def test_a_pull_that_was_killed_goes_on(hub, pull, sent, code):
    size = 40_000_000
    hub.files["m-Q4_K_M.gguf"] = bytes(size)
    hub.cut, hub.stalls = size // 2, True
    command = [sys.executable, "-m", "puna", "pull", REPO]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    default = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, env=hub.environment, preexec_fn=default, **pipes)
    deadline = time.monotonic() + 60
    while not any(p.stat().st_size for p in incomplete(hub)) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(getattr(signal, sent))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (code, b"", b"")
    assert blobs(hub) == []
    (part,) = incomplete(hub)
    assert 0 < part.stat().st_size < size
    hub.cut = None
    assert os.path.getsize(path_of(pull(REPO))) == size


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of files")
def test_a_full_disk_leaves_no_wrong_file_and_the_next_pull_goes_on(hub, pull):
    import resource

    def few_bytes():  # a disk of 15 MB
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (15_000_000, 15_000_000))

    hub.files["m-Q4_K_M.gguf"] = bytes(30_000_000)
    command = [sys.executable, "-m", "puna", "pull", REPO]
    done = subprocess.run(command, env=hub.environment, preexec_fn=few_bytes, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("puna: error: ")
    assert done.stderr.count("\n") == 1
    assert blobs(hub) == []
    hub.requests.clear()
    assert os.path.getsize(path_of(pull(REPO))) == 30_000_000
    assert hub.requests[0][1] is not None


@pytest.mark.parametrize(
    "change", [lambda d: d[:-1] + bytes([d[-1] ^ 1]), lambda d: b"?" + d[1:]], ids=["end", "beginning"]
)
def test_bytes_with_another_hash_are_refused(hub, pull, change):
    hub.forged["m-Q4_K_M.gguf"] = change(hub.files["m-Q4_K_M.gguf"])
    code, out, err = pull(REPO)
    assert (code, out) == (1, "")
    assert "m-Q4_K_M.gguf: the bytes that came have the hash" in err
    assert blobs(hub) == incomplete(hub) == []
    hub.forged.clear()
    assert path_of(pull(REPO))


@pytest.mark.parametrize("change", [lambda d: d[:-7], lambda d: d + b"more"], ids=["short", "long"])
def test_another_size_is_refused(hub, pull, change, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    hub.forged["m-Q4_K_M.gguf"] = change(hub.files["m-Q4_K_M.gguf"])
    code, out, err = pull(REPO)
    assert (code, out) == (1, "")
    assert "puna: error: " in err
    assert blobs(hub) == []
    hub.forged.clear()
    assert bytes_of(path_of(pull(REPO))) == hub.files["m-Q4_K_M.gguf"]


def test_what_was_pulled_is_there_without_the_hub(hub, pull):
    path = path_of(pull(REPO))
    assert path_of(pull(REPO, "--offline")) == path
    hub.status = 503
    hub.requests.clear()
    assert pull(f"{REPO}:Q8_0", "--offline")[0] == 1
    assert hub.requests == []


def test_where_nobody_answers_the_cache_does(hub, pull, monkeypatch):
    path = path_of(pull(REPO))
    use(monkeypatch, "http://127.0.0.1:9")
    assert path_of(pull(REPO)) == path
    code, _, err = pull("user/other")
    assert code == 1
    assert err.startswith("puna: error: user/other: http://127.0.0.1:9 could not be reached: ")
    assert "HF_ENDPOINT" in err
    assert "-m FILE" in err
    assert err.count("\n") == 1


def test_where_the_hub_must_not_be_asked_the_cache_answers(hub, pull):
    path = path_of(pull(REPO))
    refused = "puna: error: user/other is not here yet, and HF_HUB_OFFLINE forbids to fetch it\n"
    for model, answer in ((REPO, (0, f"{path}\n", "")), ("user/other", (1, "", refused))):
        command = [sys.executable, "-m", "puna", "pull", model]
        environment = hub.environment | {"HF_HUB_OFFLINE": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout, done.stderr) == answer


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("user/nothing", "no such repository"),
        (f"{REPO}:Q2_K", "no such file; there are m-Q8_0.gguf, m-Q4_K_M.gguf"),
        (f"{REPO} -hff *.gguf", "several files match"),
        (f"{REPO} -hff nothing.gguf", "no file matches; there are: README.md"),
        ("model", "'model', expected user/repository"),
        (f"{REPO}:", "expected user/repository or user/repository:quant"),
        ("user/other --offline", "is not in the cache"),
    ],
)
def test_what_cannot_be_pulled_is_said_in_a_line(arguments, says, pull):
    code, out, err = pull(*arguments.split())
    assert (code, out) == (2 if "expected user/repo" in says else 1, "")
    assert err.startswith("puna: error: ")
    assert err.count("\n") == 1
    assert says in err


def test_commands_take_models_of_the_hub(hub, capsys):
    assert main(["info", "-hf", f"{REPO}:Q4_K_M", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["arch"] == "llama"
    assert main(["run", "-hf", REPO, "-no-cnv", "-n", "1", "a"]) == 0
    for word in (f"{REPO}:Q8_0", f"hf.co/{REPO}", f"https://huggingface.co/{REPO}:latest"):
        assert main(["run", word, "-no-cnv", "-n", "1", "a"]) == 0
        assert main(["info", word]) == 0
        assert capsys.readouterr().out.startswith("a")
    assert main(["run", "-hf", REPO, "-m", "b.gguf", "a"]) == 2
    assert "models by -m b.gguf and -hf user/model, expected one" in capsys.readouterr().err
    assert main(["run", "-hff", "b.gguf", "a"]) == 2
    assert "-hff b.gguf, expected -hf with it" in capsys.readouterr().err


def test_what_was_pulled_is_listed(hub, pull, capsys):
    assert main(["list"]) == 0
    out, err = capsys.readouterr()
    assert (out, err.endswith("puna pull user/repository fetches one\n")) == ("", True)
    for i in (1, 2):
        hub.files[f"big/b-Q6_K-0000{i}-of-00002.gguf"] = bytes(10 * i)
    paths = [path_of(pull(f"{REPO}:{quant}")) for quant in ("Q4_K_M", "Q6_K", "Q8_0")]
    assert main(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [model["name"] for model in found] == [f"{REPO}:Q4_K_M", f"{REPO}:Q6_K", f"{REPO}:Q8_0"]
    assert [model["path"] for model in found] == paths
    assert [model["n_bytes"] for model in found] == [
        len(hub.files["m-Q4_K_M.gguf"]),
        30,
        len(hub.files["m-Q8_0.gguf"]),
    ]
    assert main(["list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        model["name"] for model in found
    ]


def test_from_pretrained_opens_a_model_of_the_hub(hub):
    with puna.Llama.from_pretrained(REPO, "*Q8_0.gguf", n_ctx=16) as llm:
        assert llm.n_vocab() > 0


def test_names_that_leave_the_folder_are_refused(hub, pull, tmp_path):
    hub.files = {"../../m-Q4_K_M.gguf": b"x"}
    code, _, err = pull(REPO, "--local-dir", tmp_path / "a/b/c")
    assert code == 1
    assert "expected a name within the repository" in err


def test_without_the_package_its_name_is_said(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert main(["pull", REPO]) == 1
    assert "pip install 'puna[hub]'" in capsys.readouterr().err
