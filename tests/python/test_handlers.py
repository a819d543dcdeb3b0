"""Chat handlers, the objects of the package `openai`, and what a completion says about its time."""

import asyncio

import pytest

import puna

HELLO = [{"role": "user", "content": "Hello"}]


def test_a_handler_answers_itself(tiny):
    """Its arguments are those of llama-cpp-python's handlers: the model, the messages, the options."""
    seen = []

    def handler(*, llama, messages, temperature=0.2, **options):
        seen.append((llama, messages, temperature, options))
        prompt = "".join(message["content"] for message in messages)
        return llama.create_completion(prompt, max_tokens=options["max_tokens"], temperature=temperature)

    with puna.Llama(tiny, chat_handler=handler) as llm:
        answer = llm.create_chat_completion(HELLO, max_tokens=3, temperature=0.0, tools=["mine"])
        assert answer["usage"]["completion_tokens"] <= 3
        assert seen == [(llm, HELLO, 0.0, {"max_tokens": 3, "tools": ["mine"]})]
        with pytest.raises(puna.errors.UnsupportedError, match="blocking calls only"):
            asyncio.run(llm.acreate_chat_completion(HELLO))


@pytest.mark.parametrize("value", ["llava", 7])
def test_what_is_no_handler_is_refused(tiny, value):
    with pytest.raises(puna.errors.ArgumentError, match="chat_handler = "):
        puna.Llama(tiny, chat_handler=value)


def test_answers_come_as_openais_objects(tiny):
    chat = pytest.importorskip("openai.types.chat")
    with puna.Llama(tiny, n_ctx=256, chat_format="chatml") as llm:
        options = {"max_tokens": 4, "temperature": 0.0, "logprobs": True, "top_logprobs": 2}
        plain = llm.create_chat_completion(HELLO, **options)
        whole = llm.create_chat_completion_openai_v1(HELLO, **options)
        assert isinstance(whole, chat.ChatCompletion)
        assert whole.choices[0].message.content == plain["choices"][0]["message"]["content"]
        assert len(whole.choices[0].logprobs.content) == whole.usage.completion_tokens
        chunks = list(llm.create_chat_completion_openai_v1(HELLO, stream=True, **options))
        assert all(isinstance(chunk, chat.ChatCompletionChunk) for chunk in chunks)
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert streamed == whole.choices[0].message.content


def test_times_count_what_was_evaluated(llm):
    prompt = list(range(5, 45))
    llm(prompt, max_tokens=5, temperature=0, ignore_eos=True)
    times = llm.timings
    assert (times.n_prompt, times.n_reused) == (40, 0)
    assert (times.n_tokens, times.n_generated) == (5, 4)  # the prompt brought the first
    assert times.prompt_s > 0
    assert times.generated_s > 0


def test_times_do_not_count_what_was_in_the_context(llm):
    prompt = list(range(5, 45))
    llm(prompt, max_tokens=1)
    llm([*prompt, 50, 51, 52], max_tokens=1)
    assert (llm.timings.n_prompt, llm.timings.n_reused) == (3, 40)
    llm([*prompt, 50, 51, 52], max_tokens=1)
    assert (llm.timings.n_prompt, llm.timings.n_reused) == (1, 42)  # the last one brings the logits
    assert llm([*prompt, 50, 51, 52], max_tokens=1)["usage"]["prompt_tokens"] == 43


def test_a_stream_tells_its_times_when_it_has_ended(llm):
    for _ in llm([5, 6, 7], max_tokens=4, stream=True, ignore_eos=True):
        pass
    assert (llm.timings.n_prompt, llm.timings.n_tokens) == (3, 4)
