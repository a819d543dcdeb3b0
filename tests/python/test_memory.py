"""A closed model gives its memory back."""

import gc
import sys
from pathlib import Path

import pytest

import puna

N_LOADS = 30
# One load takes about 12 MB of weights and cache; what an allocator keeps for itself stays below this.
MOST_MB = 60


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


@pytest.mark.native
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("by_close", [True, False], ids=["close", "drop"])
def test_loading_again_and_again_takes_no_more(tiny, by_close):
    def load() -> None:
        llm = puna.Llama(tiny, n_ctx=2048)
        llm("ab", max_tokens=2)
        if by_close:
            llm.close()

    load()
    gc.collect()
    before = resident_mb()
    for _ in range(N_LOADS):
        load()
    gc.collect()
    assert resident_mb() - before < MOST_MB


@pytest.mark.native
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_closing_gives_back_what_a_session_took(tiny):
    """A cache of 100 MB and more, every page of it touched by evaluating into it."""
    before = resident_mb()
    session = puna.Session(tiny, n_ctx=40_000, n_batch=4000, type_k="f32", type_v="f32")
    session.eval([5] * 1000)
    session.save()
    held = session.n_bytes / 1e6
    during = resident_mb()
    session.close()
    gc.collect()
    given_back = during - resident_mb()
    assert held > 100
    assert given_back > 0.8 * (during - before)
