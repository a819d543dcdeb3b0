"""`puna pull` that is broken off, or gets other bytes than it was promised: the next one makes it good."""

import functools
import os
import signal
import subprocess
import sys
import time

import pytest
from hub_server import REPO, blobs, bytes_of, incomplete, path_of

pytestmark = pytest.mark.native
constants = pytest.importorskip("huggingface_hub.constants", reason="huggingface_hub is not installed")


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
