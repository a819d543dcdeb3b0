"""`create_completion`: llama-cpp-python's dictionaries, options and streams."""

from dataclasses import fields

import pytest

import puna
from puna.request import ChatOptions, ChatRequest, CompletionOptions, CompletionRequest

PROMPT = "Once upon a time"


@pytest.fixture(scope="module")
def story(stories):
    with puna.Llama(stories, n_ctx=128) as llm:
        yield llm


def text(response: dict) -> str:
    return response["choices"][0]["text"]


def test_a_completion_has_the_shape_of_llama_cpp_python(story, stories):
    response = story.create_completion(PROMPT, max_tokens=4, temperature=0)
    assert response.keys() == {"id", "object", "created", "model", "choices", "usage"}
    assert response["id"].startswith("cmpl-")
    assert response["object"] == "text_completion"
    assert isinstance(response["created"], int)
    assert response["model"] == str(stories)
    assert response["choices"] == [
        {"text": ", there was a", "index": 0, "logprobs": None, "finish_reason": "length"}
    ]
    assert response["usage"] == {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}


def test_sixteen_tokens_are_the_default(story):
    assert story.create_completion(PROMPT)["usage"]["completion_tokens"] == 16


def test_calling_the_model_is_create_completion(story):
    assert text(story(PROMPT, max_tokens=3, temperature=0)) == ", there was"


def test_a_stream_says_the_same_in_chunks(story):
    whole = text(story.create_completion(PROMPT, max_tokens=12, temperature=0))
    chunks = list(story.create_completion(PROMPT, max_tokens=12, temperature=0, stream=True))
    assert "".join(map(text, chunks)) == whole
    assert all(chunk.keys() == {"id", "object", "created", "model", "choices"} for chunk in chunks)
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * 12 + ["length"]
    assert text(chunks[-1]) == ""


def test_a_stop_text_ends_it_and_is_not_shown(story):
    for stop in (" girl", [" dragon", " girl"]):
        response = story.create_completion(PROMPT, max_tokens=50, temperature=0, stop=stop)
        assert text(response) == ", there was a little"
        assert response["choices"][0]["finish_reason"] == "stop"


def test_a_stop_text_never_shows_in_a_stream(story):
    stream = story.create_completion(PROMPT, max_tokens=50, temperature=0, stop="little girl", stream=True)
    assert "".join(map(text, stream)) == ", there was a "


def test_echo_begins_with_the_prompt(story):
    response = story.create_completion(PROMPT, max_tokens=2, temperature=0, echo=True)
    assert text(response) == PROMPT + ", there"
    stream = story.create_completion(PROMPT, max_tokens=2, temperature=0, echo=True, stream=True)
    assert "".join(map(text, stream)) == PROMPT + ", there"


def test_token_ids_are_a_prompt(story):
    tokens = story.tokenize(PROMPT.encode())
    assert text(story.create_completion(tokens, max_tokens=3, temperature=0)) == ", there was"


def test_an_empty_prompt_is_the_beginning_of_a_text(story):
    assert story.create_completion("", max_tokens=3)["usage"]["prompt_tokens"] == 1


@pytest.mark.parametrize("max_tokens", [None, -1, 0])
def test_without_a_limit_it_ends_with_the_context(stories, max_tokens):
    with puna.Llama(stories, n_ctx=32) as llm:
        # A bias against the end keeps the model from ending it sooner.
        response = llm.create_completion(
            PROMPT, max_tokens=max_tokens, temperature=0, logit_bias={1: -1e9, 2: -1e9}
        )
    assert response["choices"][0]["finish_reason"] == "length"
    assert 32 - 5 <= response["usage"]["completion_tokens"] <= 32 - 5 + 1


def test_logprobs_are_those_of_the_chosen_and_of_the_likeliest(story):
    response = story.create_completion(PROMPT, max_tokens=3, temperature=0, logprobs=2)
    logprobs = response["choices"][0]["logprobs"]
    assert logprobs.keys() == {"tokens", "text_offset", "token_logprobs", "top_logprobs"}
    assert logprobs["tokens"] == [",", " there", " was"]
    assert logprobs["text_offset"] == [16, 17, 23]
    for token, logprob, top in zip(logprobs["tokens"], logprobs["token_logprobs"], logprobs["top_logprobs"]):
        assert len(top) == 2
        assert max(top.values()) == top[token] == logprob <= 0


def test_the_chosen_token_is_among_the_likeliest_even_if_it_is_not(story):
    logprobs = story.create_completion(PROMPT, max_tokens=1, logit_bias={300: 100.0}, logprobs=1)["choices"][
        0
    ]["logprobs"]
    assert len(logprobs["top_logprobs"][0]) == 2
    assert logprobs["token_logprobs"][0] < max(logprobs["top_logprobs"][0].values())


def test_a_seed_repeats_a_text(story):
    first, second, other = (text(story(PROMPT, seed=seed, temperature=1.5)) for seed in (7, 7, 8))
    assert first == second != other


def test_a_seeded_model_repeats_its_texts(tiny):
    runs = []
    for _ in range(2):
        with puna.Llama(tiny, seed=3) as llm:
            runs.append([text(llm("ab", max_tokens=8)) for _ in range(2)])
    assert runs[0] == runs[1]
    assert runs[0][0] != runs[0][1]


def test_a_bias_forbids_and_forces(story):
    comma = story.tokenize(b",", add_bos=False)[-1]
    first = story.create_completion(PROMPT, max_tokens=1, temperature=0, logit_bias={comma: -1e9})
    assert text(first) != ","
    forced = story.create_completion(PROMPT, max_tokens=1, temperature=0, logit_bias={str(comma): 1e9})
    assert text(forced) == ","


def test_penalties_change_the_text(llm):
    plain = text(llm("aaaa", max_tokens=20, temperature=0))
    assert text(llm("aaaa", max_tokens=20, temperature=0, repeat_penalty=2.0)) != plain


def test_generate_gives_token_ids_until_it_is_closed(story):
    tokens = story.tokenize(PROMPT.encode())
    generator = story.generate(tokens, temp=0)
    found = [next(generator) for _ in range(3)]
    generator.close()
    assert story.detokenize(found) == b", there was"


def test_sample_chooses_from_the_scores(story):
    story.reset()
    story.eval(story.tokenize(PROMPT.encode()))
    assert story.detokenize([story.sample(temp=0)]) == b","


def test_models_and_names_can_be_given(story):
    assert story.create_completion(PROMPT, max_tokens=1, model="mine")["model"] == "mine"


def test_typed_keywords_are_those_of_the_requests():
    for options, request in ((CompletionOptions, CompletionRequest), (ChatOptions, ChatRequest)):
        assert set(options.__annotations__) == {f.name for f in fields(request)}


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (b"ab\xf0\x9f\x98", "ab"),  # the start of a character
        (b"\xff\xf0\x9f\x98", "\ufffd"),  # behind a byte that is none
        (b"ab\xff", "ab\ufffd"),
        (b"ab\xe2\x28", "ab\ufffd("),
        (b"ab\xef\xbf\xbd", "ab\ufffd"),  # the model's own
    ],
)
def test_half_a_character_at_the_end_is_left_out(llm, tokens, expected):
    ids = [
        llm.tokenizer_._core.encode(bytes([byte]), add_special=False, parse_special=False)[-1]
        for byte in tokens
    ]
    left = []

    def forced(input_ids, scores):
        scores[left.pop(0)] = 1e9
        return scores

    options = {"max_tokens": len(ids), "temperature": 0, "logits_processor": forced, "logprobs": 1}
    left += ids
    assert text(llm("a", **options)) == expected
    left += ids
    assert "".join(map(text, llm("a", stream=True, **options))) == expected
