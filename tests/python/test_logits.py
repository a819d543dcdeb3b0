"""Logits of `Llama.eval` against those that transformers computed (tests/golden/make_logits.py)."""

import json

import pytest

import puna

# Another order of sums in f32; the cache is f32 as well.
TOLERANCE = 1e-3

CASES = (
    "gemma2-46-layers gemma2-head-dim gemma2-softcap gemma2-window llama-bias llama-gqa-tied llama-head-dim "
    "llama-mha llama-rope-linear llama-rope-llama3 llama-rope-yarn"
).split()


def rows(llm: puna.Llama) -> list[list[float]]:
    """`scores` as lists, with numpy or without."""
    scores = memoryview(llm.scores)
    n_rows, n_columns = scores.shape
    flat = scores.cast("B").cast("f").tolist()
    return [flat[i * n_columns : (i + 1) * n_columns] for i in range(n_rows)]


def worst(found: list[list[float]], expected: list[list[float]]) -> float:
    assert [len(row) for row in found] == [len(row) for row in expected]
    return max(abs(a - b) for f, e in zip(found, expected) for a, b in zip(f, e))


def test_every_golden_file_is_a_case(golden):
    assert sorted(path.stem for path in golden.glob("logits/*.json")) == sorted(CASES)


@pytest.mark.parametrize("n_batch", [512, 3], ids=["at-once", "in-threes"])
@pytest.mark.parametrize("case", CASES)
def test_logits_are_those_of_transformers(golden, case, n_batch):
    expected = json.loads((golden / f"logits/{case}.json").read_text())
    path = golden / f"logits/{case}.gguf"
    n_ctx = len(expected["tokens"]) + 1
    with puna.Llama(path, logits_all=True, n_ctx=n_ctx, n_batch=n_batch, type_k="f32", type_v="f32") as llm:
        llm.eval(expected["tokens"])
        assert worst(rows(llm), expected["logits"]) < TOLERANCE


def test_without_logits_all_the_last_row_is_there(golden):
    expected = json.loads((golden / "logits/llama-mha.json").read_text())
    with puna.Llama(golden / "logits/llama-mha.gguf", type_k=0, type_v=0) as llm:
        llm.eval(expected["tokens"])
        assert worst(rows(llm), expected["logits"][-1:]) < TOLERANCE


def test_eval_goes_on_where_it_was(golden):
    expected = json.loads((golden / "logits/llama-mha.json").read_text())
    tokens = expected["tokens"]
    with puna.Llama(golden / "logits/llama-mha.gguf", logits_all=True, type_k=0, type_v=0) as llm:
        llm.eval(tokens[:4])
        llm.eval(tokens[4:])
        assert worst(rows(llm), expected["logits"]) < TOLERANCE
        llm.n_tokens = 2
        llm.eval(tokens[2:])
        assert worst(rows(llm), expected["logits"]) < TOLERANCE
        llm.reset()
        assert llm.n_tokens == 0
        llm.eval(tokens[:3])
        assert worst(rows(llm), expected["logits"][:3]) < TOLERANCE
