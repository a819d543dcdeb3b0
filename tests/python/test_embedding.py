"""`create_embedding` and `embed`, against the vectors that llama-cpp-python finds."""

import asyncio
import json
import math
from pathlib import Path

import pytest

import puna
from puna._native import core

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/embeddings.json").read_text())
# Another order of sums in f32, on numbers of about 1; the cache is f32 on both sides.
TOLERANCE = 2e-4
# llama.cpp looks GELU up in a table of f16.
BERT = 1e-3
EXACT = {"embedding": True, "n_ctx": 256, "type_k": "f32", "type_v": "f32"}


@pytest.fixture(scope="module")
def bert():
    with puna.Llama(core.tiny_model("bert"), **EXACT) as llm:
        yield llm


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda c: f"{c['architecture']}-{c['pooling']}")
def test_vectors_are_those_of_llama_cpp_python(case):
    tolerance = BERT if case["architecture"] == "bert" else TOLERANCE
    with puna.Llama(core.tiny_model(case["architecture"]), pooling_type=case["pooling"], **EXACT) as llm:
        together = llm.embed(GOLDEN["texts"])
        for text, vector, expected in zip(GOLDEN["texts"], together, case["vectors"], strict=True):
            assert len(vector) == llm.n_embd()
            assert vector[: len(expected)] == pytest.approx(expected, abs=tolerance)
            assert llm.embed(text) == pytest.approx(vector, abs=TOLERANCE)  # alone as in a batch


def test_a_response_has_the_shape_of_llama_cpp_python(bert):
    response = bert.create_embedding(["abc", "b"], model="mine")
    assert response.keys() == {"object", "data", "model", "usage"}
    assert (response["object"], response["model"]) == ("list", "mine")
    assert [(d["object"], d["index"]) for d in response["data"]] == [("embedding", 0), ("embedding", 1)]
    n = len(bert.tokenize("abc")) + len(bert.tokenize("b"))
    assert response["usage"] == {"prompt_tokens": n, "total_tokens": n}
    assert response["data"][1]["embedding"] == bert.embed("b")
    assert len(bert.create_embedding("abc")["data"]) == 1


def test_a_text_is_a_vector_and_a_list_is_a_list(bert):
    (one,) = bert.embed(["abc"])
    assert one == bert.embed("abc")
    assert bert.embed("abc", return_count=True) == (one, len(bert.tokenize("abc")))


def test_without_pooling_there_is_a_vector_a_token():
    with puna.Llama(core.tiny_model(), pooling_type=0, **EXACT) as llm:
        vectors = llm.embed("abc")
        assert len(vectors) == len(llm.tokenize("abc"))
        assert {len(v) for v in vectors} == {llm.n_embd()}
        assert llm.pooling_type() == 0


@pytest.mark.parametrize(("name", "number"), [("none", 0), ("mean", 1), ("cls", 2), ("last", 3)])
def test_pooling_goes_by_name_too(tiny, name, number):
    with puna.Llama(tiny, pooling_type=name, **EXACT) as llm:
        assert llm.pooling_type() == number


def test_normalized_vectors_have_length_one(bert):
    plain, scaled = bert.embed("abc"), bert.embed("abc", normalize=True)
    assert math.hypot(*scaled) == pytest.approx(1)
    assert scaled == pytest.approx([x / math.hypot(*plain) for x in plain])


def test_many_texts_take_several_batches():
    with puna.Llama(core.tiny_model("bert"), n_batch=24, **EXACT) as llm:
        texts = [f"text {i} of many" for i in range(70)]
        for text, found in list(zip(texts, llm.embed(texts)))[::23]:
            assert found == pytest.approx(llm.embed(text), abs=TOLERANCE)


def test_a_long_text_is_cut_or_refused():
    with puna.Llama(core.tiny_model("bert"), n_batch=8, **EXACT) as llm:
        long = "abc " * 50
        vector, count = llm.embed(long, return_count=True)
        assert count == 8
        assert len(vector) == llm.n_embd()
        with pytest.raises(puna.errors.ContextError, match="expected at most 8"):
            llm.embed(long, truncate=False)


def test_an_empty_text_has_a_vector(bert):
    assert len(bert.embed("")) == bert.n_embd()


def test_awaited_is_the_same(bert):
    async def run() -> tuple[object, object]:
        response = await bert.acreate_embedding("abc")
        return response["data"][0]["embedding"], await bert.aembed("abc")

    assert asyncio.run(run()) == (bert.embed("abc"), bert.embed("abc"))


def test_what_was_not_opened_to_embed_says_so(llm):
    for call in (llm.embed, llm.create_embedding):
        with pytest.raises(puna.errors.UnsupportedError, match="expected embedding = True"):
            call("abc")


def test_what_was_opened_to_embed_does_not_generate(bert):
    for call in (lambda: bert("abc"), lambda: bert.eval([1, 2]), lambda: next(bert.generate([1]))):
        with pytest.raises(puna.errors.UnsupportedError, match="expected embedding = False"):
            call()


@pytest.mark.parametrize("value", [7, None, [], ["a", 7], b"abc", [[1, 2]]])
def test_a_wrong_input_is_named(bert, value):
    with pytest.raises(puna.errors.ArgumentError, match="input = "):
        bert.create_embedding(value)


@pytest.mark.parametrize("value", ["max", 9, -2, 1.5])
def test_a_wrong_pooling_is_named(tiny, value):
    with pytest.raises(puna.errors.ArgumentError, match="pooling_type = "):
        puna.Llama(tiny, embedding=True, pooling_type=value)


def test_a_text_is_evaluated_at_once_whatever_n_ubatch_says():
    text = "a text of a few more tokens than four"
    with (
        puna.Llama(embedding=True, n_ctx=64, pooling_type=1) as whole,
        puna.Llama(embedding=True, n_ctx=64, pooling_type=1, n_ubatch=4) as cut,
    ):
        assert cut.embed(text) == whole.embed(text)
        assert cut.n_batch == whole.n_batch
