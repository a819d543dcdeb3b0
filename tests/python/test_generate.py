"""`generate` where all tokens have logits: the tokens it gives without, and `scores` that are complete."""

import pytest

import puna

TOKENS = [5, 6, 7, 8]
TOLERANCE = 2e-4  # a batch and a single token take kernels with another order of sums


def rows(llm: puna.Llama) -> list[list[float]]:
    """Logits of every token in the context."""
    found = [list(row) for row in llm.scores[: llm.n_tokens]]
    assert llm.eval_logits == found
    return found


def assert_complete(llm: puna.Llama, fast: puna.Llama) -> None:
    found, tokens = rows(llm), llm.eval_tokens
    assert len(found) == len(tokens) == llm.n_tokens
    for i, row in enumerate(found):
        fast.reset()
        fast.eval(tokens[: i + 1])
        assert row == pytest.approx(fast.eval_logits[-1], abs=TOLERANCE)


def doubled(input_ids, scores):
    return [2 * score for score in scores]


@pytest.mark.parametrize(
    "options",
    [
        {"temp": 0},
        {"temp": 0.8},
        {"temp": 0.8, "seed": 7},
        {"temp": 0, "repeat_penalty": 1.5, "frequency_penalty": 0.3},
        {"mirostat_mode": 2},
        {"dry_multiplier": 1.0},
        {"temp": 0, "logit_bias": {9: 5.0}},
        {"logits_processor": [doubled]},
        {"temp": 0, "stopping_criteria": lambda ids, logits: len(ids) > 9},
        {"temp": 0, "stopping_criteria": lambda ids, logits: True},
    ],
    ids=str,
)
def test_the_tokens_are_those_without(fast, every, options):
    """Twice: the seeds of both are drawn from the model's own. They end with the context."""
    expected, found = ([list(llm.generate(TOKENS, **options)) for _ in range(2)] for llm in (fast, every))
    assert found == expected
    assert every.eval_tokens == fast.eval_tokens


def test_tokens_sent_in_come_next_as_without(fast, every):
    expected, found = [], []
    for llm, got in ((fast, expected), (every, found)):
        generated = llm.generate(TOKENS)
        got += [
            next(generated),
            generated.send([40, 41]),
            next(generated),
            generated.send([9]),
            next(generated),
        ]
    assert found == expected


def test_each_token_finds_the_logits_of_those_before(fast, every):
    generated = every.generate(TOKENS, temp=0)
    before = TOKENS
    for _ in range(4):
        token = next(generated)
        assert (every.n_tokens, every.eval_tokens) == (len(before), before)
        assert rows(every)[-1].index(max(rows(every)[-1])) == token
        before = [*before, token]
    generated.close()
    assert_complete(every, fast)
    assert every.sample(temp=0) == token


def test_what_two_texts_begin_with_is_not_evaluated_again(every):
    pytest.importorskip("numpy")
    next(every.generate(TOKENS))
    every.scores[0] = every.scores[3] = 7
    next(every.generate([*TOKENS[:3], 40, 41]))
    assert every.scores.shape == (5, every.n_vocab())
    assert [len(set(row)) == 1 for row in rows(every)] == [True, False, False, False, False]
    every.scores[:] = 7
    next(every.generate(every.eval_tokens))  # of what is known one token is evaluated again
    assert [len(set(row)) == 1 for row in rows(every)] == [True] * 4 + [False]


def test_it_goes_on_without_reset(fast, every):
    every.eval(TOKENS[:2])
    found = every.generate(TOKENS[2:], temp=0, reset=False)
    expected = fast.generate(TOKENS, temp=0)
    assert [next(found) for _ in range(4)] == [next(expected) for _ in range(4)]
    expected.close()
    assert_complete(every, fast)


def test_a_completion_before_leaves_no_gap(fast, every):
    every(TOKENS, max_tokens=3)
    known = every.eval_tokens
    for options in ({"tokens": [*known, 40]}, {"tokens": [40], "reset": False}):
        every(TOKENS, max_tokens=3, logit_bias={known[-1]: 1e9})
        next(every.generate(**options))
        assert_complete(every, fast)


def test_the_logits_go_into_a_state(every):
    generated = every.generate(TOKENS, temp=0)
    next(generated)
    state, expected = every.save_state(), rows(every)
    next(generated)
    every.load_state(state)
    assert rows(every) == expected


@pytest.mark.parametrize(
    ("tokens", "options"),
    [
        ([], {}),
        ([5] * 64, {}),
        ([10**6], {}),
        ([-1], {}),
        ([5], {"temp": float("nan")}),
        ([5], {"logits_processor": 7}),
        ([5], {"logits_processor": lambda ids, scores: None}),
        ([5], {"logits_processor": lambda ids, scores: scores[:-1]}),
        ([5], {"logits_processor": lambda ids, scores: [*scores, 1.0]}),
        ([5], {"logits_processor": lambda ids, scores: [float("-inf")] * len(scores)}),
        ([5], {"stopping_criteria": lambda ids, logits: 1 / 0}),
    ],
)
def test_errors_are_those_without(fast, every, tokens, options):
    found = []
    for llm in (fast, every):
        with pytest.raises((puna.PunaError, ZeroDivisionError)) as caught:
            next(llm.generate(tokens, **options))
        found.append((caught.type, str(caught.value)))
        assert next(llm.generate(TOKENS)) >= 0  # and the model lives
    assert found[0] == found[1]


def test_more_tokens_sent_in_than_there_is_room_are_refused(every):
    generated = every.generate(TOKENS)
    next(generated)
    with pytest.raises(puna.errors.ContextError, match="of 65 tokens .* expected at most 63"):
        generated.send([5] * 60)


def test_a_closed_model_says_so(every):
    generated = every.generate(TOKENS)
    next(generated)
    every.close()
    with pytest.raises(puna.errors.ClosedError):
        next(generated)


def test_a_processor_is_called_once_a_token(fast, every):
    for llm in (fast, every):
        seen = []

        def look(input_ids, scores, seen=seen):
            seen.append([int(token) for token in input_ids])
            return scores

        generated = llm.generate(TOKENS, temp=0, logits_processor=look)
        chosen = [next(generated) for _ in range(4)]
        generated.close()
        assert seen == [[*TOKENS, *chosen[:n]] for n in range(4)]


def test_generations_in_turn_do_not_mix(fast, every):
    prompts = (TOKENS, [*TOKENS[:2], 40])
    expected = [list(fast.generate(prompt, temp=0))[:3] for prompt in prompts]
    both = [every.generate(prompt, temp=0) for prompt in prompts]
    found = [[next(generated) for generated in both] for _ in range(3)]
    assert [list(each) for each in zip(*found, strict=True)] == expected
    assert_complete(every, fast)


def test_what_a_loop_does_to_the_context_is_made_good(fast, every):
    expected = list(fast.generate(TOKENS, temp=0))[:5]
    generated = every.generate(TOKENS, temp=0)
    found = [next(generated)]
    for change in (
        lambda: every.eval([9, 9]),
        every.reset,
        lambda: setattr(every, "n_tokens", 2),
        every.sample,
    ):
        change()
        found.append(next(generated))
    assert found == expected
    assert_complete(every, fast)


def test_other_texts_make_room(tiny, fast, f32_cache):
    with puna.Llama(tiny, **f32_cache | {"n_ctx": 32}, logits_all=True, n_seq_max=3) as llm:
        streams = [llm([token] * 8, max_tokens=2, stream=True, ignore_eos=True) for token in (5, 6, 7)]
        assert all(list(stream) for stream in streams)
        assert [llm._session.n_past(seq) > 0 for seq in range(3)] == [True] * 3
        assert list(llm.generate(TOKENS, temp=0)) == list(fast.generate(TOKENS, temp=0))[: 32 - len(TOKENS)]
        assert llm.n_tokens == 31


def test_what_a_window_has_given_up_is_evaluated_again(golden, every):
    options = {"n_ctx": 256, "n_batch": 4, "type_k": "f32", "type_v": "f32", "swa_full": False}
    phi3 = golden / "logits/phi3.gguf"  # all its layers have a window
    with puna.Llama(phi3, **options) as plain, puna.Llama(phi3, **options, logits_all=True) as llm:
        tokens = [5 + i % 40 for i in range(200)]
        for n in (200, 20):
            expected, found = (each.generate(tokens[:n], temp=0) for each in (plain, llm))
            assert [next(found) for _ in range(3)] == [next(expected) for _ in range(3)]
        assert len(rows(llm)) == 22
