"""Logits of `Llama.eval` against those that transformers computed (tests/golden/make_logits.py)."""

import json
from pathlib import Path

import pytest

import puna

# Another order of sums in f32; the cache is f32 as well.
TOLERANCE = 1e-3

GOLDEN = Path(__file__).parents[1] / "golden/logits"
CASES = {path.stem: json.loads(path.read_text()) for path in sorted(GOLDEN.glob("*.json"))}
DECODERS = [name for name, case in CASES.items() if "logits" in case]


def rows(llm: puna.Llama) -> list[list[float]]:
    """`scores` as lists, with numpy or without."""
    scores = memoryview(llm.scores)
    n_rows, n_columns = scores.shape
    flat = scores.cast("B").cast("f").tolist()
    return [flat[i * n_columns : (i + 1) * n_columns] for i in range(n_rows)]


def worst(found: list[list[float]], expected: list[list[float]]) -> float:
    assert [len(row) for row in found] == [len(row) for row in expected]
    return max(abs(a - b) for f, e in zip(found, expected) for a, b in zip(f, e))


def test_there_are_golden_files():
    assert len(DECODERS) >= 8


@pytest.mark.parametrize("n_batch", [512, 3], ids=["at-once", "in-threes"])
@pytest.mark.parametrize("case", DECODERS)
def test_logits_are_those_of_transformers(golden, case, n_batch):
    expected, path = CASES[case], golden / f"logits/{case}.gguf"
    n_ctx = len(expected["tokens"]) + 1
    with puna.Llama(path, logits_all=True, n_ctx=n_ctx, n_batch=n_batch, type_k="f32", type_v="f32") as llm:
        llm.eval(expected["tokens"])
        assert worst(rows(llm), expected["logits"]) < TOLERANCE


def test_without_logits_all_the_last_row_is_there(golden):
    expected = CASES["llama-mha"]
    with puna.Llama(golden / "logits/llama-mha.gguf", type_k=0, type_v=0) as llm:
        llm.eval(expected["tokens"])
        assert worst([llm.scores[llm.n_tokens - 1].tolist()], expected["logits"][-1:]) < TOLERANCE


def test_eval_goes_on_where_it_was(golden):
    expected = CASES["llama-mha"]
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
