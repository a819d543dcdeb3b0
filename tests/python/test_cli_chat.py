"""`puna chat`: a conversation by lines, in this process; and Ctrl-C at a terminal, in another."""

import argparse
import io
import json
import os
import select
import signal
import subprocess
import sys
import time

import pytest

from puna.cli import main, talk

HELLO = "Hello! How can I help you?"


@pytest.fixture
def chat(bundled, monkeypatch, capsys):
    """Talks with the bundled model, always by its likeliest tokens; answers exit code, text, and notes."""

    def talk(typed, *flags):
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        try:
            code = main(["chat", "--temp", "0", *flags])
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return talk


def test_every_line_is_answered(chat):
    code, out, err = chat("Hello\n\nHello\n")
    assert (code, out.count("\n")) == (0, 2)
    assert out.startswith(HELLO)
    assert "generated 8 tokens" in err


def test_the_first_message_comes_from_a_flag_and_one_answer_may_be_all(chat):
    assert chat("never read\n", "-p", "Hello", "--single-turn")[:2] == (0, HELLO + "\n")
    assert chat("Hello\nnever read\n", "-st", "--no-show-timings") == (0, HELLO + "\n", "")


def test_the_talk_is_kept_saved_and_loaded(chat, tmp_path):
    path = tmp_path / "talk.json"
    chat(f"Hello\n/save {path}\n", "-sys", "Be kind.")
    messages = json.loads(path.read_text())
    assert [m["role"] for m in messages] == ["system", "user", "assistant"]
    assert messages[0]["content"] == "Be kind."
    out = chat(f"/load {path}\n/history\n/exit\nnever read\n")[1]
    assert out == f"system: Be kind.\nuser: Hello\nassistant: {HELLO}\n"


def test_commands_change_the_talk(chat):
    assert chat("Hello\n/regen\n/history\n")[1] == f"{HELLO}\n{HELLO}\nuser: Hello\nassistant: {HELLO}\n"
    assert chat("Hello\n/undo\n/history\n")[1] == HELLO + "\n"
    assert chat("Hello\n/clear\n/history\n", "-sys", "a")[1].endswith("\nsystem: a\n")
    assert chat("Hello\n/system b\n/history\n")[1].endswith("\nsystem: b\n")
    assert "/regen" in chat("/help\n")[1]


def test_files_and_affixes_become_part_of_a_message(chat, tmp_path):
    (tmp_path / "a.txt").write_text("text")
    typed = f"/read {tmp_path / 'a.txt'}\nHello\n/history\n"
    out = chat(typed, "--in-prefix", "<", "--in-suffix", r">\n")[1]
    assert f"user: {tmp_path / 'a.txt'}:\ntext\n<Hello>\n\n" in out


def test_messages_may_have_several_lines(chat):
    assert "user: a\nb\nassistant" in chat("a\\\nb\n/history\n")[1]
    assert "user: a\nb\nassistant" in chat('"""a\nb"""\n/history\n')[1]
    assert "user: a\nb\nassistant" in chat("a\nb/\n/history\n", "--multiline-input")[1]


def test_a_full_context_is_noticed_and_cleared(chat):
    code, out, err = chat("Hello\nHello\n", "-c", "30")
    assert (code, out) == (1, HELLO + "\n")
    assert "n_ctx = 30" in err
    assert "/clear begins anew" in err
    assert chat("Hello\n/clear\nHello\n", "-c", "30")[:2] == (0, f"{HELLO}\n{HELLO}\n")
    # A message without an answer is one that was not answered, and not the end of all.
    code, out, err = chat("Hello\nHello\n/clear\nHello\n", "-c", "30")
    assert (code, out, err.count("error")) == (1, f"{HELLO}\n{HELLO}\n", 1)
    code, out, err = chat("never read\n", "-c", "4", "-p", "Hello", "-st")
    assert (code, out, err.count("error")) == (1, "", 1)
    for n in ("-1", "200"):
        said = chat("Hello\n", "-c", "16", "-n", n)[2]
        assert "the context of 16 tokens is full: /clear begins anew" in said
    assert "is full" not in chat("Hello\n", "-c", "16", "-n", "2")[2]


def test_only_ctrl_c_at_the_prompt_counts_towards_leaving(monkeypatch, capsys):
    def typed(*script):
        lines = iter(script)

        def message(_):
            if isinstance(line := next(lines), str):
                return line
            raise line

        monkeypatch.setattr(talk, "message", message)
        given = argparse.Namespace(in_prefix="", in_suffix="")
        return talk.converse(talk.Talk(None, given, {}, None))

    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setattr(talk.Talk, "answer", lambda _: False)  # as where Ctrl-C stops it
    interrupt = KeyboardInterrupt()
    assert typed("Hello", interrupt, EOFError()) == 0
    assert typed("Hello", interrupt, interrupt) == 130
    assert typed(interrupt, "Hello", interrupt, EOFError()) == 0


def test_the_bundled_model_is_named_where_it_answers_unasked(chat):
    named = (
        "no model named: the bundled one (3.1M parameters, stories) answers; -m FILE or -hf USER/REPO names"
    )
    assert named in chat("", "-p", "Hello", "-st")[2]
    assert "no model" not in chat("", "-p", "Hello", "-st", "--no-show-timings")[2]
    assert "no model" not in chat("Hello\n")[2]


def test_blanks_around_a_command_are_nothing(chat):
    assert chat(" /exit \nnever read\n") == (0, "", "")


def test_no_token_is_no_answer(chat):
    assert chat("Hello\n/history\n", "-n", "0")[1] == "\nuser: Hello\nassistant: \n"


def test_an_answer_stops_at_a_reverse_prompt(chat):
    assert chat("Hello\n", "-r", "How")[1] == "Hello! \n"


def test_a_template_may_be_given(chat, tmp_path):
    (tmp_path / "t.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    plain = chat("Hello\n", "--chat-template-file", str(tmp_path / "t.jinja"), "-n", "4")
    assert plain[0] == 0
    assert plain[1] == chat("Hello\n", "--chat-template", "{{ messages[0].content }}", "-n", "4")[1]
    assert chat("Hello\n", "--chat-template", "chatml", "-n", "1")[0] == 0
    code, _, err = chat("Hello\n", "--chat-template", "nonsense")
    assert code == 2
    assert "argument --chat-template: 'nonsense', expected Jinja or one of chatml" in err


def test_a_model_without_a_template_needs_one(chat, stories):
    for flags in (["-m", str(stories)], ["-m", str(stories), "-p", "Hello"]):
        code, _, err = chat("Hello\n", *flags)
        assert code == 1
        assert "stories260K.gguf has no chat template, expected --chat-template" in err
    assert chat("Hello\n", "-m", str(stories), "--chat-template", "vicuna", "-n", "2")[0] == 0


@pytest.mark.parametrize(
    ("typed", "flags", "code", "says"),
    [
        ("/nonsense\n", [], 1, "/nonsense, expected one of /exit"),
        ("/regen\n", [], 1, "/regen: no message yet"),
        ("/read\n", [], 1, "/read: no file, expected /read FILE"),
        ("/read nothing.txt\n", [], 1, "nothing.txt"),
        ("", ["-p", "a", "b"], 2, "prompts by -p and by words, expected one"),
        ("", ["--lora", "a.gguf"], 2, "--lora is a flag of llama.cpp that Puna has not"),
        ("", ["--grammar"], 2, "--grammar is a flag of llama.cpp"),
        ("Hello\n", ["-c", "8"], 1, "; /clear begins anew, -c N sets a larger one (trained: 1024)"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(typed, flags, code, says, chat):
    found, out, err = chat(typed, *flags)
    assert (found, out) == (code, "")
    assert err.startswith("puna: error: ")
    assert err.count("\n") == 1
    assert says in err


def test_what_save_did_not_write_is_refused(chat, tmp_path):
    for text in ("[", "{}", '[{"role": "user"}]', '[{"role": "boss", "content": ""}]'):
        (tmp_path / "t.json").write_text(text)
        code, _, err = chat(f"/load {tmp_path / 't.json'}\n")
        assert code == 1
        assert "expected" in err


class Terminal:
    """A command at a terminal of its own."""

    def __init__(self, *command):
        import fcntl
        import pty
        import termios

        self.ours, theirs = pty.openpty()

        def control():  # Ctrl-C goes to whom the terminal belongs to
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell ignores it for what runs beside it

        streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        environment = os.environ | {"TERM": "xterm"}
        self.process = subprocess.Popen(command, preexec_fn=control, env=environment, **streams)
        os.close(theirs)
        self.text = ""

    def wait_for(self, expected, seconds=60):
        """Reads until `expected` comes; what came after it is read again."""
        deadline = time.monotonic() + seconds
        while expected not in self.text:
            assert time.monotonic() < deadline, (expected, self.text)
            if select.select([self.ours], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self.ours, 65536).decode(errors="replace")
                except OSError as error:  # the other side is closed
                    raise AssertionError((expected, self.text)) from error
        before, _, self.text = self.text.partition(expected)
        return before

    def type(self, text):
        os.write(self.ours, text.encode())

    def interrupt(self, done):
        """Ctrl-C until `done()`. One that comes between the prompt and the wait for a key is noticed with
        the next key only."""
        self.type("\x03")
        deadline = time.monotonic() + 60
        while not done():
            assert time.monotonic() < deadline, self.text
            if time.monotonic() > deadline - 55:
                self.type("\n")

    def shows(self, expected, seconds=1.0):
        """Whether `expected` comes."""
        try:
            self.wait_for(expected, seconds)
        except AssertionError:
            return False
        return True

    def left(self, code):
        """Whether the command ends, with this code."""
        try:
            return self.process.wait(timeout=1.0) == code
        except subprocess.TimeoutExpired:
            return False

    def close(self):
        os.close(self.ours)


@pytest.mark.native
@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_ctrl_c_stops_the_answer_keeps_the_talk_and_twice_leaves(bundled):
    terminal = Terminal(sys.executable, "-m", "puna", "chat", "--ignore-eos", "-c", "100000")
    terminal.wait_for("> ")
    terminal.type("Hello\n")
    terminal.wait_for("Hello\r\n")
    time.sleep(0.3)
    terminal.type("\x03")
    terminal.wait_for("> ")
    terminal.type("/history\n")
    terminal.wait_for("user: Hello")
    terminal.wait_for("assistant: ")
    terminal.wait_for("> ")
    terminal.interrupt(lambda: terminal.shows("Ctrl-C again leaves"))
    terminal.wait_for("> ")
    terminal.interrupt(lambda: terminal.left(130))
    terminal.close()


@pytest.mark.native
@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_a_mistake_at_a_terminal_does_not_end_the_talk(bundled):
    terminal = Terminal(sys.executable, "-m", "puna", "chat")
    terminal.wait_for("loading ")
    terminal.wait_for("> ")
    terminal.type("/read nothing.txt\n")
    terminal.wait_for("\x1b[31mpuna: error:")
    terminal.wait_for("> ")
    terminal.type("/exit\n")
    assert any(terminal.left(0) for _ in range(60))
    terminal.close()


@pytest.mark.native
@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_ctrl_c_ends_a_run_with_its_line(bundled):
    terminal = Terminal(
        sys.executable, "-m", "puna", "run", "--ignore-eos", "-c", "100000", "--temp", "0", "Hello"
    )
    terminal.wait_for("Hello")
    time.sleep(0.2)
    terminal.type("\x03")
    terminal.wait_for("\r\n")
    assert any(terminal.left(130) for _ in range(60))
    assert "Traceback" not in terminal.text
    terminal.close()
