"""Logits processors, stopping criteria, and where a request's own errors go."""

import asyncio

import pytest

import puna

PROMPT = [5, 6, 7]


def text(response: dict) -> str:
    return response["choices"][0]["text"]


def only(token: int):
    """A processor that leaves one token."""

    def process(input_ids, scores):
        for i in range(len(scores)):
            scores[i] = 0.0 if i == token else float("-inf")
        return scores

    return process


@pytest.mark.parametrize("form", ["function", "list", "LogitsProcessorList"])
def test_a_processor_says_what_is_chosen(llm, form):
    processor = only(40)
    given = {
        "function": processor,
        "list": [processor],
        "LogitsProcessorList": puna.LogitsProcessorList([processor]),
    }[form]
    expected = llm.detokenize([40, 40, 40], PROMPT).decode()
    assert text(llm(PROMPT, max_tokens=3, logits_processor=given)) == expected


def test_processors_come_one_after_another_before_the_samplers(llm):
    def shifted(input_ids, scores):
        return [*scores[-1:], *scores[:-1]]  # a new list: the token after that which was allowed

    found = llm.generate(PROMPT, temp=0, logits_processor=[only(40), shifted])
    assert [next(found) for _ in range(3)] == [41, 41, 41]


def test_a_processor_sees_prompt_and_answer(llm):
    seen = []

    def look(input_ids, scores):
        seen.append(([int(t) for t in input_ids], len(scores)))
        return scores

    llm(PROMPT, max_tokens=3, temperature=0, logits_processor=look)
    assert [ids[:3] for ids, _ in seen] == [PROMPT] * 3
    assert [len(ids) for ids, _ in seen] == [3, 4, 5]
    assert {n for _, n in seen} == {llm.n_vocab()}


def test_arrays_are_numpys_where_it_is(llm):
    numpy = pytest.importorskip("numpy")
    seen = []

    def look(input_ids, scores):
        seen.append((type(input_ids), input_ids.dtype, type(scores), scores.dtype))
        return scores.astype(numpy.float64)  # another type is read too

    llm(PROMPT, max_tokens=1, logits_processor=look)
    assert seen == [(numpy.ndarray, numpy.intc, numpy.ndarray, numpy.single)]


def test_a_criterion_ends_the_completion(llm):
    def long_enough(input_ids, logits):
        return len(input_ids) >= len(PROMPT) + 4

    for criteria in (long_enough, [long_enough], puna.StoppingCriteriaList([long_enough])):
        response = llm(PROMPT, max_tokens=50, stopping_criteria=criteria, ignore_eos=True)
        assert response["usage"]["completion_tokens"] == 4
        assert response["choices"][0]["finish_reason"] == "stop"


def test_one_criterion_of_several_is_enough(llm):
    never, soon = (lambda i, s: False), (lambda i, s: len(i) > len(PROMPT))
    response = llm(PROMPT, max_tokens=50, stopping_criteria=[never, soon])
    assert response["usage"]["completion_tokens"] == 1


def test_a_criterion_sees_the_models_own_logits(llm):
    seen = []

    def look(input_ids, logits):
        seen.append(max(logits))
        return False

    llm(PROMPT, max_tokens=2, stopping_criteria=look, logits_processor=only(40))
    assert min(seen) > 0  # a processor's maximum would be 0
    llm.reset()
    llm.eval(PROMPT)
    assert seen[0] == pytest.approx(max(llm.eval_logits[-1]), abs=1e-3)


def test_the_end_comes_no_sooner_than_min_tokens(llm):
    eos = llm.token_eos()
    options = {"max_tokens": 20, "logit_bias": {eos: 1e6}}
    assert llm(PROMPT, **options)["usage"]["completion_tokens"] == 0
    later = [puna.MinTokensLogitsProcessor(5, eos)]
    response = llm(PROMPT, **options, logits_processor=later)
    assert response["usage"]["completion_tokens"] == 5
    assert response["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_of_a_hook_is_the_callers(llm, stream):
    def broken(input_ids, scores):
        if len(input_ids) > 4:
            raise ZeroDivisionError("in the hook")
        return scores

    with pytest.raises(ZeroDivisionError, match="in the hook"):
        answer = llm(PROMPT, max_tokens=9, logits_processor=broken, stream=stream, ignore_eos=True)
        list(answer)
    assert llm(PROMPT, max_tokens=2)["usage"]["prompt_tokens"] == 3  # and the model lives


@pytest.mark.parametrize(
    ("processor", "says"),
    [
        (lambda i, s: None, "answered None"),
        (lambda i, s: s[:-1], "logits"),
        (lambda i, s: [float("nan")] * len(s), "NaN"),
        (lambda i, s: "text", "answered 'text', expected the logits"),
        (lambda i, s: 7, "answered 7, expected the logits"),
        (lambda i, s: [10**400] * len(s), "…, expected the logits"),
    ],
)
def test_a_wrong_answer_of_a_processor_is_named(llm, processor, says):
    with pytest.raises(puna.PunaError) as caught:
        llm(PROMPT, max_tokens=1, logits_processor=processor)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("processor", "n"), [(lambda i, s: s[:-1], -1), (lambda i, s: [*s, 1.0], 1), (lambda i, s: [], None)]
)
def test_sample_too_wants_all_the_logits_back(llm, processor, n):
    llm.reset()
    llm.eval(PROMPT)
    found = 0 if n is None else llm.n_vocab() + n
    expected = f"logits_processor = {4 * found} bytes of logits, .* n_vocab = {llm.n_vocab()} values"
    with pytest.raises(puna.errors.ArgumentError, match=expected):
        llm.sample(logits_processor=processor)
    assert llm.sample(logits_processor=only(40)) == 40  # and the logits are there


@pytest.mark.parametrize("name", ["logits_processor", "stopping_criteria"])
@pytest.mark.parametrize("value", ["text", 7, [7]])
def test_what_is_no_function_is_refused(llm, name, value):
    with pytest.raises(puna.errors.ArgumentError, match=name):
        llm(PROMPT, max_tokens=1, **{name: value})


def test_a_hook_serves_chats_samples_and_awaited_calls(tiny):
    messages = [{"role": "user", "content": "hi"}]
    with puna.Llama(tiny, n_ctx=128, chat_format="chatml") as llm:
        expected = llm.detokenize([40, 40]).decode()
        options = {"max_tokens": 2, "logits_processor": only(40)}
        chat = llm.create_chat_completion(messages, **options)
        assert chat["choices"][0]["message"]["content"] == expected
        assert text(asyncio.run(llm.acreate_completion(PROMPT, **options))) == expected
        llm.reset()
        llm.eval(PROMPT)
        assert llm.sample(logits_processor=only(40)) == 40


def test_each_of_several_completions_has_its_own_hook(tiny):
    async def run() -> list[str]:
        with await puna.Llama.aload(tiny, n_ctx=64, n_seq_max=3) as llm:
            calls = (
                llm.acreate_completion(PROMPT, max_tokens=4, logits_processor=only(t)) for t in (40, 41, 42)
            )
            found = await asyncio.gather(*calls)
            expected = [llm.detokenize([t] * 4, PROMPT).decode() for t in (40, 41, 42)]
            assert [text(response) for response in found] == expected

    asyncio.run(run())


@pytest.mark.parametrize(
    "use",
    [
        lambda llm: llm.eval([5]),
        lambda llm: llm.n_tokens,
        lambda llm: llm("ab", max_tokens=1),
        lambda llm: llm.reset(),
        lambda llm: llm.close(),
    ],
    ids=["eval", "n_tokens", "completion", "reset", "close"],
)
def test_the_model_of_a_hook_is_busy_and_says_so(llm, use):
    """Otherwise it would wait for itself for ever."""

    def look(input_ids, scores):
        use(llm)
        return scores

    with pytest.raises(puna.errors.ArgumentError, match="this one waits for the processor"):
        llm(PROMPT, max_tokens=2, logits_processor=look)
    assert llm(PROMPT, max_tokens=2)["usage"]["prompt_tokens"] == 3


def test_a_hook_may_use_another_model(tiny, llm):
    with puna.Llama(tiny, n_ctx=32) as other:

        def look(input_ids, scores):
            other.reset()
            other.eval([int(t) for t in input_ids])
            assert other.eval_logits[-1] == pytest.approx(scores.tolist(), abs=1e-3)
            return scores

        assert llm(PROMPT, max_tokens=3, logits_processor=look, ignore_eos=True)


def test_what_cannot_be_drawn_ends_one_completion_alone(tiny):
    def nothing(input_ids, scores):
        return [float("nan")] * len(scores)

    async def run() -> list[object]:
        with await puna.Llama.aload(tiny, n_ctx=64, n_seq_max=2) as llm:
            hooks = (None, nothing)
            options = {"max_tokens": 4, "ignore_eos": True}
            calls = (llm.acreate_completion(PROMPT, **options, logits_processor=h) for h in hooks)
            return await asyncio.gather(*calls, return_exceptions=True)

    fine, failed = asyncio.run(run())
    assert fine["usage"]["completion_tokens"] == 4
    assert isinstance(failed, puna.errors.ArgumentError)


def test_a_hook_may_use_the_tokenizer(llm):
    texts = []

    def look(input_ids, scores):
        texts.append(llm.detokenize([int(t) for t in input_ids]))
        return scores

    llm("ab", max_tokens=3, logits_processor=look, ignore_eos=True)
    assert len(texts) == 3
    assert texts[0].endswith(b"ab")
