"""A conversation in the terminal: lines in, answers out, and commands that begin with a slash."""

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from puna.cli import text
from puna.cli.model import add_template
from puna.cli.reading import BOM, NoTextError, check_text, is_keyboard, read_text, take_stray_bytes
from puna.cli.terminal import described, fail, note
from puna.errors import ArgumentError, ContextError, PunaError
from puna.llama import Llama

# With it, a terminal's line can be edited and has a history. Windows and a browser tab are without.
with suppress(ImportError):
    import readline  # noqa: F401

HELP = """/exit           leaves (so does Ctrl-D, or Ctrl-C twice)
/regen          another answer to the last message
/undo           takes the last message and its answer back
/clear          begins anew, with the same system prompt
/system TEXT    another system prompt, and begins anew
/read FILE      puts a text file before the next message
/save FILE      writes the talk as JSON
/load FILE      goes on with a talk that was saved
/history        shows the talk
/help           this list
A line that ends in \\ goes on in the next one; \"\"\" begins and ends several lines.
Ctrl-C stops an answer."""


def add_talk(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """The flags of conversations; answers their group."""
    group = parser.add_argument_group("conversation")
    add_template(group)
    group.add_argument("--in-prefix", default="", metavar="TEXT", help="put before each message")
    group.add_argument("--in-suffix", default="", metavar="TEXT", help="put behind each message")
    group.add_argument(
        "-mli", "--multiline-input", action="store_true",
        help="messages of several lines: the one that ends in \\ or / is the last",
    )  # fmt: skip
    group.add_argument("--simple-io", action="store_true", help="read lines as they come, without editing")
    return group


class Talk:
    """A model, and what has been said."""

    def __init__(
        self, llm: Llama, given: argparse.Namespace, options: dict[str, Any], system: str | None
    ) -> None:
        self.llm = llm
        self.given = given
        self.options = options
        self.system = system
        self.messages = text.with_system(system)
        self.read = ""  # files for the next message
        self.ended = False

    def tell(self, line: str) -> bool:
        """Adds a message and prints the answer. False: Ctrl-C ended it; what there is of it stays."""
        self.messages.append(user_message(self.given, line, self.read))
        self.read = ""
        return self.answer()

    def answer(self) -> bool:
        """Prints the answer to the last message. Where there can be none, the message is taken back."""
        answer = text.Answer(self.given, self.llm, "/clear begins anew, ")
        options = self.options | {"stream": True}
        try:
            answer.say(lambda: self.llm.create_chat_completion(self.messages, **options))
            complete = True
        except KeyboardInterrupt:
            complete = False
        except PunaError:
            self.messages.pop()
            raise
        self.messages.append(text.message("assistant", answer.text))
        if complete:
            text.note_speed(self.given, self.llm, with_load=False)
        return complete

    def restart(self) -> None:
        self.messages = text.with_system(self.system)
        self.read = ""


def user_message(given: argparse.Namespace, line: str, before: str = "") -> dict[str, str]:
    """A message with what the flags put around it; `before` comes before all."""
    return text.message("user", f"{before}{given.in_prefix}{line}{given.in_suffix}")


def converse(talk: Talk, first: str | None = None, *, once: bool = False) -> int:
    """Talks until /exit, the end of input or two Ctrl-C; answers the exit code. `first` is told at once;
    `once`: one answer is all."""
    sees = is_keyboard() and sys.stderr.isatty()
    if sees and not once:
        note("a conversation: /help lists the commands, Ctrl-C stops an answer, /exit leaves")
    take_stray_bytes()
    code, interrupted = 0, False
    while not talk.ended:
        try:
            line = first if first is not None else check_text("standard input", message(talk.given))
            first = None
            if not line.strip():
                continue
            complete, interrupted = obey(talk, line), False  # to stop an answer is no wish to leave
            if once and not line.startswith("/"):
                return code if complete else 130
        except EOFError:
            if sees:
                print()
            break
        except KeyboardInterrupt:
            print()
            if interrupted:
                return 130
            interrupted = True
            if sees:
                note("Ctrl-C again leaves")
        except (NoTextError, ContextError) as error:  # of one message: after it may come another, or /clear
            if once and isinstance(error, ContextError):
                raise
            fail(str(error))
            code = 0 if sees else 1
        except (PunaError, OSError) as error:
            if not sees:
                raise
            fail(described(error))
    return code


def obey(talk: Talk, line: str) -> bool:
    """Does what a line says. False: Ctrl-C ended it."""
    name, _, rest = line.partition(" ")
    if name in COMMANDS:
        return COMMANDS[name](talk, rest.strip()) is not False
    if name.startswith("/") and name[1:].isalpha():
        raise ArgumentError(f"{name}, expected one of {' '.join(COMMANDS)}")
    return talk.tell(line)


def message(given: argparse.Namespace) -> str:
    """A message typed in: one line, or several. One that was begun ends where input does."""
    prompted = partial(typed, simple=given.simple_io)
    lines = [line := prompted("> ")]
    if line.startswith('"""'):
        while '"""' not in lines[-1][3 if len(lines) == 1 else 0 :] and more(lines, prompted):
            pass
        before, quotes, rest = "\n".join(lines)[3:].rpartition('"""')
        return before if quotes else rest
    if line.lstrip().startswith("/"):
        return line.strip()
    ends = ("\\", "/")
    if given.multiline_input:
        while not lines[-1].endswith(ends) and more(lines, prompted):
            pass
        last = lines[-1][:-1] if lines[-1].endswith(ends) else lines[-1]
        return "\n".join([*lines[:-1], last])
    while lines[-1].endswith("\\"):
        lines[-1] = lines[-1][:-1]
        if not more(lines, prompted):
            break
    return "\n".join(lines)


def more(lines: list[str], prompted: Callable[[str], str]) -> bool:
    """Adds a line. False: input has ended."""
    try:
        lines.append(prompted("  "))
    except EOFError:
        return False
    return True


def typed(prompt: str, *, simple: bool) -> str:
    """A line of input; the prompt is for people. `simple`: it cannot be edited."""
    if is_keyboard() and sys.stdout.isatty():
        if not simple:
            return input(prompt)
        print(prompt, end="", flush=True)
    line = sys.stdin.readline().removeprefix(BOM) if sys.stdin else ""  # closed is ended
    if not line:
        raise EOFError
    return line.removesuffix("\n")


def leave(talk: Talk, _: str) -> None:
    talk.ended = True


def regenerate(talk: Talk, _: str) -> bool:
    if talk.messages and talk.messages[-1]["role"] == "assistant":
        talk.messages.pop()
    if not talk.messages or talk.messages[-1]["role"] != "user":
        raise ArgumentError("/regen: no message yet, expected one to answer")
    return talk.answer()


def undo(talk: Talk, _: str) -> None:
    while talk.messages and talk.messages[-1]["role"] != "system":
        if talk.messages.pop()["role"] == "user":
            break


def clear(talk: Talk, _: str) -> None:
    talk.restart()


def set_system(talk: Talk, rest: str) -> None:
    talk.system = rest or None
    talk.restart()


def read(talk: Talk, path: str) -> None:
    content = read_text(named("/read", path))
    talk.read += f"{path}:\n{content}\n"
    note(f"{len(content)} characters of {path} come before the next message")


def save(talk: Talk, path: str) -> None:
    text = json.dumps(talk.messages, indent=1, ensure_ascii=False) + "\n"
    Path(named("/save", path)).write_text(text, encoding="utf-8")
    note(f"{len(talk.messages)} messages written to {path}")


def restore(talk: Talk, path: str) -> None:
    try:
        messages = json.loads(read_text(named("/load", path)))
    except json.JSONDecodeError as error:
        raise ArgumentError(f"{path}: {error}, expected what /save writes") from error
    if not isinstance(messages, list) or not all(is_message(m) for m in messages):
        raise ArgumentError(f'{path}: expected a list of {{"role": …, "content": …}}, as /save writes it')
    talk.messages = messages
    talk.system = next((m["content"] for m in messages if m["role"] == "system"), None)
    note(f"{len(messages)} messages")


def is_message(value: object) -> bool:
    roles = ("system", "user", "assistant")
    return (
        isinstance(value, dict)
        and value.keys() == {"role", "content"}
        and value["role"] in roles
        and isinstance(value["content"], str)
    )


def named(command: str, path: str) -> str:
    if not path:
        raise ArgumentError(f"{command}: no file, expected {command} FILE")
    return path


def show(talk: Talk, _: str) -> None:
    for each in talk.messages:
        print(f"{each['role']}: {each['content']}")


def show_help(talk: Talk, _: str) -> None:
    print(HELP)


COMMANDS: dict[str, Callable[[Talk, str], bool | None]] = {
    "/exit": leave,
    "/quit": leave,
    "/bye": leave,
    "/regen": regenerate,
    "/undo": undo,
    "/clear": clear,
    "/system": set_system,
    "/read": read,
    "/save": save,
    "/load": restore,
    "/history": show,
    "/help": show_help,
    "/?": show_help,
}
