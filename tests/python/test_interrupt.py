"""Ctrl-C: during a long prompt, while text comes, and while a model loads."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.native

# A prompt that takes a debug-slow executor minutes: the signal must reach it within an op.
LONG = """
import signal, sys, time, threading, os
import puna
from puna._native import core
os.environ["PUNA_ISA"] = "scalar"
llm = puna.Llama(core.tiny_model(), n_ctx=40000, n_batch=20000, n_threads=1)
print("ready", flush=True)
started = time.perf_counter()
try:
    llm.create_completion([5] * 20000, max_tokens=1)
except KeyboardInterrupt:
    stopped = time.perf_counter()
    llm.reset()
    again = llm.create_completion([5, 6], max_tokens=2)
    print("stopped", stopped - started, again["usage"]["completion_tokens"], flush=True)
"""

STREAM = """
import puna
from puna._native import core
llm = puna.Llama(core.tiny_model(), n_ctx=100000)
print("ready", flush=True)
try:
    for chunk in llm.create_completion("a", max_tokens=None, stream=True, logit_bias={2: -1e9}):
        pass
except KeyboardInterrupt:
    print("stopped", 0, llm.create_completion("b", max_tokens=2)["usage"]["completion_tokens"], flush=True)
"""


def start(*command: str) -> subprocess.Popen[bytes]:
    """A Python that heeds SIGINT, even where these tests run as a job in the background, which ignores it."""
    heed = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, *command], bufsize=0, preexec_fn=heed, **pipes)


@pytest.mark.parametrize("program", [LONG, STREAM], ids=["prompt", "stream"])
def test_ctrl_c_stops_the_work_and_the_model_lives(program):
    process = start("-c", program)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(0.5)
    sent = time.perf_counter()
    os.kill(process.pid, signal.SIGINT)
    found = process.stdout.readline().split()
    waited = time.perf_counter() - sent
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert found[0] == b"stopped"
    assert int(found[2]) == 2
    assert waited < 20  # seconds on a busy machine; the prompt alone would take minutes


def test_a_command_that_is_interrupted_says_nothing(tiny, tmp_path):
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny)
    process = start("-m", "puna", "run", "-m", str(path), "-c", "100000", "-no-cnv", "a")
    assert process.stdout is not None
    process.stdout.read(1)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (130, 0)  # 0 where the model ended by itself before
    assert b"Traceback" not in err
