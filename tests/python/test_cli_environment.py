"""llama.cpp's environment variables, which say what flags do not."""

import re

import pytest

from puna.cli import COMMANDS, model
from puna.cli.environment import VARIABLES


@pytest.fixture
def puna_(puna_, monkeypatch):
    """The same with variables set."""

    def run(*arguments, **variables):
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(f"LLAMA_ARG_{name}", str(value))
            return puna_(*arguments)

    return run


def test_a_variable_is_what_a_flag_would_be(puna_, stories):
    flags = puna_("run", "-m", stories, "-n", "3", "--temp", "0", "--no-perf", "Once upon a time")
    assert flags == (0, "Once upon a time, there was\n", "")
    variables = {"MODEL": stories, "N_PREDICT": 3, "TEMPERATURE": 0, "SHOW_TIMINGS": "off"}
    assert puna_("run", "Once upon a time", **variables) == flags
    assert puna_("run", "Once upon a time", **variables | {"SHOW_TIMINGS": "1"})[2] != ""
    del variables["SHOW_TIMINGS"]
    assert puna_("run", "Once upon a time", **variables, NO_SHOW_TIMINGS="") == flags


def test_a_flag_goes_before_its_variable(puna_, stories):
    run = ["run", "-m", stories, "--temp", "0", "Once upon a time"]
    assert puna_(*run, "-n", "2", N_PREDICT=30)[1] == "Once upon a time, there\n"
    assert puna_(*run, "-n2", N_PREDICT=30)[1] == "Once upon a time, there\n"
    assert puna_(*run, "--no-perf", "-n", "1", SHOW_TIMINGS="on", N_PREDICT="none")[2] == ""


def test_a_template_of_the_environment_is_for_conversations(puna_, stories):
    run = ["run", "-m", stories, "--temp", "0", "-n", "3", "-no-cnv", "--no-perf", "Once upon a time"]
    assert puna_(*run, CHAT_TEMPLATE="chatml") == (0, "Once upon a time, there was\n", "")


def test_a_flag_goes_before_the_variable_of_what_it_excludes(puna_, stories, tmp_path):
    (tmp_path / "t.jinja").write_text("Once upon a time")
    run = ["run", "-m", stories, "--temp", "0", "-n", "3", "a"]
    of_file = puna_(*run, "--chat-template-file", tmp_path / "t.jinja")[1]
    assert puna_(*run, "--chat-template-file", tmp_path / "t.jinja", CHAT_TEMPLATE="chatml")[1] == of_file
    assert puna_(*run, CHAT_TEMPLATE_FILE=tmp_path / "t.jinja")[1] == of_file
    run = ["run", "-m", stories, "--temp", "0", "-n", "9", "Once upon a time, there was"]
    assert puna_(*run, "--rope-freq-scale", "1", ROPE_SCALE="900")[1] == puna_(*run)[1]
    assert puna_(*run, ROPE_SCALE="900")[1] == puna_(*run, "--rope-scale", "900")[1] != puna_(*run)[1]


@pytest.mark.parametrize(
    ("one", "other", "value"),
    [("ROPE_FREQ_SCALE", "ROPE_SCALE", "2"), ("CHAT_TEMPLATE", "CHAT_TEMPLATE_FILE", "chatml")],
)
def test_variables_that_exclude_each_other_are_refused(one, other, value, puna_, stories):
    run = ["run", "-m", stories, "-n", "1", "a"]
    code, out, err = puna_(*run, **{one: value, other: value})
    assert (code, out) == (2, "")
    says = f"LLAMA_ARG_{one} and LLAMA_ARG_{other} exclude each other, expected one of them"
    assert err.startswith(f"puna: error: {says}")
    assert err.count("\n") == 1
    assert puna_(*run, "--rope-scale", "1", "--chat-template", "chatml", **{one: value, other: value})[0] == 0


@pytest.mark.parametrize("command", ["run", "tokenize", "info", "bench"])
def test_any_word_for_a_model_goes_before_the_variable(command, puna_, stories, monkeypatch):
    asked = []
    monkeypatch.setattr(model, "pulled", lambda _, name: asked.append(name) or "nothing.gguf")
    prompt = [] if command == "info" else ["-p", "1"]
    for words in (["user/model:Q8_0"], ["-hf", "user/model:Q8_0"]):
        for variables in ({"MODEL": stories}, {"HF_REPO": "other/model"}):
            assert "error: nothing.gguf: " in puna_(command, *words, *prompt, **variables)[2]
            assert asked.pop() == "user/model:Q8_0"
    assert "error: other.gguf: " in puna_(command, "other.gguf", *prompt, MODEL=stories)[2]
    assert "error: nothing.gguf: " in puna_(command, *prompt, HF_REPO="user/model")[2]
    assert asked.pop() == "user/model"
    code, _, err = puna_(command, *prompt, HF_REPO="user/model", MODEL="a.gguf")
    assert (code, asked) == (2, [])
    assert "LLAMA_ARG_MODEL = 'a.gguf' and LLAMA_ARG_HF_REPO = 'user/model', expected one" in err


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("THREADS", "many", "'many', expected a whole number, -1 to 1024"),
        ("N_GPU_LAYERS", "auto", "'auto', expected a whole number, -1 or more; all is all of them"),
        ("TEMPERATURE", "nan", "'nan', expected a number"),
        ("CACHE_TYPE_K", "q9", "'q9', expected one of f32, f16, bf16, q8_0, q4_0"),
        ("FLASH_ATTN", "maybe", "'maybe', expected one of on, off, auto, 1, 0"),
        ("MMAP", "maybe", "'maybe', expected one of on, enabled, true, 1, off, disabled, false, 0"),
        ("MODEL", "", "'', expected a file"),
        ("HF_REPO", "user", "'user', expected user/repository"),
        ("CHAT_TEMPLATE", "none", "'none', expected Jinja or one of"),
    ],
)
def test_a_wrong_value_is_named_with_its_variable(name, value, says, puna_):
    code, out, err = puna_("run", "a", **{name: value})
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"puna: error: LLAMA_ARG_{name}: {says}")


def test_what_a_command_has_no_flag_for_is_not_read(puna_, stories):
    assert puna_("info", stories, THREADS="many", HOST="0.0.0.0")[0] == 0


def test_every_variable_is_in_some_help(puna_):
    names = [command.__name__.rpartition(".")[2] for command in COMMANDS]
    helps = "".join(puna_(name, "--help")[1] for name in names)
    shown = set(re.findall(r"\(env:\s+(\w+)\)", helps))
    assert shown == set(VARIABLES.values())
