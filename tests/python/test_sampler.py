"""`puna.Sampler`: llama.cpp's samplers, for an array of logits and a history."""

import array
import json
import math

import pytest

import puna

TOLERANCE = 1e-4  # that of the cases' printed digits
# Which arguments of a case of test-sampling.cpp are which option, after logits and expectation.
OPTIONS = {
    "temp": ("temperature",),
    "temp_ext": ("temperature", "dynatemp_range", "dynatemp_exponent"),
    "top_k": ("top_k",),
    "top_p": ("top_p",),
    "min_p": ("min_p",),
    "typical": ("typical_p",),
    "xtc": ("xtc_probability", "xtc_threshold"),
    "top_n_sigma": ("top_n_sigma",),
    "penalties": ("repeat_penalty", "frequency_penalty", "presence_penalty"),
    "dry": ("dry_multiplier", "dry_base", "dry_allowed_length", "dry_penalty_last_n"),
}
NAMES = {"temp": "temperature", "temp_ext": "temperature", "typical": "typ_p"}
LOGITS = [0.0, 3.0, 1.0, 2.0]


def logs(probabilities: list[float]) -> list[float]:
    return [math.log(p) if p else -math.inf for p in probabilities]


def test_llama_cpps_cases_hold(data):
    cases = json.loads((data / "llamacpp/sampling.json").read_text())
    n = 0
    for case in cases:
        kind, args = case["sampler"], case["args"]
        if kind not in OPTIONS or kind == "dry" and args[-1]:
            continue  # chains, and breakers that are token ids: in core-rs/text/tests
        has_history = kind in ("penalties", "dry")
        probabilities, history = args[0], args[1] if has_history else []
        expected, rest = args[1 + has_history], args[2 + has_history :]
        options = dict(zip(OPTIONS[kind], rest)) | {"dry_sequence_breakers": []}
        sampler = puna.Sampler(len(probabilities), samplers=[NAMES.get(kind, kind)], **options)
        found = sorted(p for _, p in sampler.probabilities(logs(probabilities), history))
        total = sum(expected)
        assert found == pytest.approx(sorted(p / total for p in expected), abs=TOLERANCE), case
        n += 1
    assert n == 24


def test_probabilities_are_those_of_softmax_likeliest_first():
    found = puna.Sampler(4, samplers=[]).probabilities(LOGITS)
    total = sum(map(math.exp, LOGITS))
    assert [token for token, _ in found] == [1, 3, 2, 0]
    assert [p for _, p in found] == pytest.approx([math.exp(LOGITS[t]) / total for t, _ in found])


def test_temperature_zero_takes_the_likeliest():
    sampler = puna.Sampler(4, temperature=0)
    assert [sampler(LOGITS) for _ in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("typecode", ["f", "d"])
def test_logits_come_as_arrays_or_lists(typecode):
    assert puna.Sampler(4, temperature=0)(array.array(typecode, LOGITS)) == 1


def test_of_rows_the_last_counts():
    assert puna.Sampler(4, temperature=0)([*LOGITS, 5.0, 0.0, 0.0, 0.0]) == 0


def test_numpy_arrays_of_any_float_are_read():
    numpy = pytest.importorskip("numpy")
    for dtype in (numpy.float16, numpy.float32, numpy.float64):
        assert puna.Sampler(4, temperature=0)(numpy.array(LOGITS, dtype)) == 1
    rows = numpy.array([LOGITS, [5.0, 0, 0, 0]], numpy.float32)
    assert puna.Sampler(4, temperature=0)(rows) == 0
    assert puna.Sampler(2, temperature=0)(rows[:, ::2]) == 0  # strided
    assert puna.Sampler(2, temperature=0)(rows[:1, ::2]) == 1


def test_what_a_session_answers_is_sampled_without_a_copy(tiny):
    with puna.Session(tiny, n_ctx=32) as session:
        logits = session.eval([5, 6, 7])
        row = logits.tolist()[0]
        assert puna.Sampler(session.model.tokenizer, temperature=0)(logits) == row.index(max(row))


def test_a_seed_repeats_the_choices_and_reset_begins_again():
    flat = [0.0] * 50
    one, two = (puna.Sampler(50, seed=7, top_k=0, min_p=0.0, top_p=1.0) for _ in range(2))
    first = [one(flat) for _ in range(20)]
    assert first == [two(flat) for _ in range(20)]
    assert len(set(first)) > 5
    one.reset()
    assert [one(flat) for _ in range(20)] == first


def test_tokens_are_drawn_as_often_as_they_are_likely():
    sampler = puna.Sampler(4, seed=1, samplers=["temperature"], temperature=1.0)
    n = 20_000
    drawn = [sampler(LOGITS) for _ in range(n)]
    total = sum(map(math.exp, LOGITS))
    for token, logit in enumerate(LOGITS):
        p = math.exp(logit) / total
        # Five standard deviations of a count: off once in a million seeds.
        assert abs(drawn.count(token) - n * p) < 5 * math.sqrt(n * p * (1 - p))


def test_penalties_look_at_the_history():
    options = {"temperature": 0, "presence_penalty": 10.0}
    assert puna.Sampler(4, **options)(LOGITS, [1]) == 3
    assert puna.Sampler(4, **options)(LOGITS, [1, 3]) == 2
    assert puna.Sampler(4, last_n=1, **options)(LOGITS, [1, 3]) == 1
    assert puna.Sampler(4, last_n=-1, **options)(LOGITS, [1, 3] + [0] * 100) == 2


def test_a_history_goes_on_or_begins_anew():
    sampler = puna.Sampler(4, temperature=0, frequency_penalty=1.5)
    assert sampler(LOGITS, [1]) == 3  # 3.0 - 1.5 < 2.0
    assert sampler(LOGITS, [1, 3]) == 1  # 1.5 > 0.5; the 1 was not counted twice
    assert sampler(LOGITS, [3]) == 1  # another history: the first is forgotten
    assert sampler(LOGITS, []) == 1


def test_accepting_is_having_a_history():
    sampler = puna.Sampler(4, temperature=0, presence_penalty=10.0)
    sampler.accept(1, 3)
    assert sampler(LOGITS) == 2


def test_a_bias_forbids():
    assert puna.Sampler(4, temperature=0, logit_bias={1: -math.inf})(LOGITS) == 3


def test_dry_forbids_what_would_repeat():
    """After 1 2 3 … 1 2 comes no 3 again (the README of DRY, pull request 5637 of text-generation-webui)."""
    logits = [0.0, 0.0, 0.0, 2.0]
    options = {"temperature": 0, "dry_multiplier": 5.0, "dry_sequence_breakers": []}
    assert puna.Sampler(4, **options)(logits, [1, 2, 3, 0, 1, 2]) != 3
    assert puna.Sampler(4, **options)(logits, [1, 2, 0, 0, 1, 2]) == 3


def test_dry_stops_at_a_breakers_text(tiny):
    tokenizer = puna.Tokenizer(tiny)
    a, b, colon = (tokenizer.encode(text, add_bos=False)[-1] for text in "ab:")
    history = [a, colon, b, a, colon]
    logits = [0.0] * tokenizer.n_vocab
    logits[b] = 2.0
    options = {"temperature": 0, "dry_multiplier": 5.0, "dry_allowed_length": 1}
    assert puna.Sampler(tokenizer, **options)(logits, history) == b
    assert puna.Sampler(tokenizer, dry_sequence_breakers=[], **options)(logits, history) != b


@pytest.mark.parametrize("mode", [1, 2])
def test_mirostat_keeps_near_its_surprise(mode):
    """Basu et al. 2020: the mean of -log2 p of the tokens drawn comes to tau."""
    logits = [-1.1 * math.log(i + 1) for i in range(500)]
    total = sum(map(math.exp, logits))
    sampler = puna.Sampler(
        500, seed=3, mirostat_mode=mode, mirostat_tau=4.0, mirostat_eta=0.1, temperature=1.0
    )
    surprises = []
    for _ in range(600):
        token = sampler(logits)
        sampler.accept(token)
        surprises.append(-math.log2(math.exp(logits[token]) / total))
    mean = sum(surprises[100:]) / len(surprises[100:])
    assert 3.0 < mean < 5.0


def test_the_order_of_samplers_can_be_given():
    """top_k before the temperature or after it is the same; before top_p it is not."""
    probabilities = [0.4, 0.3, 0.2, 0.1]
    options = {"top_k": 2, "top_p": 0.5}
    first = puna.Sampler(4, samplers=["top_k", "top_p"], **options).probabilities(logs(probabilities))
    last = puna.Sampler(4, samplers=["top_p", "top_k"], **options).probabilities(logs(probabilities))
    assert [token for token, _ in first] == [0]  # 0.4 of 0.7 is more than a half
    assert [token for token, _ in last] == [0, 1]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"temperature": "hot"}, "temperature = 'hot', expected a number"),
        ({"temperature": math.nan}, "temperature"),
        ({"top_k": 1.5}, "top_k = 1.5, expected a whole number"),
        ({"samplers": ["top_q"]}, "top_q"),
        ({"logit_bias": {9: 1.0}}, "9"),
        ({"logit_bias": [1]}, "logit_bias = [1], expected a dict"),
        ({"mirostat_mode": 3}, "mirostat_mode = 3, expected a whole number, 0 to 2"),
        ({"repeat_penalty": 0.0}, "repeat_penalty"),
        ({"seed": "x"}, "seed"),
        ({"last_n": -2}, "last_n = -2"),
        ({"dry_sequence_breakers": [1]}, "dry_sequence_breakers = [1]"),
    ],
    ids=str,
)
def test_a_wrong_option_is_named(options, says):
    with pytest.raises(puna.PunaError) as caught:
        puna.Sampler(4, **options)
    assert isinstance(caught.value, ValueError)
    assert says in str(caught.value)


def test_an_unknown_option_is_answered_with_what_was_meant():
    with pytest.raises(puna.errors.UnknownArgumentError, match="did you mean 'temperature'"):
        puna.Sampler(4, temprature=1.0)


@pytest.mark.parametrize("logits", [[1.0, 2.0], [], "abcd", None, [math.nan] * 4])
def test_wrong_logits_are_refused(logits):
    with pytest.raises(puna.errors.ArgumentError, match="logits"):
        puna.Sampler(4)(logits)


def test_wrong_tokens_are_refused():
    with pytest.raises(puna.errors.TokenError):
        puna.Sampler(4).accept(4)
    with pytest.raises(puna.errors.TokenError):
        puna.Sampler(4)(LOGITS, [-1])
    with pytest.raises(puna.errors.ArgumentError, match="vocab = 0"):
        puna.Sampler(0)
