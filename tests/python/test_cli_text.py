"""`puna tokenize` and `puna embed`, and the flags of samplers."""

import argparse
import io
import json
import math
import subprocess
import sys

import pytest

import puna
from puna.cli import parser, sampling


@pytest.fixture
def puna_(puna_, monkeypatch):
    """The same with text on standard input."""

    def run(*arguments, typed=""):
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        return puna_(*arguments)

    return run


def test_tokens_are_shown_with_their_texts(puna_, stories):
    assert puna_("tokenize", "-m", stories, "-p", "Once upon")[:2] == (
        0, "     1 -> '<s>'\n   403 -> ' Once'\n   407 -> ' upon'\n"
    )  # fmt: skip


def test_tokens_of_the_bundled_model_are_said_to_be(puna_, bundled):
    ids = ["tokenize", "--ids", "a cat"]
    code, text, notes = puna_(*ids)
    assert notes.startswith("no model named: the bundled one (3.1M parameters, stories) cuts the text;")
    named = (0, text, "")
    assert code == 0
    assert puna_(*ids, "--log-disable") == puna_("tokenize", "-m", bundled, *ids[1:]) == named


def test_ids_are_those_of_the_tokenizer(puna_, stories, tmp_path):
    tokenizer = puna.Tokenizer(stories)
    text = "Once upon\ta time"
    (tmp_path / "a.txt").write_text(text)
    expected = f"{tokenizer.encode(text, special=True)}\n"
    ids = ["tokenize", "-m", stories, "--ids"]
    assert puna_(*ids, "-f", tmp_path / "a.txt")[1] == expected
    assert puna_(*ids, "--stdin", typed=text)[1] == expected
    assert puna_(*ids, "-p", r"Once upon\ta time")[1] == expected
    assert puna_(*ids, "-p", r"Once upon\ta time", "--no-escape")[1] != expected
    assert puna_(*ids, "--no-bos", "Once", "upon")[1] == f"{tokenizer.encode('Once upon', add_bos=False)}\n"


def test_special_tokens_are_read_unless_told_not_to(puna_, stories):
    assert puna_("tokenize", "-m", stories, "--no-bos", "--ids", "-p", "</s>")[1] == "[2]\n"
    text = puna_("tokenize", "-m", stories, "--ids", "-p", "</s>", "--no-parse-special", "--show-count")[1]
    assert "2]" not in text.splitlines()[0]
    assert text.splitlines()[1] == f"Total number of tokens: {text.count(',') + 1}"


def test_bytes_that_are_no_character_are_shown_as_bytes(puna_, tiny, tmp_path):
    (tmp_path / "tiny.gguf").write_bytes(tiny)
    assert r"-> '\xc3'" in puna_("tokenize", "-m", tmp_path / "tiny.gguf", "-p", "ö")[1]


def test_embeddings_are_those_of_the_model_in_every_format(puna_, stories):
    embed = ["embed", "-m", stories, "--pooling", "mean", "-p", r"a cat\na dog"]
    with puna.Llama(stories, embedding=True, pooling_type="mean") as llm:
        expected = llm.embed(["a cat", "a dog"], normalize=True)
    found = json.loads(puna_(*embed, "--embd-output-format", "array")[1])
    assert found == [pytest.approx(list(row), abs=1e-5) for row in expected]
    whole = json.loads(puna_(*embed, "--embd-output-format", "json+")[1])
    assert [row["embedding"] for row in whole["data"]] == found
    assert whole["cosineSimilarity"][0] == [1.0, pytest.approx(sum(a * b for a, b in zip(*found)), abs=1e-5)]
    plain = json.loads(puna_(*embed, "--embd-output-format", "json")[1])
    assert plain.keys() == {"object", "data"}
    raw = puna_(*embed, "--embd-output-format", "raw")[1].splitlines()
    assert [float(x) for x in raw[1].split()] == pytest.approx(found[1], abs=1e-6)
    shown = puna_(*embed)[1]
    assert shown.startswith("embedding 0: ")
    assert "cosine similarity matrix" in shown


def test_each_word_is_a_text_of_its_own(puna_, stories):
    embed = ["embed", "-m", stories, "--pooling", "mean", "--embd-output-format", "array"]
    for words, texts in ((["a cat", "a dog"], r"a cat\na dog"), (["a", "--", "-x y"], r"a\n-x y")):
        assert puna_(*embed, *words)[1] == puna_(*embed, "-p", texts)[1] != ""
    assert len(json.loads(puna_(*embed, r"a cat\na dog")[1])) == 1


@pytest.mark.parametrize(
    ("p", "norm"),
    [(0, lambda v: max(map(abs, v)) / 32760), (1, lambda v: sum(map(abs, v))), (2, lambda v: math.hypot(*v))],
)
def test_vectors_are_normalized_as_asked(p, norm, puna_, stories):
    array = ["--pooling", "last", "--embd-output-format", "array", "--embd-normalize", p]
    (vector,) = json.loads(puna_("embed", "-m", stories, *array, "a cat")[1])
    assert norm(vector) == pytest.approx(1, abs=1e-5)


def test_vectors_of_the_bundled_model_are_said_to_be(puna_, bundled, stories):
    embed = ["embed", "--pooling", "mean", "a cat"]
    assert puna_(*embed)[2].startswith("no model named: the bundled one")
    assert puna_(*embed, "--log-disable")[2] == puna_(*embed, "-m", stories)[2] == ""


def test_without_pooling_every_token_has_a_vector(puna_, stories):
    rows = ["--embd-output-format", "array", "--pooling", "none"]
    n_tokens = len(puna.Tokenizer(stories).encode("a cat"))
    assert len(json.loads(puna_("embed", "-m", stories, *rows, "a cat")[1])) == n_tokens


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("tokenize", 2, "no text, expected one of -p TEXT, words, -f FILE and a pipe"),
        ("tokenize -p a --stdin", 2, "several texts, expected one of"),
        ("tokenize -f nothing.txt", 1, "nothing.txt"),
        ("embed", 2, "no text, expected one of -p TEXT"),
        ("embed a --attention causal", 2, "--attention is a flag of llama-embedding that Puna has not"),
        ("embed a --embd-output-format xml", 2, "invalid choice: 'xml'"),
        ("embed a --embd-normalize -2", 2, "'-2', expected a whole number, -1 or more"),
        ("run a --temp hot", 2, "'hot', expected a number"),
        ("run a --temp nan", 2, "'nan', expected a number"),
        ("run a --xtc-probability 2", 2, "'2', expected a number, at least 0, at most 1"),
        ("run a --sampler-seq kz", 2, "'z' in 'kz', expected letters of edskypmxtia"),
        ("run a --samplers nonsense", 2, "which is not known here; known: penalties dry"),
        ("run a -l 15", 2, "'15', expected a token id and a number"),
        ("run a -s -2", 2, "'-2', expected a whole number, -1 to 4294967295"),
        ("run a --override-kv b", 2, "'b', expected KEY=TYPE:VALUE"),
        ("run a --chat-template-file nothing", 1, "nothing"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(arguments, code, says, puna_, bundled):
    found, out, err = puna_(*arguments.split())
    assert (found, out) == (code, "")
    assert err.startswith("puna: error: ")
    assert err.count("\n") == 1
    assert says in err


def test_text_that_is_none_is_refused(puna_, bundled, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"ab\xff")
    code, _, err = puna_("tokenize", "-f", tmp_path / "a.txt")
    assert code == 1
    assert "byte 2 is no UTF-8" in err


def given(*arguments):
    found = parser().parse_args(["run", *arguments])
    sampling.unescape(found)
    return found


def test_flags_reach_the_samplers_under_their_names():
    numbers = {
        "--temp": ("temperature", 0.5), "--top-k": ("top_k", 7), "--top-p": ("top_p", 0.6), "--min-p": ("min_p", 0.2),
        "--typical": ("typical_p", 0.7), "--top-nsigma": ("top_n_sigma", 2.0), "--xtc-probability": ("xtc_probability", 0.3),
        "--xtc-threshold": ("xtc_threshold", 0.4), "--repeat-penalty": ("repeat_penalty", 1.2),
        "--presence-penalty": ("presence_penalty", 0.8), "--frequency-penalty": ("frequency_penalty", 0.9),
        "--dry-multiplier": ("dry_multiplier", 0.81), "--dry-base": ("dry_base", 1.5),
        "--dry-allowed-length": ("dry_allowed_length", 3), "--dry-penalty-last-n": ("dry_penalty_last_n", 32),
        "--dynatemp-range": ("dynatemp_range", 0.25), "--dynatemp-exp": ("dynatemp_exponent", 2.0),
        "--mirostat-lr": ("mirostat_eta", 0.15), "--mirostat-ent": ("mirostat_tau", 4.0),
        "--adaptive-decay": ("adaptive_decay", 0.5),
    }  # fmt: skip
    flags = [text for flag, (_, value) in numbers.items() for text in (flag, str(value))]
    found = sampling.options(given(*flags), {})
    assert {name: found[name] for name, _ in numbers.values()} == dict(numbers.values())
    assert found["samplers"] is None


def test_samplers_are_named_or_lettered():
    assert sampling.options(given("--samplers", "top_k;temp"), {})["samplers"] == ["top_k", "temp"]
    assert sampling.options(given("--sampler-seq", "kt"), {})["samplers"] == ["top_k", "temperature"]
    assert sampling.options(given("--mirostat", "2"), {})["samplers"] == ["temperature", "mirostat"]
    assert sampling.options(given("--adaptive-target", "0.5"), {})["samplers"][-2:] == [
        "temperature", "adaptive_p"
    ]  # fmt: skip


def test_biases_breakers_and_seeds_are_read():
    found = given("-l", "5+1.5", "-l", "6-inf", "--dry-sequence-breaker", r"\n", "-s", "7")
    options = sampling.options(found, {})
    assert options["logit_bias"] == {5: 1.5, 6: -math.inf}
    assert options["dry_sequence_breakers"] == ["\n"]
    assert found.seed == 7
    assert sampling.options(given("--dry-sequence-breaker", "none"), {})["dry_sequence_breakers"] == []


def test_a_file_may_have_defaults_and_flags_go_before_them():
    metadata = {"general.sampling.temp": 0.1, "general.sampling.top_k": 3, "general.sampling.sequence": "kt"}
    options = sampling.options(given("--temp", "0.9"), metadata)
    assert (options["temperature"], options["top_k"]) == (0.9, 3)
    assert options["samplers"] == ["top_k", "temperature"]
    with pytest.raises(puna.PunaError, match="general.sampling.sequence: 'z' in 'z'"):
        sampling.options(given(), {"general.sampling.sequence": "z"})
    with pytest.raises(puna.PunaError, match="general.sampling.top_k = 'many', expected a number"):
        sampling.options(given(), {"general.sampling.top_k": "many"})


def test_escapes_are_read_once():
    found = argparse.Namespace(escape=True, dry_sequence_breaker=None, prompt=r"a\nb\t\x41\\n\q\x4")
    sampling.unescape(found, "prompt")
    assert found.prompt == "a\nb\tA\\n\\q\\x4"


@pytest.mark.native
def test_a_prompt_alone_is_timed_without_an_import(bundled):
    """Arrays for a function of Python's would bring numpy, and its import into the prompt's time."""
    program = (
        "import sys; from puna.cli import main; code = main(['run', '-p', 'Hello', '-n', '0']);"
        "sys.exit(code or 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "\n")
    assert "generated 0 tokens - t/s" in done.stderr
