"""The command `puna`, in this process: what it prints and how it exits."""

import csv
import functools
import json
import os
import signal
import subprocess
import sys

import pytest

from puna.cli import COMMANDS, main


@pytest.fixture
def path(tiny, tmp_path):
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny)
    return str(path)


def test_run_prints_text_and_its_speed_apart(stories, capsys):
    assert main(["run", "-m", str(stories), "-p", "Once upon a time", "-n", "12", "--temp", "0"]) == 0
    out, err = capsys.readouterr()
    assert out == "Once upon a time, there was a little girl named Lily. She\n"
    assert "load " in err
    assert "prompt 5 tokens" in err
    assert "generated 12 tokens" in err
    assert " t/s | cpu " in err


def test_run_takes_words_and_files(stories, tmp_path, capsys):
    (tmp_path / "prompt.txt").write_text("Once upon a time\n")
    shared = ["-m", str(stories), "-n", "3", "--temp", "0"]
    assert main(["run", *shared, "Once", "upon", "a", "time"]) == 0
    assert main(["run", *shared, "-f", str(tmp_path / "prompt.txt")]) == 0
    assert capsys.readouterr().out == "Once upon a time, there was\n" * 2


def test_run_stops_at_a_text(stories, capsys):
    assert main(["run", "-m", str(stories), "-p", "Once upon a time", "--temp", "0", "-r", "girl"]) == 0
    assert capsys.readouterr().out == "Once upon a time, there was a little \n"


def test_run_generates_as_many_tokens_as_asked_for(stories, capsys):
    shared = ["run", "-m", str(stories), "-p", "Once upon a time", "--temp", "0", "-c", "20", "-n"]
    for n, says in (
        ("0", "generated 0 tokens"),
        ("3", "generated 3 tokens"),
        ("-1", "is full"),
        ("-2", "is full"),
        ("200", "the context of 20 tokens is full: -c N"),
    ):
        assert main([*shared, n]) == 0
        out, err = capsys.readouterr()
        assert out.startswith("Once upon a time")
        assert (out == "Once upon a time\n") == (n == "0")
        assert "prompt 5 tokens" in err
        assert says in err


def test_a_context_that_is_too_small_is_said_to_be(stories, capsys):
    shared = ["run", "-m", str(stories), "--temp", "0"]
    assert main([*shared, "-c", "4", "Once upon a time"]) == 1
    assert "n_ctx = 4" in (err := capsys.readouterr().err)
    assert "-c N sets a larger one (trained: " in err
    assert main([*shared, "-c", "8", "Once upon a time"]) == 0
    assert "the context of 8 tokens is full: -c N" in capsys.readouterr().err
    assert main([*shared, "-c", "8", "-n", "2", "Once upon a time"]) == 0
    assert "is full" not in capsys.readouterr().err


def test_run_without_a_model_runs_the_bundled_one(bundled, capsys):
    assert main(["run", "-n", "12"]) == 0
    out, err = capsys.readouterr()
    assert len(out) > 5
    assert "generated" in err


def test_the_bundled_model_is_named_where_a_prompt_came(bundled, stories, capsys):
    for flags, said in (
        (["Hello"], True),
        (["Hello", "--no-show-timings"], False),
        ([], False),
        (["-m", str(stories), "Hello"], False),
    ):
        assert main(["run", "-n", "1", *flags]) == 0
        assert capsys.readouterr().err.startswith("no model named: the bundled one") == said


def test_run_applies_the_chat_template_unless_told_not_to(bundled, capsys):
    prompt = ["run", "-p", "Hello", "-n", "4", "--temp", "0"]
    assert main(prompt) == 0
    chat = capsys.readouterr().out
    assert main([*prompt, "-no-cnv"]) == 0
    assert capsys.readouterr().out.startswith("Hello")
    assert not chat.startswith("Hello,")


def test_a_seed_repeats_a_text(path, capsys):
    for seed in ("5", "5", "6"):
        assert main(["run", "-m", path, "-s", seed, "-n", "20", "--temp", "2", "ab"]) == 0
    assert len({*capsys.readouterr().out.split("\n")[:3]}) <= 3


def test_info_tells_the_facts(path, capsys):
    assert main(["info", path, "--json", "--tensors"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["gguf_version"] == 3
    assert facts["model"]["arch"] == "llama"
    assert facts["types"].keys() == {"F32"}
    assert facts["n_tensors"] == len(facts["tensors"])
    assert main(["info", "-m", path]) == 0
    text = capsys.readouterr().out
    assert "GGUF v3" in text
    assert "llama.block_count" in text


def test_info_tells_what_cannot_be_run(golden, tmp_path, capsys):
    import puna

    path = tmp_path / "other.gguf"
    writer = puna.gguf.Writer({"general.architecture": "other"})
    writer.write(path)
    assert main(["info", str(path)]) == 0
    assert "error" in capsys.readouterr().out


def test_a_file_that_was_cut_off_is_said_to_be(tiny, tmp_path, capsys):
    path = tmp_path / "cut.gguf"
    path.write_bytes(tiny[:-1000])
    for command in ("info", "run"):
        assert main([command, "-m", str(path)]) == 1
        err = capsys.readouterr().err
        assert f"the file has {len(tiny) - 1000} bytes, expected at least {len(tiny)}: it ends before" in err
        assert err.endswith("; was it cut off? puna pull goes on where it ended\n")


def test_bench_prints_a_table_and_json(path, capsys):
    asked = ["bench", "-m", path, "-p", "16", "-n", "4", "-r", "2", "-t", "1"]
    assert main(asked) == 0
    cells = [[cell.strip() for cell in row.split("|")] for row in capsys.readouterr().out.splitlines()]
    assert [row[5] for row in cells[2:]] == ["pp16", "tg4"]
    assert main([*asked, "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["pp"] == max(result["pp_all"]) > 0
    assert result["tg"] == max(result["tg_all"]) > 0
    assert len(result["pp_all"]) == 2
    assert result.keys() >= {"model", "device", "threads", "cpu", "n_prompt", "n_gen", "load_ms"}


def test_bench_leaves_out_what_is_not_asked_for(path, capsys):
    assert main(["bench", "-m", path, "-p", "0", "-n", "2", "-r", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pp"] is None


def test_bench_writes_rows_by_llama_benchs_names(path, capsys):
    asked = ["bench", "-m", path, "-p", "8,16", "-n", "2", "-r", "2", "-o"]
    assert main([*asked, "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["n_prompt"], row["n_gen"]) for row in rows] == [(8, 0), (16, 0), (0, 2)]
    assert rows[0]["avg_ts"] == pytest.approx(sum(rows[0]["samples_ts"]) / 2)
    assert main([*asked, "jsonl"]) == 0
    assert [json.loads(line)["n_prompt"] for line in capsys.readouterr().out.splitlines()] == [8, 16, 0]
    assert main([*asked, "csv"]) == 0
    table = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["n_prompt"] for row in table] == ["8", "16", "0"]
    assert all(float(row["avg_ts"]) > 0 and int(row["avg_ns"]) > 0 for row in table)


def test_devices_begin_with_the_cpu(capsys):
    assert main(["devices", "--json"]) == 0
    cpu = json.loads(capsys.readouterr().out)[0]
    assert cpu["type"] == "cpu"
    assert cpu["detail"]["isa"] in cpu["detail"]["isas"]
    assert main(["devices"]) == 0
    assert capsys.readouterr().out.startswith("cpu  cpu ")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["run", "-m", "nothing.gguf"], 1, "nothing.gguf"),
        (["run", "--temperatur", "1"], 2, "unrecognized arguments: --temperatur"),
        (["run", "-n", "few"], 2, "'few', expected a whole number, -2 or more"),
        (["run", "-p", "a", "b"], 2, "prompts by -p and by words, expected one"),
        (
            ["sing"],
            2,
            "command 'sing', expected one of run chat embed tokenize quantize pull list info bench",
        ),
        (["rnu", "a"], 2, "command 'rnu', expected puna run"),
        (["ls"], 2, "command 'ls', expected puna list"),
        (["-m", "x", "-p", "y z"], 2, "-m: no command before it, expected puna run -m x -p 'y z'"),
        (["serve", "-m", "a.gguf"], 2, "there is no server"),
        (["a.gguf", "a"], 2, "command 'a.gguf', expected puna run a.gguf"),
        (["bench", "-pg", "512,128"], 2, "-pg is a flag of llama-bench that Puna has not"),
        (["bench", "-p", "1,x"], 2, "'x', expected a whole number, 0 or more"),
        (["tokenize", "a\udcff"], 2, "words: byte 1 is no UTF-8, expected text"),
        (["run", "a\udcff"], 2, "words: byte 1 is no UTF-8, expected text"),
        (["run", "-c", "3000000000"], 2, "'3000000000', expected a whole number, 0 to 2147483647"),
        (["bench", "-p", "0", "-n", "0"], 2, "-p 0 and -n 0: nothing to measure"),
        (["bench", "-p", "8,0", "-n", "0", "--json"], 2, "-p 0 and -n 0: nothing to measure"),
        (["bench", "-r", "0"], 2, "'0', expected a whole number, 1 or more"),
    ],
)
def test_a_wrong_command_is_one_line(arguments, code, says, capsys):
    try:
        found = main(arguments)
    except SystemExit as end:
        found = end.code
    assert found == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("puna: error: ")
    assert err.count("\n") == 1
    assert says in err


@pytest.mark.parametrize("command", [command.__name__.rpartition(".")[2] for command in COMMANDS])
def test_help_has_examples_and_fits(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert "usage: puna " + command in text
    assert "examples:" in text
    assert max(map(len, text.splitlines())) <= 100


def test_no_colour_where_nobody_looks(path, capsys):
    main(["run", "-m", path, "-n", "1", "a"])
    main(["run", "-m", "nothing.gguf"])
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err


@pytest.mark.native
def test_a_closed_pipe_is_no_error(path):
    command = [sys.executable, "-m", "puna", "info", "--tensors", path]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == b""
    process.stderr.close()


INTERRUPTED = """
import importlib.abc, os, signal, sys

class Interrupts(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == os.environ["INTERRUPTED_AT"]:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
"""


@pytest.mark.native
@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize("module", ["puna.errors", "puna._native", "puna.cli", "puna.cli.run"])
def test_ctrl_c_is_quiet_from_the_beginning(module, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "__init__.py").write_text("import puna.cli")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    environment = os.environ | {"PYTHONPATH": path, "INTERRUPTED_AT": module}
    default = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    for command, is_command in (
        (["-m", "puna", "run"], True),
        (["-X", "dev", "-um", "puna", "-m", "puna"], True),
        (["-m", "other", "puna"], False),
        (["-c", "import puna.cli"], False),
    ):
        call = [sys.executable, *command]
        done = subprocess.run(call, env=environment, preexec_fn=default, capture_output=True, timeout=60)
        assert (b"KeyboardInterrupt" in done.stderr) != is_command
        assert not is_command or (done.returncode, done.stderr) == (130, b"")


@pytest.mark.native
def test_letters_that_the_terminal_has_not_are_no_error(path):
    command = [sys.executable, "-m", "puna", "run", "-m", path, "-n", "1", "-no-cnv", "日本"]
    done = subprocess.run(command, env=os.environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True)
    assert done.returncode == 0
    assert done.stdout.startswith(b"??")
