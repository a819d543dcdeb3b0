"""By hand: `eval`, `scores`, `sample`, `generate`, `tokenize`; what a Llama tells about itself."""

import pytest

import puna
from puna.scores import Scores

TOKENS = [5, 6, 7, 8]
TOLERANCE = 2e-4  # a batch and a single token take kernels with another order of sums


def after(llm: puna.Llama, tokens: list[int]) -> list[float]:
    """Logits after `tokens`, evaluated at once in an empty context."""
    llm.reset()
    llm.eval(tokens)
    return llm.eval_logits[-1]


@pytest.fixture
def exact(tiny):
    with puna.Llama(tiny, n_ctx=64, type_k="f32", type_v="f32", seed=1) as llm:
        yield llm


def test_tokens_are_evaluated_after_those_before(exact):
    expected = after(exact, TOKENS)
    exact.reset()
    exact.eval(TOKENS[:2])
    exact.eval(TOKENS[2:])
    assert exact.eval_tokens == TOKENS
    assert exact.eval_logits[-1] == pytest.approx(expected, abs=TOLERANCE)


def test_scores_are_those_of_the_last_or_of_all(tiny, exact):
    exact.eval(TOKENS)
    assert exact.scores.shape == (len(TOKENS), exact.n_vocab())
    assert len(exact.eval_logits) == 1
    with puna.Llama(tiny, n_ctx=64, n_batch=3, logits_all=True, type_k="f32", type_v="f32") as every:
        every.eval(TOKENS)
        assert memoryview(every.scores).shape == (len(TOKENS), every.n_vocab())
        for i, row in enumerate(every.eval_logits):
            assert row == pytest.approx(after(exact, TOKENS[: i + 1]), abs=TOLERANCE)


def test_the_last_tokens_scores_are_found_by_its_place(exact):
    exact.eval(TOKENS)
    (row,) = exact.eval_logits
    for place in (exact.n_tokens - 1, -1):
        assert list(exact.scores[place]) == list(exact._scores[place, :]) == row
    assert [list(found) for found in exact.scores[-1:]] == [row]
    assert exact.scores[-1, 7] == row[7]
    for places in (0, slice(None), (slice(2), 7)):
        with pytest.raises(
            puna.errors.ContextError, match=r"scores\[0\].*, or a Llama with logits_all = True"
        ):
            exact.scores[places]
    for place in (exact.n_tokens, -exact.n_tokens - 1):
        with pytest.raises(IndexError, match="expected -4 to 3: 4 tokens are evaluated"):
            exact.scores[place]
    with pytest.raises(puna.errors.ArgumentTypeError, match="the place of a token, or a slice"):
        exact.scores["last"]
    with pytest.raises(puna.errors.ContextError, match=r"scores\[0\].*, or a Llama with logits_all = True"):
        list(exact.scores)


def test_a_row_without_numpy_is_asked_for_one_place(exact):
    exact.eval(TOKENS)
    scores = Scores(exact._all_rows(), exact.n_tokens - 1, "more")
    assert scores[-1, 7] == scores[-1:, 7][0] == exact.eval_logits[0][7]
    with pytest.raises(IndexError, match="of 3 places, expected a token's and a logit's"):
        scores[-1, 7, 0]


def test_scores_are_numpys_arrays_where_it_is(tiny, exact):
    numpy = pytest.importorskip("numpy")
    exact.eval(TOKENS)
    assert isinstance(exact.scores[-1], numpy.ndarray)
    assert numpy.argmax(exact.scores[exact.n_tokens - 1]) == exact.sample(temp=0)
    with pytest.raises(puna.errors.ContextError, match="logits_all = True"):
        numpy.asarray(exact.scores)
    with puna.Llama(tiny, logits_all=True) as every:
        every.eval(TOKENS)
        assert numpy.argmax(every._scores, axis=1).shape == (len(TOKENS),)
        assert every.scores[: every.n_tokens, :].shape == every.scores.shape


def test_a_completion_leaves_no_scores_of_another_context(exact):
    exact.eval(TOKENS)
    exact([40, 41, 42, 43], max_tokens=3)
    assert exact.eval_logits == []
    with pytest.raises(
        puna.errors.ContextError, match="completions leave none.*, expected a call of eval first"
    ):
        exact.sample()
    next(exact.generate(TOKENS))
    with pytest.raises(
        puna.errors.ContextError, match=r"generate\(\) only with logits_all = True.*a call of eval first"
    ):
        exact.sample()


def test_what_is_forgotten_has_never_been(exact):
    exact.eval([*TOKENS, 40, 41])
    exact.n_tokens = len(TOKENS)
    assert exact.eval_tokens == TOKENS
    exact.eval([9])
    found = exact.eval_logits[-1]
    assert found == pytest.approx(after(exact, [*TOKENS, 9]), abs=TOLERANCE)
    with pytest.raises(puna.errors.ArgumentError, match="n_tokens = 6"):
        exact.n_tokens = 6


@pytest.mark.parametrize("logits_all", [False, True])
def test_what_is_forgotten_takes_its_logits_along(tiny, logits_all):
    with puna.Llama(tiny, n_ctx=64, logits_all=logits_all) as llm:
        llm.eval(TOKENS)
        rows = llm.eval_logits
        llm.n_tokens = len(TOKENS)
        assert llm.eval_logits == rows
        llm.n_tokens = 2
        assert llm.eval_logits == (rows[:2] if logits_all else [])


def test_sample_reads_the_scores_and_its_options(exact):
    row = after(exact, TOKENS)
    best = row.index(max(row))
    assert exact.sample(temp=0) == best
    assert exact.sample(temp=0, logit_bias={best: -1e9}) == row.index(sorted(row)[-2])
    assert {exact.sample(temp=1.5, top_k=2) for _ in range(40)} == {best, row.index(sorted(row)[-2])}
    assert exact.sample(temp=1.5, top_k=0, seed=7) == exact.sample(temp=1.5, top_k=0, seed=7)


def test_sample_reads_any_token_where_all_have_logits(tiny):
    with puna.Llama(tiny, n_ctx=64, logits_all=True) as llm:
        llm.eval(TOKENS)
        for i, row in enumerate(llm.eval_logits):
            assert llm.sample(temp=0, idx=i) == row.index(max(row))
        for idx in (4, -1, "1"):
            with pytest.raises(puna.errors.ArgumentError, match=f"idx = {idx!r}, expected"):
                llm.sample(idx=idx)


def test_generate_is_eval_and_sample_in_turn(exact):
    generated = exact.generate(TOKENS, temp=0)
    found = [next(generated) for _ in range(5)]
    generated.close()
    exact.reset()
    exact.eval(TOKENS)
    by_hand = []
    for _ in range(5):
        by_hand.append(exact.sample(temp=0))
        exact.eval(by_hand[-1:])
    assert by_hand == found


def test_generate_goes_on_without_reset(exact):
    first = exact.generate(TOKENS, temp=0)
    expected = [next(first) for _ in range(4)]
    exact.reset()
    exact.eval(TOKENS[:2])
    found = exact.generate(TOKENS[2:], temp=0, reset=False)
    assert [next(found) for _ in range(4)] == expected


def test_tokens_can_be_sent_into_a_generation(exact):
    generated = exact.generate(TOKENS, temp=0)
    first = next(generated)
    second = generated.send([40, 41])
    expected = exact.generate([*TOKENS, first, 40, 41], temp=0)
    assert next(expected) == second


def test_generate_ends_with_the_context(tiny):
    with puna.Llama(tiny, n_ctx=16) as llm:
        assert 12 <= len(list(llm.generate(TOKENS, temp=0))) <= 13


def test_generate_ends_by_a_criterion(exact):
    ends = puna.StoppingCriteriaList([lambda ids, logits: len(ids) >= 7])
    assert len(list(exact.generate(TOKENS, temp=0, stopping_criteria=ends))) == 3


@pytest.mark.parametrize("name", ["stop", "echo", "suffix", "stream"])
def test_generate_and_sample_refuse_what_is_about_text(exact, name):
    exact.eval(TOKENS)
    for call in (lambda **o: next(exact.generate(TOKENS, **o)), exact.sample):
        with pytest.raises(puna.errors.UnsupportedError, match=name):
            call(**{name: "x"})


def test_nothing_to_sample_from_is_an_error(exact):
    for call in (exact.sample, lambda: exact.scores):
        with pytest.raises(puna.errors.ContextError, match="a call of eval first"):
            call()
    assert exact.eval_logits == []


def test_more_than_the_context_is_refused_before_it_is_evaluated(exact):
    exact.eval(TOKENS)
    with pytest.raises(puna.errors.ContextError, match="n_ctx = 64"):
        exact.eval([5] * 61)
    assert exact.eval_tokens == TOKENS


def test_text_comes_back_from_its_tokens(exact):
    for text in ("abc", " blanks  and\nlines", "été 🦊", ""):
        tokens = exact.tokenize(text)
        assert tokens == exact.tokenize(text.encode())
        assert tokens[0] == exact.token_bos()
        assert exact.detokenize(tokens).decode() == text
        assert exact.tokenize(text, add_bos=False) == tokens[1:]


def test_pieces_join_to_the_text_they_stand_in(exact):
    tokens = exact.tokenize("some text that is cut")
    for cut in range(1, len(tokens)):
        first, rest = tokens[:cut], tokens[cut:]
        assert exact.detokenize(first) + exact.detokenize(rest, prev_tokens=first) == exact.detokenize(tokens)


def test_special_tokens_are_read_and_written_on_demand(exact):
    eos = exact.tokenizer().text(exact.token_eos())
    assert exact.tokenize(eos, add_bos=False, special=True) == [exact.token_eos()]
    assert len(exact.tokenize(eos, add_bos=False)) > 1
    assert exact.detokenize([exact.token_eos()]) == b""
    assert exact.detokenize([exact.token_eos()], special=True) == eos.encode()


def test_it_tells_its_sizes(tiny, exact):
    metadata = puna.gguf.Reader(tiny).metadata
    assert exact.n_vocab() == len(metadata["tokenizer.ggml.tokens"])
    assert exact.n_embd() == metadata["llama.embedding_length"]
    assert exact.n_ctx() == 64
    assert exact.metadata["general.architecture"] == "llama"
    assert exact.metadata["llama.embedding_length"] == str(metadata["llama.embedding_length"])
    assert exact.metadata["tokenizer.ggml.tokens"].startswith("array of string")
    assert exact.token_nl() == exact.tokenize("\n", add_bos=False)[-1]


def test_a_vocabulary_alone_needs_no_weights(tiny):
    with puna.Llama(tiny, vocab_only=True) as llm:
        assert llm.detokenize(llm.tokenize("abc")) == b"abc"
        assert (llm.n_vocab() > 0, llm.n_embd()) == (True, 256)
        for call in (lambda: llm("abc"), lambda: llm.eval([1]), llm.n_ctx, llm.reset):
            with pytest.raises(puna.errors.UnsupportedError, match="expected vocab_only = False"):
                call()


def test_an_override_takes_the_place_of_a_value_of_the_file(tiny):
    with puna.Llama(tiny, kv_overrides={"tokenizer.ggml.add_bos_token": False}) as llm:
        assert llm.tokenize("a")[0] != llm.token_bos()
        assert llm.metadata["tokenizer.ggml.add_bos_token"] == "false"


def test_a_closed_model_says_so(tiny):
    llm = puna.Llama(tiny)
    llm.close()
    llm.close()  # once more does no harm
    for call in (lambda: llm("a"), lambda: llm.eval([1]), llm.reset, llm.save_state, lambda: llm.n_tokens):
        with pytest.raises(puna.errors.ClosedError):
            call()
    assert llm.tokenize("a")  # the vocabulary is not freed


def test_tokens_in_the_context_come_as_an_array(exact):
    exact.eval(TOKENS)
    view = memoryview(exact.input_ids)
    assert (view.format, view.tolist()) == ("i", TOKENS)


def test_logits_become_log_probabilities():
    numpy = pytest.importorskip("numpy")
    logits = numpy.array([[1.0, 2.0, 3.0], [0.0, -numpy.inf, 1e4]], numpy.float32)
    found = puna.Llama.logits_to_logprobs(logits)
    assert found.dtype == numpy.float32
    assert numpy.exp(found).sum(axis=-1) == pytest.approx([1, 1])
    assert found[0] == pytest.approx(numpy.log(numpy.exp(logits[0]) / numpy.exp(logits[0]).sum()))
    assert found[1].tolist() == [-1e4, -numpy.inf, 0]
    columns = puna.Llama.logits_to_logprobs(logits, axis=0)
    assert numpy.exp(columns).sum(axis=0) == pytest.approx([1, 1, 1])


def test_beginnings_are_compared():
    assert puna.Llama.longest_token_prefix([1, 2, 3], [1, 2, 4]) == 2
    assert puna.Llama.longest_token_prefix([], [1]) == 0
