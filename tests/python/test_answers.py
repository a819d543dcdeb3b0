"""The objects of the package `openai`, and what a completion says about its time."""

import pytest

import puna

HELLO = [{"role": "user", "content": "Hello"}]


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
