"""`generate` where all tokens have logits, while the model serves others: streams, threads, tasks of a tab."""

import asyncio
import sys
import threading
import types

import pytest

import puna

TOKENS = [5, 6, 7, 8]


def test_a_stream_under_way_loses_nothing(fast, every):
    options = {"max_tokens": 9, "temperature": 0, "ignore_eos": True}
    expected = fast("abc", **options)["choices"][0]["text"]
    stream = every("abc", stream=True, **options)
    first = next(stream)
    assert list(every.generate(TOKENS, temp=0)) == list(fast.generate(TOKENS, temp=0))
    assert "".join(chunk["choices"][0]["text"] for chunk in [first, *stream]) == expected


def test_an_awaited_stream_under_way_loses_nothing(fast, every):
    options = {"max_tokens": 9, "temperature": 0, "ignore_eos": True}
    expected = fast("abc", **options)["choices"][0]["text"], list(fast.generate(TOKENS, temp=0))

    async def run() -> tuple[str, list[int]]:
        stream = await every.acreate_completion("abc", stream=True, **options)
        chunks = [await anext(stream)]
        found = list(every.generate(TOKENS, temp=0))
        chunks += [chunk async for chunk in stream]
        return "".join(chunk["choices"][0]["text"] for chunk in chunks), found

    assert asyncio.run(run()) == expected


@pytest.mark.native
def test_awaited_streams_go_on_in_other_threads_meanwhile(fast, every):
    options = {"max_tokens": 9, "temperature": 0, "ignore_eos": True}
    expected = fast("abc", **options)["choices"][0]["text"], list(fast.generate(TOKENS, temp=0))

    async def text() -> str:
        stream = await every.acreate_completion("abc", stream=True, **options)
        return "".join([chunk["choices"][0]["text"] async for chunk in stream])

    async def run() -> tuple[str, list[int]]:
        generated = asyncio.to_thread(lambda: list(every.generate(TOKENS, temp=0)))
        return tuple(await asyncio.gather(text(), generated))

    for _ in range(5):
        assert asyncio.run(run()) == expected


def test_nothing_is_queued_to_see_whether_a_request_is_sound(every, monkeypatch):
    """Another thread's step would begin it: it would take a sequence, and call the processor once more."""
    added = []

    class Watched:
        def __getattr__(self, name):
            return getattr(session, name)

        def add(self, *given, **options):
            request = session.add(*given, **options)
            added.append((options["hook"], steps._turn.locked()))
            return request

        def cancel(self, request):
            added.append(steps._turn.locked())
            session.cancel(request)

    steps, session = every._steps, every._steps._session
    monkeypatch.setattr(steps, "_session", Watched())
    next(every.generate(TOKENS, logits_processor=lambda ids, scores: scores))
    assert added == [(None, True), True]
    assert session.is_idle


def test_what_the_only_thread_waits_for_is_not_waited_for_again(fast, every, monkeypatch):
    """As in a browser tab, whose GPU answers later: other tasks run meanwhile, in the same thread."""
    refused = []

    class Slow:
        def __getattr__(self, name):
            return getattr(session, name)

        def eval_finish(self, **options):
            return session.eval_finish(**options) if refused else None

    class Host:
        async def ready(self):
            for use in (lambda: every.eval([9]), lambda: next(every.generate([9]))):
                with pytest.raises(puna.errors.UnsupportedError, match="is waited for already") as caught:
                    use()
                refused.append(caught.type)

        def close(self):
            pass

    browser = types.ModuleType("puna.browser")
    browser.wait_for = asyncio.run
    monkeypatch.setitem(sys.modules, "puna.browser", browser)
    session, host = every._session, Host()
    monkeypatch.setattr(every, "_open_session", Slow())
    monkeypatch.setattr(every, "_host", host)
    monkeypatch.setattr(every._steps, "_host", host)
    expected = fast.generate(TOKENS, temp=0)
    for use in (lambda: every.eval(TOKENS), lambda: next(every.generate(TOKENS, temp=0))):
        refused.clear()
        every.reset()
        found = use()
        assert len(refused) == 2
        assert every.eval_tokens == TOKENS
    assert found == next(expected)


@pytest.mark.native
def test_threads_may_generate_at_once(fast, every):
    prompts = [[*TOKENS, i] for i in range(4)]
    expected = [list(fast.generate(prompt, temp=0)) for prompt in prompts]
    found: list[list[int]] = [[] for _ in prompts]

    def run(i: int) -> None:
        found[i] += every.generate(prompts[i], temp=0)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(prompts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected
