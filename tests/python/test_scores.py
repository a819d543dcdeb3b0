"""`Llama.scores` written to: by a sampler of one's own, and for `sample`."""

import pytest

import puna
from puna.scores import Scores

TOKENS = [5, 6, 7, 8]
EVERY = pytest.mark.parametrize("logits_all", [False, True])


@pytest.fixture
def opened(tiny, logits_all):
    pytest.importorskip("numpy")
    with puna.Llama(tiny, n_ctx=64, logits_all=logits_all) as llm:
        llm.eval(TOKENS)
        yield llm


@EVERY
def test_a_token_that_is_forbidden_is_not_chosen(opened):
    best = opened.sample(temp=0)
    opened.scores[opened.n_tokens - 1, best] = float("-inf")
    assert opened.sample(temp=0) == opened.scores[-1].argmax() != best
    assert opened.eval_logits[-1][best] == float("-inf")


@EVERY
def test_a_bias_is_added_in_place(opened):
    before = opened.scores[-1].copy()
    bias = range(opened.n_vocab())
    opened.scores[opened.n_tokens - 1, :] += bias
    opened._scores[-1:] += 1
    assert opened.scores[-1].tolist() == pytest.approx((before + bias + 1).tolist())
    assert opened.sample(temp=0) == (before + bias).argmax()


@EVERY
def test_parts_share_memory_with_the_whole(opened):
    row, rows, backwards = opened.scores[-1], opened.scores[-1:], opened.scores[:2:-1]
    row[0], rows[0, 1], backwards[0, 2] = 10, 20, 30
    assert opened.scores[-1, :3].tolist() == [10, 20, 30]
    opened.scores[-1] = 7
    assert set(row.tolist()) == {7}


@EVERY
def test_what_was_written_goes_into_a_state(opened):
    opened.scores[-1, 40] = 1e4
    state = opened.save_state()
    opened.reset()
    opened.load_state(state)
    assert opened.sample(temp=0) == 40


@EVERY
def test_new_tokens_have_logits_of_their_own(opened):
    opened.scores[-1] = 7
    opened.eval([9])
    assert len(set(opened.scores[-1].tolist())) > 1
    if opened.scores.shape[0] == len(opened.eval_logits):
        assert set(opened.eval_logits[-2]) == {7}


def test_a_row_that_is_not_kept_is_not_written(tiny):
    pytest.importorskip("numpy")
    with puna.Llama(tiny, n_ctx=64) as llm:
        llm.eval(TOKENS)
        with pytest.raises(
            puna.errors.ContextError, match=r"scores\[0\].*, or a Llama with logits_all = True"
        ):
            llm.scores[0, 7] = 1


def test_rows_before_a_completion_are_said_to_be_lost(tiny):
    with puna.Llama(tiny, n_ctx=64, logits_all=True) as llm:
        llm.create_completion(TOKENS, max_tokens=2, temperature=0)
        llm.eval([5])
        assert len(llm.scores[-1]) == llm.n_vocab()
        with pytest.raises(puna.errors.ContextError, match="a completion before them left none") as error:
            llm.scores[0]
        assert "logits_all" not in str(error.value)


def test_without_numpy_the_error_says_what_to_use(tiny):
    with puna.Llama(tiny, n_ctx=64) as llm:
        llm.eval(TOKENS)
        with pytest.raises(puna.errors.UnsupportedError, match="expected logit_bias or a logits_processor"):
            Scores(llm._all_rows(), llm.n_tokens - 1, "more")[-1, 7] = 1


@pytest.mark.parametrize("logits_all", [True])
def test_rows_of_new_tokens_come_behind_those_there_are(opened):
    """A loop that reads the logits after each token copies that token's alone."""
    assert opened.scores.shape == (4, opened.n_vocab())
    opened.eval([9])
    before = opened.scores
    opened.eval([10, 11])
    assert before.base is opened.scores.base is not None
    before[0] = 7
    assert set(opened.eval_logits[0]) == {7}
    assert opened.scores.shape == (7, opened.n_vocab())
    known = opened.scores[4:].tolist()
    opened.eval([12] * (opened.n_ctx() - 7))
    assert opened.scores.shape == (opened.n_ctx(), opened.n_vocab())
    assert opened.scores[4:7].tolist() == known


@pytest.mark.parametrize("logits_all", [True])
def test_rows_of_what_is_forgotten_stay_with_who_has_them(opened):
    assert opened.scores.shape == (4, opened.n_vocab())
    opened.eval([9])
    before = opened.scores
    expected = before.tolist()
    opened.n_tokens = 2
    opened.eval([40, 41, 42])
    assert opened.scores.tolist()[2:] != expected[2:]
    assert before.tolist() == expected
