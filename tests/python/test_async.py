"""The awaited twins, streams that are closed, and several completions at once."""

import asyncio
import gc
import threading

import pytest

import puna

PROMPT = "Once upon a time"


def text(response: dict) -> str:
    return response["choices"][0]["text"]


def test_awaited_is_the_same_as_blocking(tiny):
    async def run() -> tuple[str, str, str]:
        llm = await puna.Llama.aload(tiny, n_ctx=64)
        with llm:
            one = await llm.acreate_completion("ab", max_tokens=8, temperature=0)
            chunks = await llm.acreate_completion("ab", max_tokens=8, temperature=0, stream=True)
            streamed = [text(chunk) async for chunk in chunks]
            return text(one), "".join(streamed), text(llm("ab", max_tokens=8, temperature=0))

    one, streamed, blocking = asyncio.run(run())
    assert one == streamed == blocking


def test_a_chat_is_awaited(tiny):
    messages = [{"role": "user", "content": "hi"}]

    async def run() -> tuple[str, str]:
        llm = await puna.Llama.aload(tiny, n_ctx=256, chat_format="chatml")
        one = await llm.acreate_chat_completion(messages, max_tokens=6, temperature=0)
        chunks = await llm.acreate_chat_completion(messages, max_tokens=6, temperature=0, stream=True)
        streamed = [chunk["choices"][0]["delta"].get("content", "") async for chunk in chunks]
        return one["choices"][0]["message"]["content"], "".join(streamed)

    one, streamed = asyncio.run(run())
    assert one == streamed


def test_eval_is_awaited(llm):
    tokens = llm.tokenize(b"abc")
    asyncio.run(llm.aeval(tokens))
    first = memoryview(llm.scores[-1]).tobytes()
    llm.reset()
    llm.eval(tokens)
    assert memoryview(llm.scores[-1]).tobytes() == first


def test_the_event_loop_goes_on_meanwhile(tiny):
    async def run() -> int:
        llm = await puna.Llama.aload(tiny, n_ctx=128)
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        counting = asyncio.ensure_future(count())
        await llm.acreate_completion("ab", max_tokens=20)
        counting.cancel()
        return turns

    assert asyncio.run(run()) > 10


def test_bad_requests_are_errors_of_the_call_not_of_the_reading(llm):
    with pytest.raises(puna.errors.ContextError):
        llm.create_completion("a" * 500, stream=True)


def test_completions_at_once_are_each_what_they_are_alone(tiny):
    prompts = ["ab", "xyz", "hello there", "q"]

    async def run() -> list[str]:
        llm = await puna.Llama.aload(tiny, n_ctx=256, n_seq_max=3)
        with llm:
            jobs = [llm.acreate_completion(p, max_tokens=12, temperature=0) for p in prompts]
            return [text(response) for response in await asyncio.gather(*jobs)]

    with puna.Llama(tiny, n_ctx=256) as llm:
        alone = [text(llm(p, max_tokens=12, temperature=0)) for p in prompts]
    assert asyncio.run(run()) == alone


def test_two_streams_may_be_read_in_turn(llm):
    alone = [text(llm(p, max_tokens=8, temperature=0)) for p in ("ab", "cd")]
    streams = [llm(p, max_tokens=8, temperature=0, stream=True) for p in ("ab", "cd")]
    found = ["", ""]
    for i in [0, 1] * 12:
        found[i] += text(next(streams[i], {"choices": [{"text": ""}]}))
    assert found == alone


def test_a_closed_stream_is_gone(llm):
    stream = llm("ab", max_tokens=None, stream=True)
    next(stream)
    stream.close()
    assert llm._session.is_idle


def test_a_stream_nobody_reads_is_gone(llm):
    stream = llm("ab", max_tokens=None, stream=True)
    assert not llm._session.is_idle
    del stream
    gc.collect()
    assert llm._session.is_idle


def test_a_cancelled_task_ends_its_completion(tiny):
    async def run() -> bool:
        llm = await puna.Llama.aload(tiny, n_ctx=256)
        task = asyncio.ensure_future(llm.acreate_completion("ab", max_tokens=None, logit_bias={2: -1e9}))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return llm._session.is_idle

    assert asyncio.run(run())


def test_eval_amid_a_stream_ends_the_stream_with_an_error(llm):
    stream = llm("ab", max_tokens=None, stream=True)
    next(stream)
    llm.reset()
    with pytest.raises(puna.errors.Cancelled, match="another use of the same model"):
        list(stream)


def test_closing_frees_and_later_calls_say_so(tiny):
    llm = puna.Llama(tiny)
    assert llm.n_bytes > 0
    llm.close()
    llm.close()
    with pytest.raises(puna.errors.ClosedError, match="this model is closed"):
        llm("ab")
    with pytest.raises(ValueError):
        llm.eval([1])


def test_with_closes(tiny):
    with puna.Llama(tiny) as llm:
        pass
    assert llm._session.closed


@pytest.mark.native
def test_threads_share_a_model(tiny):
    prompts = [f"{letter}{letter}" for letter in "abcdefgh"]
    with puna.Llama(tiny, n_ctx=512, n_seq_max=4) as llm:
        alone = [text(llm(p, max_tokens=10, temperature=0)) for p in prompts]
        found = [""] * len(prompts)

        def work(i: int) -> None:
            found[i] = text(llm(prompts[i], max_tokens=10, temperature=0))

        threads = [threading.Thread(target=work, args=(i,)) for i in range(len(prompts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == alone


@pytest.mark.native
def test_threads_share_a_session_and_an_embedding_model(tiny):
    options = {"n_ctx": 512, "type_k": "f32", "type_v": "f32"}
    with (
        puna.Session(tiny, n_seq_max=4, **options) as session,
        puna.Llama(tiny, embedding=True, pooling_type="mean", **options) as llm,
    ):
        vectors = [llm.embed(f"text {i}") for i in range(4)]
        for i in range(4):
            session.eval({i: [5 + i]})
        rows = [session.eval({i: [20 + i]})[i].tolist()[0] for i in range(4)]
        failures: list[object] = []

        def work(i: int) -> None:
            for _ in range(10):
                session.remove(i, 1)
                row = session.eval({i: [20 + i]})[i].tolist()[0]
                if row != pytest.approx(rows[i], abs=1e-3):
                    failures.append(i)
                if llm.embed(f"text {i}") != pytest.approx(vectors[i], abs=1e-3):
                    failures.append(f"text {i}")

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


@pytest.mark.native
def test_closing_stops_what_another_thread_does(tiny):
    llm = puna.Llama(tiny, n_ctx=4096)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            llm("ab", max_tokens=None, logit_bias={2: -1e9})
        except puna.PunaError as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while llm._session.is_idle:
        pass
    llm.close()
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert len(failures) == 1


def test_an_awaited_stream_that_is_closed_is_gone(tiny):
    async def run() -> bool:
        with await puna.Llama.aload(tiny, n_ctx=256) as llm:
            stream = await llm.acreate_completion("ab", max_tokens=None, stream=True, ignore_eos=True)
            await anext(stream)
            await stream.aclose()
            return llm._session.is_idle

    assert asyncio.run(run())


def test_a_cancelled_reader_ends_its_stream_alone(tiny):
    async def run() -> tuple[bool, str]:
        with await puna.Llama.aload(tiny, n_ctx=512, n_seq_max=2) as llm:

            async def read() -> None:
                async for _ in await llm.acreate_completion(
                    "ab", max_tokens=None, stream=True, ignore_eos=True
                ):
                    pass

            task = asyncio.ensure_future(read())
            other = asyncio.ensure_future(llm.acreate_completion("cd", max_tokens=8, temperature=0))
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            found = text(await other)
            return llm._session.is_idle, found

    with puna.Llama(tiny, n_ctx=512) as llm:
        alone = text(llm("cd", max_tokens=8, temperature=0))
    assert asyncio.run(run()) == (True, alone)


def test_a_cancelled_evaluation_leaves_a_model_that_works(tiny):
    async def run() -> int:
        with await puna.Llama.aload(tiny, n_ctx=256, n_batch=16) as llm:
            task = asyncio.ensure_future(llm.aeval([5] * 200))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            llm.reset()
            await llm.aeval([5, 6])
            return llm.n_tokens

    assert asyncio.run(run()) == 2


def test_loading_can_be_stopped_by_its_progress(tiny):
    heard: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> bool:
        heard.append((done, total))
        return len(heard) < 3

    with pytest.raises(puna.errors.Cancelled):
        asyncio.run(puna.Llama.aload(tiny, progress=progress))
    assert len(heard) == 3


def test_a_time_limit_stops_a_completion(tiny):
    async def run() -> bool:
        with await puna.Llama.aload(tiny, n_ctx=4096) as llm:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await llm.acreate_completion("ab", max_tokens=None, ignore_eos=True)
            return llm._session.is_idle

    assert asyncio.run(run())
