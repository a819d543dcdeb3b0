"""Texts that come in by standard input: piped, from a file, or not at all."""

import os
import subprocess
import sys

import pytest

from puna.cli import main, reading, talk

HELLO = "Hello! How can I help you?\n"


@pytest.fixture
def puna_(capsys, monkeypatch, tmp_path):
    """Runs a command with a file as standard input; answers exit code, text, and notes."""

    def run(*arguments, typed=None):
        path = os.devnull
        if typed is not None:
            path = tmp_path / "typed"
            path.write_bytes(typed)
        with open(path) as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            code = main([str(a) for a in arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def pipe(monkeypatch):
    """Standard input as a pipe; answers its other end."""
    ours, theirs = os.pipe()
    with open(ours) as stdin, open(theirs, "w") as writer:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield writer


RUN = ["run", "--temp", "0"]


def test_what_comes_in_is_the_prompt(puna_, bundled):
    assert puna_(*RUN, typed=b"Hello\n")[:2] == (0, HELLO)
    assert puna_(*RUN, "-f", "-", typed=b"Hello\n")[:2] == (0, HELLO)
    for words in (["-"], [bundled, "-"]):
        assert puna_(*RUN, *words, typed=b"Hello\n")[:2] == (0, HELLO)
        assert puna_("chat", "-st", "--temp", "0", *words, typed=b"Hello\n")[:2] == (0, HELLO)


def test_a_file_comes_after_the_prompt(puna_, bundled, tmp_path):
    (tmp_path / "text").write_text("upon a time\n")
    plain = [*RUN, "-no-cnv", "-n", "1"]
    assert puna_(*plain, "-p", "Once", "-", typed=b"upon a time\n")[1].startswith("Once\n\nupon a time")
    assert puna_(*plain, "-p", "-", typed=b"upon a time\n")[1].startswith("-")
    for prompt in (["-p", "Once"], ["Once"]):
        assert puna_(*plain, *prompt, "-f", tmp_path / "text")[1].startswith("Once\n\nupon a time")
        assert puna_(*plain, *prompt, "-f", "-", typed=b"upon a time\n")[1].startswith("Once\n\nupon a time")


@pytest.mark.native
def test_with_a_prompt_nothing_is_read(bundled, pipe, capsys):
    """A loop of the shell may have its list there, and a service a pipe that nobody ever writes to."""
    assert main([*RUN, "-p", "Hello"]) == 0
    out, err = capsys.readouterr()
    assert out == HELLO
    assert "not read" not in err


@pytest.mark.native
@pytest.mark.skipif(sys.platform == "win32", reason="not told there")
def test_with_a_prompt_it_is_said_that_something_was_not_read(bundled, pipe, capsys):
    print("Who are you?", file=pipe, flush=True)
    assert main([*RUN, "Hello"]) == 0
    out, err = capsys.readouterr()
    assert out == HELLO
    assert "what was piped in was not read: beside a prompt, -f - puts it after that" in err
    assert sys.stdin.readline() == "Who are you?\n"


def test_where_nothing_comes_in_there_is_no_prompt(puna_, bundled, stories):
    assert (
        "no prompt, so it is 'Once upon a time'; -p TEXT is one" in puna_(*RUN, "-m", stories, "-n", "3")[2]
    )
    assert puna_(*RUN, "-n", "3")[1] != ""


@pytest.mark.parametrize("command", ["run", "run -f -", "run -", "chat -f -"])
@pytest.mark.parametrize("typed", [b"", b"\n"])
def test_a_prompt_that_comes_in_empty_is_refused(command, typed, puna_, bundled):
    code, out, err = puna_(*command.split(), typed=typed)
    assert (code, out) == (2, "")
    assert err.startswith("puna: error: standard input is empty, expected a prompt; < /dev/null is none (see")


@pytest.mark.native
@pytest.mark.skipif(sys.platform == "win32", reason="no such shell")
def test_a_closed_standard_input_is_none(bundled):
    command = f'"{sys.executable}" -m puna run -n 3 <&-'
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "puna: error" in done.stderr) == (0, False)
    command = f'"{sys.executable}" -m puna chat <&-'
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    command = f'"{sys.executable}" -m puna run -f - <&-'
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "puna: error: standard input is closed, expected text\n")


@pytest.mark.native
@pytest.mark.skipif(sys.platform == "win32", reason="no such shell")
@pytest.mark.parametrize(
    ("arguments", "code"), [("run -n 3", 0), ("run -m nothing.gguf a", 1), ("run -n x", 2)]
)
def test_closed_streams_change_no_exit_code(arguments, code, bundled):
    for closed in (">&-", "2>&-", ">&- 2>&-"):
        command = f'"{sys.executable}" -m puna {arguments} {closed}'
        done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False)


@pytest.mark.native
@pytest.mark.skipif(sys.platform == "win32", reason="not told there")
def test_it_is_said_what_is_waited_for(bundled, pipe, capsys, monkeypatch):
    monkeypatch.setattr(reading, "SILENCE_S", 0.1)
    notes = []

    def answered(line):
        notes.append(line)
        pipe.write("Hello")
        pipe.close()

    monkeypatch.setattr(reading, "note", answered)
    assert main(RUN) == 0
    assert capsys.readouterr().out == HELLO
    assert notes == ["waiting for standard input: -p TEXT is a text, < /dev/null is none"]


def test_tokenize_and_embed_read_what_comes_in(puna_, stories):
    ids = ["tokenize", "-m", stories, "--ids"]
    assert puna_(*ids, typed=b"a cat")[1] == puna_(*ids, "-p", "a cat")[1] != ""
    assert puna_(*ids, "-f", "-", typed=b"a cat")[1] == puna_(*ids, "-p", "a cat")[1]
    embed = ["embed", "-m", stories, "--pooling", "mean"]
    assert puna_(*embed, typed=b"a cat\na dog\n")[1] == puna_(*embed, "-p", r"a cat\na dog")[1] != ""


def test_a_byte_order_mark_is_no_part_of_a_text(puna_, bundled, stories, tmp_path):
    (tmp_path / "marked").write_bytes(b"\xef\xbb\xbfa cat")
    ids = ["tokenize", "-m", stories, "--ids"]
    plain = puna_(*ids, "-p", "a cat")[1]
    assert puna_(*ids, "-f", tmp_path / "marked")[1] == plain != ""
    assert puna_(*ids, typed=b"\xef\xbb\xbfa cat")[1] == plain
    assert puna_("chat", typed=b"\xef\xbb\xbf/history\n/help\n")[1].startswith("/exit")
    assert "byte 4 is no" in puna_(*ids, typed=b"\xef\xbb\xbfa\xff")[2]


def test_what_is_no_text_is_refused(puna_, bundled):
    code, out, err = puna_("run", typed=b"ab\xff")
    assert (code, out) == (1, "")
    assert err == "puna: error: standard input: byte 2 is no UTF-8, expected text\n"


@pytest.mark.parametrize(("word", "says"), [("-p", "-p"), ("--", "words")])
@pytest.mark.parametrize("command", ["run", "chat", "tokenize", "embed"])
def test_an_argument_that_is_no_text_is_refused(command, word, says, puna_, bundled):
    code, out, err = puna_(command, word, "caf\udce9")
    assert (code, out) == (2, "")
    assert err == f"puna: error: {says}: byte 3 is no UTF-8, expected text (see puna {command} --help)\n"


def test_after_a_line_that_is_no_text_the_talk_goes_on(puna_, bundled):
    code, out, err = puna_("chat", "--temp", "0", typed=b"caf\xe9\nHello\n")
    assert (code, out) == (1, HELLO)
    assert err.startswith("puna: error: standard input: byte 3 is no UTF-8, expected text\nprompt ")


@pytest.mark.parametrize(
    ("typed", "flags", "said"),
    [
        (b'"""a\nb', [], "a\nb"),
        (b'"""\nb\n', [], "\nb"),
        (b"a\\\nb\\\n", [], "a\nb"),
        (b"a\nb\n", ["-mli"], "a\nb"),
    ],
)
def test_a_message_that_was_begun_ends_with_the_input(typed, flags, said, puna_, bundled, monkeypatch):
    told = []
    monkeypatch.setattr(talk.Talk, "tell", lambda _, line: told.append(line) or True)
    assert puna_("chat", *flags, typed=typed) == (0, "", "")
    assert told == [said]
