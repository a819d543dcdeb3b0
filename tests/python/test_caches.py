"""Caches of prompts: in memory, in a folder, of one's own, and those that fail."""

import asyncio
import errno
import pickle
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import puna
from puna._native import core

TOKENS = [5, 6, 7, 8, 9]


def text(response: dict) -> str:
    return response["choices"][0]["text"]


@pytest.fixture(params=["ram", "disk"])
def cache(request, tmp_path):
    return puna.LlamaRAMCache() if request.param == "ram" else puna.LlamaDiskCache(tmp_path / "cache")


def test_a_cache_brings_a_prompt_back(llm, cache):
    prompt = "a prompt that is quite long"
    llm.set_cache(cache)
    first = text(llm(prompt, max_tokens=6, temperature=0))
    assert llm.timings.n_reused == 0
    llm("something else", max_tokens=6)
    llm.reset()
    assert text(llm(prompt, max_tokens=6, temperature=0)) == first
    assert llm.timings.n_reused == len(llm.tokenize(prompt)) - 1  # the last brings the logits


def test_a_cache_keeps_what_a_stream_left(llm, cache):
    llm.set_cache(cache)
    "".join(text(chunk) for chunk in llm("a prompt", max_tokens=4, stream=True))
    assert len(cache.keys()) == 1
    assert llm.tokenize("a prompt") in cache
    assert [99, 98] not in cache
    with pytest.raises(KeyError):
        cache[[99, 98]]


def test_a_cache_takes_no_more_than_its_capacity(llm, tmp_path):
    llm.eval(TOKENS)
    state = llm.save_state()
    capacity = 2 * state.llama_state_size + 200
    for cache in (puna.LlamaRAMCache(capacity), puna.LlamaDiskCache(tmp_path, capacity)):
        for first in (1, 2, 3):
            cache[[first, *TOKENS]] = state
        assert cache.cache_size <= capacity
        keys = cache.keys()
        assert sorted(key[0] for key in keys) == [2, 3]


def test_a_cache_in_a_folder_tells_uses_of_one_moment_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "time_ns", lambda: 1_800_000_000_000_000_000)
    cache = puna.LlamaDiskCache(tmp_path)
    for i in range(20):
        cache[[i, 7]] = puna.LlamaState([i, 7], None, 2, b"bytes", 5)
    assert len({path.stat().st_mtime_ns // 10**6 for path in tmp_path.iterdir()}) == 20
    assert cache.keys() == [(i, 7) for i in range(20)]
    cache[[3]]
    assert cache.keys() == [(i, 7) for i in [*range(3), *range(4, 20), 3]]


@pytest.mark.native
def test_threads_share_a_cache_in_memory():
    state = puna.LlamaState([1], None, 1, b"", 10)
    cache = puna.LlamaRAMCache(200)

    def use(thread: int) -> int:
        for i in range(300):
            cache[[7, thread, i]] = state
            assert cache[[7]] is state
            assert cache.cache_size <= 200
        return len(cache.keys())

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(use, range(4)))[-1] <= 20
    finally:
        sys.setswitchinterval(interval)


def test_a_cache_in_memory_is_pickled_with_its_states():
    cache = puna.LlamaRAMCache(200)
    cache[TOKENS] = puna.LlamaState(TOKENS, None, len(TOKENS), b"bytes", 5)
    other = pickle.loads(pickle.dumps(cache))
    assert (other.keys(), other[TOKENS], other.capacity_bytes) == (cache.keys(), cache[TOKENS], 200)


def test_a_cache_of_another_model_does_no_harm(tiny, cache):
    """Its states are refused by the fingerprint, so a completion begins anew."""
    with puna.Llama(core.tiny_model(seed=1), n_ctx=64) as other:
        other.set_cache(cache)
        other("a prompt", max_tokens=4)
    with puna.Llama(tiny, n_ctx=64) as llm:
        expected = text(llm("a prompt", max_tokens=4, temperature=0))
        llm.reset()
        llm.set_cache(cache)
        assert text(llm("a prompt", max_tokens=4, temperature=0)) == expected


def test_a_file_of_a_cache_that_is_broken_does_no_harm(llm, tmp_path):
    cache = puna.LlamaDiskCache(tmp_path)
    llm.set_cache(cache)
    expected = text(llm("a prompt", max_tokens=4, temperature=0))
    (path,) = tmp_path.glob("*.state")
    whole = path.read_bytes()
    for cut in (0, 3, 8, 30, len(whole) - 5):
        path.write_bytes(whole[:cut])
        llm.reset()
        assert text(llm("a prompt", max_tokens=4, temperature=0)) == expected


def test_what_is_no_cache_is_refused(llm):
    with pytest.raises(puna.errors.ArgumentError, match="cache = {}, expected LlamaRAMCache"):
        llm.set_cache({})


@pytest.fixture
def full_disk(monkeypatch):
    """From now on nothing is written any more."""

    def refuse(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")  # of a write it names no file

    return lambda: monkeypatch.setattr(Path, "write_bytes", refuse)


def test_a_cache_that_fails_loses_no_answer_and_says_so_once(llm, tmp_path, full_disk):
    expected = text(llm("a prompt", max_tokens=4, temperature=0))
    llm.reset()
    cache = puna.LlamaDiskCache(tmp_path)
    llm.set_cache(cache)
    full_disk()
    with pytest.warns(RuntimeWarning, match="the cache does not work.*No space left") as caught:
        assert text(llm("a prompt", max_tokens=4, temperature=0)) == expected
        chunks = llm("a prompt", max_tokens=4, temperature=0, stream=True)
        assert "".join(text(chunk) for chunk in chunks) == expected
    assert [warning.filename for warning in caught] == [__file__]
    with pytest.raises(puna.errors.FileError, match=r"\.state: No space left"):
        cache[TOKENS] = llm.save_state()
    assert not list(tmp_path.iterdir())


class Broken(puna.LlamaRAMCache):
    """One of the user's own, with a mistake in it."""

    def __getitem__(self, key):
        raise RuntimeError("mistaken")

    def __setitem__(self, key, value):
        raise RuntimeError("mistaken")


WAYS = ["whole", "stream", pytest.param("async", marks=pytest.mark.native), "where warnings are errors"]


@pytest.mark.parametrize("way", WAYS)
def test_a_cache_that_raises_anything_loses_no_answer(llm, way):
    expected = text(llm("a prompt", max_tokens=4, temperature=0))
    llm.reset()
    llm.set_cache(Broken())
    with warnings.catch_warnings():
        warnings.simplefilter("error" if way.endswith("errors") else "ignore")
        if way == "stream":
            chunks = llm("a prompt", max_tokens=4, temperature=0, stream=True)
            assert "".join(text(chunk) for chunk in chunks) == expected
        elif way == "async":
            answer = asyncio.run(llm.acreate_completion("a prompt", max_tokens=4, temperature=0))
            assert text(answer) == expected
        else:
            assert text(llm("a prompt", max_tokens=4, temperature=0)) == expected


def test_a_state_is_not_kept_where_the_context_changed_meanwhile(llm, monkeypatch):
    class Busy:
        """The session, in which another thread takes off a token as soon as it was saved."""

        def __getattr__(self, name):
            return getattr(session, name)

        def save(self, seq):
            data = session.save(seq)
            session.remove(seq, 2, session.n_past(seq))
            return data

    session = llm._open_session
    monkeypatch.setattr(llm, "_open_session", Busy())
    llm.set_cache(cache := puna.LlamaRAMCache())
    assert text(llm("a prompt", max_tokens=4, temperature=0))
    assert cache.keys() == []
    llm.eval(TOKENS)
    with pytest.raises(puna.errors.ContextError, match="changed while it was saved"):
        llm.save_state()


@pytest.mark.native
def test_a_folder_that_is_gone_loses_no_answer(llm, tmp_path):
    folder = tmp_path / "cache"
    llm.set_cache(puna.LlamaDiskCache(folder))
    first = text(llm("a prompt", max_tokens=4, temperature=0))
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_bytes(b"")
    with pytest.warns(RuntimeWarning, match="the cache does not work"):
        assert text(llm("a prompt", max_tokens=4, temperature=0)) == first


def test_a_state_that_vanished_meanwhile_is_no_state(llm, tmp_path, monkeypatch):
    cache = puna.LlamaDiskCache(tmp_path)
    cache[TOKENS] = llm.save_state()
    monkeypatch.setattr(Path, "read_bytes", lambda path: path.with_name("nothing").stat())
    with pytest.raises(KeyError, match="another process"):
        cache[TOKENS]


@pytest.mark.native
def test_the_event_loop_goes_on_while_a_cache_works(llm):
    """A cache works in a thread: what waits for its disk does not hold up other tasks."""
    threads = []

    class Slow(puna.LlamaRAMCache):
        def __getitem__(self, key):
            threads.append(threading.current_thread())
            return super().__getitem__(key)

        def __setitem__(self, key, value):
            threads.append(threading.current_thread())
            super().__setitem__(key, value)

    async def talk() -> None:
        await llm.acreate_completion("a prompt", max_tokens=2)
        async for _ in await llm.acreate_completion("a prompt", max_tokens=2, stream=True):
            pass

    llm.set_cache(Slow())
    asyncio.run(talk())
    assert len(threads) == 4
    assert threading.main_thread() not in threads


def test_a_cache_of_ones_own_has_few_methods(llm):
    class Last(puna.BaseLlamaCache):
        state = None
        cache_size = 0

        def __contains__(self, key):
            return self.state is not None

        def __getitem__(self, key):
            if self.state is None:
                raise KeyError(key)
            return self.state

        def __setitem__(self, key, value):
            self.state = value

    llm.set_cache(Last())
    first = text(llm("a prompt", max_tokens=4, temperature=0))
    llm.reset()
    assert text(llm("a prompt", max_tokens=4, temperature=0)) == first
    assert llm.timings.n_reused == len(llm.tokenize("a prompt")) - 1
