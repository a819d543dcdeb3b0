"""`save_state` and `load_state`: the context, kept and brought back."""

import array
import asyncio
import pickle
import subprocess
import sys
import types

import pytest

import puna
from puna import hooks
from puna._native import core

TOKENS = [5, 6, 7, 8, 9]


def text(response: dict) -> str:
    return response["choices"][0]["text"]


def continued(llm: puna.Llama) -> list[int]:
    """What comes after the context."""
    found = llm.generate([10, 11], temp=0, reset=False)
    return [next(found) for _ in range(8)]


@pytest.fixture
def expected(llm) -> list[int]:
    llm.eval(TOKENS)
    found = continued(llm)
    llm.reset()
    return found


def test_a_state_comes_back(llm, expected):
    llm.eval(TOKENS)
    state = llm.save_state()
    assert (state.n_tokens, state.input_ids.tolist()) == (len(TOKENS), TOKENS)
    assert (
        repr(state) == f"LlamaState(n_tokens=5, llama_state_size={len(state.llama_state)}, seed={state.seed})"
    )
    assert state.llama_state_size == len(state.llama_state)
    llm.eval([40, 41, 42])
    llm.load_state(state)
    assert (llm.n_tokens, llm.eval_tokens) == (len(TOKENS), TOKENS)
    assert continued(llm) == expected


def test_a_state_goes_to_another_llama(tiny, llm, expected):
    llm.eval(TOKENS)
    state = llm.save_state()
    with puna.Llama(tiny, n_ctx=64) as other:
        other.eval([1, 2])
        other.load_state(state)
        assert other.eval_tokens == TOKENS
        assert continued(other) == expected


def test_a_state_is_pickled_and_is_enough_as_bytes(llm, expected):
    llm.eval(TOKENS)
    state = pickle.loads(pickle.dumps(llm.save_state()))
    for given in (state, state.llama_state):
        llm.reset()
        llm.load_state(given)
        assert continued(llm) == expected


CHILD = """
import pickle, sys, puna
state = pickle.load(open(sys.argv[2], "rb"))
with puna.Llama(sys.argv[1], n_ctx=64) as llm:
    llm.load_state(state)
    found = llm.generate([10, 11], temp=0, reset=False)
    print([next(found) for _ in range(8)])
"""


@pytest.mark.native
def test_a_state_goes_to_another_process(tiny, llm, expected, tmp_path):
    (tmp_path / "tiny.gguf").write_bytes(tiny)
    llm.eval(TOKENS)
    (tmp_path / "state").write_bytes(pickle.dumps(llm.save_state()))
    command = [sys.executable, "-c", CHILD, tmp_path / "tiny.gguf", tmp_path / "state"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == str(expected), done.stderr


def test_an_empty_state_empties_the_context(llm, expected):
    state = llm.save_state()
    llm.eval([40, 41])
    llm.load_state(state)
    assert llm.n_tokens == 0
    llm.eval(TOKENS)
    assert continued(llm) == expected


@pytest.mark.parametrize("logits_all", [False, True])
def test_scores_come_back_with_a_state(tiny, logits_all):
    with puna.Llama(tiny, n_ctx=64, logits_all=logits_all) as llm:
        llm.eval(TOKENS)
        rows = llm.eval_logits
        assert len(rows) == (len(TOKENS) if logits_all else 1)
        state = pickle.loads(pickle.dumps(llm.save_state()))
        llm.eval([40, 41, 42])
        llm.load_state(state)
        assert llm.eval_logits == rows
        assert list(llm.scores[llm.n_tokens - 1]) == rows[-1]
        assert llm.sample(temp=0) == rows[-1].index(max(rows[-1]))
        llm.eval([10])
        assert llm.eval_logits[:-1] == (rows if logits_all else [])


def test_scores_of_all_tokens_go_to_a_llama_that_keeps_one(tiny):
    with puna.Llama(tiny, n_ctx=64, logits_all=True) as llm, puna.Llama(tiny, n_ctx=64) as other:
        llm.eval(TOKENS)
        other.load_state(llm.save_state())
        assert other.eval_logits == llm.eval_logits[-1:]
        llm.load_state(other.save_state())
        assert llm.eval_logits == other.eval_logits
        llm.eval([10])
        assert len(llm.eval_logits) == 2
        with pytest.raises(puna.errors.ContextError, match=r"scores\[0\]: .* expected 4 or more"):
            llm.scores[0]


def test_a_state_is_asked_for_once_where_the_device_is_awaited(llm, monkeypatch):
    """As in a browser tab, whose GPU answers later."""
    llm.eval(TOKENS)
    expected = llm.save_state().llama_state
    answers = [None, None, expected]

    class Slow:
        def __getattr__(self, name):
            return getattr(session, name)

        def save(self, seq):
            return answers.pop(0)

    class Host:
        async def ready(self):
            pass

        def close(self):
            pass

    browser = types.ModuleType("puna.browser")
    browser.wait_for = asyncio.run
    monkeypatch.setitem(sys.modules, "puna.browser", browser)
    session = llm._open_session
    monkeypatch.setattr(llm, "_open_session", Slow())
    monkeypatch.setattr(llm, "_host", Host())
    assert llm.save_state().llama_state == expected
    assert answers == []


@pytest.mark.parametrize("other", ["weights", "architecture", "type_k"])
def test_a_state_of_another_model_is_refused(llm, tiny, other):
    llm.eval(TOKENS)
    state = llm.save_state()
    model = {"weights": core.tiny_model(seed=1), "architecture": core.tiny_model("qwen2")}.get(other, tiny)
    with puna.Llama(model, n_ctx=64, type_k="f32" if other == "type_k" else None) as strange:
        strange.eval([5, 6])
        with pytest.raises(puna.errors.ArgumentError, match="another model"):
            strange.load_state(state)
        assert strange.eval_tokens == [5, 6]


@pytest.mark.parametrize("state", [None, "text", 7, b"", b"puna-seq"])
def test_what_is_no_state_is_refused(llm, state):
    with pytest.raises(puna.errors.ArgumentError, match="state|saved sequence"):
        llm.load_state(state)


def test_a_state_longer_than_the_context_is_refused(llm, tiny):
    llm.eval([5] * 40)
    state = llm.save_state()
    with puna.Llama(tiny, n_ctx=16) as small, pytest.raises(puna.errors.ContextError):
        small.load_state(state)


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        (lambda row: row * 6, r"state.scores = an array \[\d+\] of format 'f', expected f32 \[n, "),
        (lambda row: row[:-1], "of at most n = 5 tokens"),
        (lambda row: array.array("d", row), "of format 'd', expected f32"),
        (lambda row: "text", "state.scores = 'text', expected f32"),
    ],
)
def test_scores_that_are_not_of_the_state_leave_the_context_as_it_is(llm, scores, says):
    llm.eval(TOKENS)
    state = llm.save_state()
    state.scores = scores(array.array("f", llm.eval_logits[0]))
    llm.eval([40])
    with pytest.raises(puna.errors.ArgumentError, match=says):
        llm.load_state(state)
    assert (llm.eval_tokens, len(llm.eval_logits)) == ([*TOKENS, 40], 1)


def test_a_model_is_pickled_as_its_arguments(tiny):
    with puna.Llama(tiny, n_ctx=64, seed=3) as llm:
        first = text(llm("ab", max_tokens=8))
        with pickle.loads(pickle.dumps(llm)) as other:
            assert other.n_ctx() == 64
            assert text(other("ab", max_tokens=8)) == first


def test_the_tokens_of_a_state_are_an_array_that_is_pickled(llm):
    llm.eval(TOKENS)
    state = llm.save_state()
    again = pickle.loads(pickle.dumps(state))
    assert again.input_ids.tolist() == TOKENS
    assert again == state
    if hooks.HAS_NUMPY:
        assert again.input_ids.shape == (5,)
