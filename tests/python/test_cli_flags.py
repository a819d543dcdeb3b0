"""Flags and words of the command line: models without a flag, flags of habit, and hints where one is wrong."""

import argparse
import os
import shutil

import pytest

from puna.cli import model, positional, terminal

NAMES = """llama3 mistral llava codellama starcoder2 vicuna zephyr command-r command-r7b qwq falcon3 olmo2 yi
    solar devstral hermes3 moondream codegemma stablelm2 granite3.1-moe minicpm-v orca-mini nous-hermes2 aya
    cogito gpt-oss:20b solar-pro""".split()


@pytest.mark.parametrize("name", NAMES)
def test_names_of_ollamas_are_no_texts(name, puna_):
    code, out, err = puna_("run", name, "Why is the sky blue?")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"{name!r}, expected a text: a model comes by -m FILE or -hf user/repository:quant" in err


def test_words_that_are_names_too_may_begin_a_text():
    for text in ("solar panels", "zephyr", "granite is what", "yi king", "solar-powered cars", "aya hi"):
        given = argparse.Namespace(words=text.split(), model=None, hf_repo=None)
        positional.take_model(given)
        assert given.words == text.split()


def test_flags_of_habit_are_taken(puna_, stories):
    plain = ["run", "-m", stories, "-n", "3", "--temp", "0", "-p", "Once upon a time"]
    habits = """--jinja --no-warmup --no-context-shift --display-prompt --cache-prompt -kvo --simple-io -st
        --swa-full -fa on -fa 1 -t 1 -tb 1 -ub 32 --no-mmap -b 64 --color""".split()
    assert puna_(*plain, *habits)[:2] == puna_(*plain)[:2]
    assert puna_(*plain, "-t", "-1", "-tb", "0")[:2] == puna_(*plain)[:2]
    assert puna_(*plain, "--no-swa-full")[1] == puna_(*plain)[1]
    assert puna_(*plain, "--log-disable")[2] == ""
    for t, says in (("2", "2"), ("-1", "one a core")):
        code, text, notes = puna_(*plain, "-t", t, "-tb", "4")
        assert (code, text) == puna_(*plain)[:2]
        assert notes.startswith(f"-tb 4: prompts run on the threads of -t, {says}\n")


def test_colour_is_for_terminals_unless_asked_for(puna_, stories, monkeypatch):
    monkeypatch.setattr(terminal.Colour, "mode", "auto")  # as it is put back afterwards
    plain = ["run", "-m", stories, "-n", "1", "a"]
    assert "\x1b[2mload" in puna_(*plain, "--color", "on")[2]
    assert "\x1b" not in puna_(*plain, "-co", "off")[2] + puna_(*plain)[2]


def test_a_first_word_may_be_the_model(puna_, stories):
    shared = ["-n", "3", "--temp", "0"]
    assert puna_("run", stories, "Once upon", *shared, "a time")[1] == "Once upon a time, there was\n"
    assert puna_("run", "-m", stories, "b.gguf", *shared)[1].startswith("b.gguf")
    ids = puna_("tokenize", "-m", stories, "--ids", "-p", "a cat")[1]
    assert puna_("tokenize", stories, "--ids", "a", "cat")[1] == ids
    vector = puna_("embed", "-m", stories, "--pooling", "mean", "-p", "a cat")[1]
    assert puna_("embed", stories, "--pooling", "mean", "a cat")[1] == vector
    assert puna_("info", stories)[1] == puna_("info", "-m", stories)[1] != ""
    bench = ["-p", "2", "-n", "0", "-r", "1", "-o", "csv"]
    assert os.path.basename(stories) in puna_("bench", stories, *bench)[1]


def test_a_model_needs_no_suffix(puna_, stories, tmp_path, monkeypatch):
    blob = tmp_path / "sha256-abcdef"
    shutil.copy(stories, blob)
    shared = ["-n", "3", "--temp", "0"]
    assert puna_("run", blob, "Once upon a time", *shared)[1] == "Once upon a time, there was\n"
    monkeypatch.chdir(tmp_path)
    ids = puna_("tokenize", "-m", blob, "--ids", "-p", "a")[1]
    assert puna_("tokenize", "sha256-abcdef", "--ids", "a")[1] == ids != ""
    assert puna_("info", "sha256-abcdef")[0] == 0


def test_a_file_that_is_no_model_is_a_word(puna_, stories, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cats").write_text("GGU")
    for word in ("cats", "/help", "and/or not/and", "./a b"):
        given = argparse.Namespace(words=[word], model=None, hf_repo=None)
        positional.take_model(given)
        assert (given.words, given.model) == ([word], None)


@pytest.mark.parametrize("command", ["run", "tokenize", "info", "bench"])
def test_every_command_takes_the_same_words_for_models_of_the_hub(command, puna_, monkeypatch):
    asked = []
    monkeypatch.setattr(model, "pulled", lambda _, name: asked.append(name) or "nothing.gguf")
    prompt = [] if command == "info" else ["-p", "1"]
    for word in ("user/model-gguf", "user/model:Q8_0", "hf.co/user/model"):
        assert "error: nothing.gguf: " in puna_(command, word, *prompt)[2]
        assert asked.pop() == word.removeprefix("hf.co/")
    assert "error: user/model.gguf: " in puna_(command, "user/model.gguf", *prompt)[2]
    assert asked == []


def test_a_file_that_is_there_is_no_model_of_the_hub(puna_, stories, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("user")
    shutil.copy(stories, "user/model-gguf")
    assert puna_("tokenize", "user/model-gguf", "-p", "a")[0] == 0
    assert puna_("info", "user/model-gguf")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("run nothing.gguf Why?", 1, "nothing.gguf"),
        ("run -m user/model:Q4_0 Why?", 1, "user/model:Q4_0: No such file or directory; one of huggingface.co comes by -hf user/model:Q4_0"),
        ("info -m user/model", 1, "one of huggingface.co comes by -hf user/model"),
        ("run user/repository Why?", 2, "expected a text: a model comes by -hf user/repository, a text like this by -p"),
        ("run llama3.2 Why?", 2, "'llama3.2', expected a text: a model comes by -m FILE or -hf user/repository:quant"),
        ("run gemma3:4b", 2, "Ollama's names are not known here"),
        ("chat qwen2.5-coder:latest", 2, "Ollama's names are not known here"),
        ("embed nomic-embed-text hi", 2, "'nomic-embed-text', expected a text: a model comes by -m FILE or -hf"),
        ("tokenize mxbai-embed-large hi", 2, "'mxbai-embed-large', expected a text"),
        ("embed all-minilm:l6-v2 hi", 2, "'all-minilm:l6-v2', expected a text"),
        ("embed bge-m3 hi", 2, "'bge-m3', expected a text"),
        ("embed snowflake-arctic-embed2 hi", 2, "'snowflake-arctic-embed2', expected a text"),
        ("run ./nomodel hi", 1, "puna: error: ./nomodel: cannot open the file: No such file"),
        ("chat /no/blobs/sha256-abcdef hi", 1, "/no/blobs/sha256-abcdef: cannot open the file: No such file"),
        ("tokenize -p a mistral", 2, "'mistral', expected a text"),
        ("run hf.co/b:Q4 hi", 2, "'b:Q4', expected user/repository or user/repository:quant (see puna run --help)"),
        ("run hf.co/my-gguf hi", 2, "'my-gguf', expected user/repository"),
        ("run https://huggingface.co/b hi", 2, "'b', expected user/repository"),
        ("info hf.co/b:Q4", 2, "'b:Q4', expected user/repository or user/repository:quant"),
        ("info a.gguf -m b.gguf", 2, "models a.gguf and b.gguf, expected one"),
        ("info a.gguf b.gguf", 2, "unrecognized arguments: b.gguf (see puna info --help)"),
        ("run a --temprature 1", 2, "unrecognized arguments: --temprature; did you mean --temperature?"),
        ("run a --n_predict 1", 2, "unrecognized arguments: --n_predict; did you mean --n-predict?"),
        ("run a --max-tokens=1", 2, "unrecognized arguments: --max-tokens=1; did you mean -n?"),
        ("run a --n_ctx 1", 2, "unrecognized arguments: --n_ctx; did you mean -c?"),
        ("pull a/b --num-ctx 1", 2, "unrecognized arguments: --num-ctx (see puna pull --help)"),
        ("run a -i", 2, "-i is a flag of llama.cpp that Puna has not: puna chat is interactive (see puna run --help)"),
        ("run a --mlock", 2, "--mlock is a flag of llama.cpp that Puna has not: --no-mmap reads the file into memory"),
        ("run a --no-kv-offload", 2, "--no-kv-offload is a flag of llama.cpp that Puna has not: the cache is where"),
        ("run a --verbose-prompt", 2, "that Puna has not: puna tokenize shows tokens"),
        ("chat --list-devices", 2, "that Puna has not: puna devices lists them"),
        ("bench --no-warmup", 2, "--no-warmup is a flag of llama-bench that Puna has not"),
        ("run a --color red", 2, "invalid choice: 'red' (choose from"),
        ("--verison", 2, "unrecognized arguments: --verison; did you mean --version?"),
    ],
)  # fmt: skip
def test_what_was_meant_is_said_in_a_line(arguments, code, says, puna_, bundled):
    found, out, err = puna_(*arguments.split())
    assert (found, out) == (code, "")
    assert err.startswith("puna: error: ")
    assert err.count("\n") == 1
    assert says in err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["run", "-f", "nothing.txt"], 1, "puna: error: nothing.txt: No such file or directory"),
        (["run", "-f", "."], 1, "puna: error: .: "),
        (["run", "-m", "https://a/b.gguf", "a"], 2, "expected a file; one of huggingface.co comes by -hf"),
        (["run", "https://a/b.gguf"], 2, "expected a file; one of huggingface.co comes by -hf"),
        (["pull", "https://hf.co/a/b/resolve/main/c/d.gguf?x"], 2, "; a file of it comes by -hff c/d.gguf"),
        (["run", "-ngl", "auto", "a"], 2, "'auto', expected a whole number, -1 or more; all is all of them"),
        (["run", "-m", "", "a"], 2, "argument -m/--model: '', expected a file"),
        (["info", ""], 2, "'', expected a file"),
        (["bench", "-c", "99"], 2, "unrecognized arguments: -c"),
        (["run", "a", "-temp", "0"], 2, "unrecognized arguments: -temp; did you mean --temp?"),
        (["run", "--repeat-penalty", "0", "a"], 2, "--repeat-penalty: '0', expected a number above 0"),
        (["run", "a", "-kv"], 2, "unrecognized arguments: -kv"),
        (["run", "-n", "1", "-p", "x", "-hfv", "a/b"], 2, "unrecognized arguments: -hfv; did you mean"),
        (["run", "a", "-ld", "x"], 2, "unrecognized arguments: -ld"),
        (["run", "a", "-ev"], 2, "unrecognized arguments: -ev"),
        (["bench", "-nx"], 2, "unrecognized arguments: -nx"),
        (["run", "-l", "5+nan", "a"], 2, "'5+nan', expected a token id and a number"),
        (
            ["embed", "-c", "4", "Once upon a time there was a fox"],
            1,
            "expected at most 4 (-b N and -c N set more)",
        ),
    ],
)
def test_bad_input_is_named_with_what_was_expected(
    arguments, code, says, puna_, bundled, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    found, out, err = puna_(*arguments)
    assert (found, out) == (code, "")
    assert err.startswith("puna: error: ")
    assert err.count("\n") == 1
    assert says in err


def test_a_value_may_follow_a_flag_of_one_letter_at_once(puna_, stories):
    apart = ["run", "-m", stories, "-p", "Once", "-n", "3", "-t", "2", "-l", "5+1", "-s", "7"]
    glued = ["run", f"-m{stories}", "-pOnce", "-n3", "-t2", "-l5+1", "-s7"]
    assert puna_(*glued)[:2] == puna_(*apart)[:2] == (0, puna_(*apart)[1])
    blanks = ["-n", "3", "--temp", "0"]
    found = puna_("run", f"-m{stories}", "-pOnce upon a time", *blanks)[:2]
    assert found == puna_("run", "-m", stories, "Once upon a time", *blanks)[:2]


def test_a_flag_and_its_value_in_one_word_are_refused(puna_):
    for word, flag in (("-p Why not?", "-p"), ("--temp 0", "--temp"), ("-n is a flag", "-n")):
        code, out, err = puna_("run", word)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert f"is one word, expected {flag} and" in err


def test_whatever_follows_a_flag_is_its_value_unless_it_is_a_flag(puna_, stories):
    plain = ["tokenize", "-m", stories, "--ids"]
    for text in ("-x", "-ld", "-", "-p Why", "--y z", "-really, why?", "-1"):
        assert puna_(*plain, "-p", text)[1] == puna_(*plain, f"-p={text}")[1] != ""
    assert "argument -p/--prompt: expected one argument" in puna_("run", "-p", "-n", "3")[2]
    assert "argument -p/--prompt: expected one argument" in puna_("run", "-p", "--")[2]


def test_behind_two_dashes_all_are_words(puna_, stories):
    ids = ["tokenize", "-m", stories, "--ids"]
    for words, text in (
        (["a", "--no-bos", "b", "--", "-x", "--y", "--"], "a b -x --y --"),
        (["a", "--no-bos", "--", "-x"], "a -x"),
        (["--no-bos", "--", "a", "-x"], "a -x"),
        (["a", "--no-bos", "--"], "a"),
    ):
        assert puna_(*ids, *words)[1] == puna_(*ids, "--no-bos", "-p", text)[1] != ""
    assert "unrecognized arguments: --y" in puna_(*ids, "a", "--y", "--", "-x")[2]
    assert "unrecognized arguments: -x" in puna_("info", stories, "--json", "--", "-x")[2]


def test_a_text_may_begin_with_a_dash_and_be_empty(puna_, stories):
    plain = ["run", "-m", stories, "-n", "2", "--temp", "0", "-p"]
    assert puna_(*plain, "-n is a flag")[1].startswith("-n is a flag")
    assert "prompt 1 tokens" in puna_(*plain, "")[2]
