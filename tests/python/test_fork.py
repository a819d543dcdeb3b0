"""A model in a process that was forked from the one that opened it."""

import os
import sys
import time

import pytest

import puna

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "emscripten", reason="no fork here"),
    # Python 3.12 and later warn of what is tested here.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

PATIENCE_S = 60.0


def answer_of_child(llm: puna.Llama) -> int:
    """The exit code of a forked child that lets `llm` speak: 0 said something, 1 refused, 9 neither in time."""
    child = os.fork()
    if child == 0:
        try:
            llm.create_completion("Hello", max_tokens=1)
            os._exit(0)
        except puna.PunaError as error:
            os._exit(1 if "forked" in str(error) else 2)
        finally:
            os._exit(3)
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return 9


@pytest.mark.parametrize(("n_threads", "expected"), [(1, 0), (2, 1)])
def test_a_forked_process_answers_with_one_thread_and_refuses_with_more(
    n_threads: int, expected: int
) -> None:
    with puna.Llama(n_ctx=64, n_threads=n_threads) as llm:
        assert answer_of_child(llm) == expected
        assert llm.create_completion("Hello", max_tokens=1)["choices"]
