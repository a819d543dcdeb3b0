"""`logprobs`, and with `echo` those of the prompt, against the logits themselves."""

import math

import pytest

import puna

PROMPT = "Once upon a time"
# Of a log-probability: one evaluation has the tokens in a batch, the other one by one.
TOLERANCE = 5e-4


@pytest.fixture(scope="module")
def story(stories):
    with puna.Llama(stories, n_ctx=128, logits_all=True, type_k="f32", type_v="f32") as llm:
        yield llm


def log_softmax(logits: list[float]) -> list[float]:
    most = max(logits)
    total = most + math.log(math.fsum(math.exp(x - most) for x in logits))
    return [x - total for x in logits]


def logprobs_of(response: dict) -> dict:
    return response["choices"][0]["logprobs"]


def test_they_are_those_of_the_models_distribution(story):
    """Whatever the temperature and the filters."""
    found = logprobs_of(story(PROMPT, max_tokens=6, temperature=1.5, top_k=3, seed=5, logprobs=4))
    tokens = story.tokenize(PROMPT)
    n_prompt = len(tokens)
    answer = story.eval_tokens[n_prompt:]
    story.reset()
    story.eval([*tokens, *answer])
    rows = [log_softmax(row) for row in story.eval_logits[n_prompt - 1 :]]
    for row, token, logprob, top in zip(rows, answer, found["token_logprobs"], found["top_logprobs"]):
        assert logprob == pytest.approx(row[token], abs=TOLERANCE)
        best = sorted(row, reverse=True)[: len(top)]
        assert sorted(top.values(), reverse=True)[:4] == pytest.approx(best[:4], abs=TOLERANCE)


def test_echo_tells_those_of_the_prompt(story):
    """All but the first: nothing comes before it that could tell it. BOS has no text, so it is left out."""
    found = logprobs_of(story(PROMPT, max_tokens=2, temperature=0, logprobs=1, echo=True))
    bos, *tokens = story.tokenize(PROMPT)
    assert "".join(found["tokens"]) == PROMPT + ", there"
    assert len(found["tokens"]) == len(tokens) + 2
    assert found["token_logprobs"][0] is found["top_logprobs"][0] is None
    story.reset()
    story.eval([bos, *tokens])
    rows = [log_softmax(row) for row in story.eval_logits]
    expected = [row[token] for row, token in zip(rows[1:], tokens[1:])]
    assert found["token_logprobs"][1 : len(tokens)] == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize("with_bos", [True, False])
@pytest.mark.parametrize("n_words", [1, 2])
def test_echo_tells_a_prompt_of_one_token_too(story, with_bos, n_words):
    bos, *tokens = story.tokenize(PROMPT)
    prompt = [bos] * with_bos + tokens[:n_words]
    response = story(prompt, max_tokens=1, temperature=0, logprobs=1, echo=True)
    found = logprobs_of(response)
    assert len(found["tokens"]) == n_words + 1
    assert "".join(found["tokens"]) == response["choices"][0]["text"]
    assert [value is None for value in found["token_logprobs"]] == [True] + [False] * n_words


def test_offsets_point_into_the_text(story):
    response = story(PROMPT, max_tokens=4, temperature=0, logprobs=1, echo=True)
    text, found = response["choices"][0]["text"], logprobs_of(response)
    assert text.startswith(PROMPT)
    for token, offset in zip(found["tokens"], found["text_offset"], strict=True):
        assert text[offset : offset + len(token)] == token


def test_without_echo_offsets_begin_behind_the_prompt(story):
    found = logprobs_of(story(PROMPT, max_tokens=3, temperature=0, logprobs=1))
    assert found["text_offset"][0] == len(PROMPT)


@pytest.mark.parametrize("n", [0, 1, 5])
def test_so_many_are_told_as_were_asked_for(story, n):
    found = logprobs_of(story(PROMPT, max_tokens=3, temperature=0, logprobs=n))
    assert [len(top) for top in found["top_logprobs"]] == [max(n, 1)] * 3  # the chosen one is told always


def test_a_stream_tells_the_same(story):
    options = {"max_tokens": 4, "temperature": 0, "logprobs": 2}
    whole = logprobs_of(story(PROMPT, **options))
    parts = [logprobs_of(chunk) for chunk in story(PROMPT, **options, stream=True)]
    streamed = [part for part in parts if part is not None]
    for key in ("tokens", "text_offset"):
        assert [value for part in streamed for value in part[key]] == whole[key]
    logprobs = [value for part in streamed for value in part["token_logprobs"]]
    assert logprobs == pytest.approx(whole["token_logprobs"], abs=TOLERANCE)


def test_echo_and_logprobs_need_the_logits_of_all(stories):
    with puna.Llama(stories, n_ctx=64) as llm:
        with pytest.raises(puna.errors.ArgumentError, match="logits_all = False, expected True"):
            llm(PROMPT, echo=True, logprobs=1)
        assert llm(PROMPT, max_tokens=1, echo=True)["choices"][0]["text"].startswith(PROMPT)


@pytest.mark.parametrize("value", [-1, 1.5, "2"])
def test_a_wrong_number_is_named(story, value):
    with pytest.raises(puna.errors.ArgumentError, match="logprobs = "):
        story(PROMPT, max_tokens=1, logprobs=value)


def test_of_the_same_prompt_nothing_is_reused_when_it_is_told(story):
    options = {"max_tokens": 1, "temperature": 0, "logprobs": 1, "echo": True}
    first = logprobs_of(story(PROMPT, **options))
    again = logprobs_of(story(PROMPT, **options))
    assert story.timings.n_reused == 0
    assert again["token_logprobs"][1:] == pytest.approx(first["token_logprobs"][1:], abs=TOLERANCE)
