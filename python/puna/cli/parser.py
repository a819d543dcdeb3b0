"""The parser of every command: errors of one line, whole names only, and llama.cpp's other flags refused
by name."""

import argparse
import difflib
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from puna.cli import environment, llamacpp
from puna.cli.terminal import fail
from puna.errors import ArgumentError


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Says once, behind its names, what a flag takes, and at the end its variable; 100 columns at most."""

    def __init__(self, prog: str, **options: Any) -> None:
        width = min(100, shutil.get_terminal_size().columns) - 2
        super().__init__(prog, max_help_position=30, width=width, **options)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        takes = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {takes}"

    def _expand_help(self, action: argparse.Action) -> str:
        variable = environment.variable_of(action)
        return super()._expand_help(action) + (f" (env: {variable})" if variable else "")


class Parser(argparse.ArgumentParser):
    """Refuses in one line; nothing is abbreviated."""

    def __init__(self, **options: object) -> None:
        super().__init__(allow_abbrev=False, formatter_class=Formatter, **options)  # type: ignore[arg-type]
        self.agreed: argparse._ArgumentGroup | None = None

    def format_help(self) -> str:
        if self.agreed is not None:  # last, as nobody needs them
            self._action_groups.sort(key=lambda group: group is self.agreed)
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        fail(f"{message} (see {self.prog} --help)")
        raise SystemExit(2)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """argparse's, but words may stand between flags, a value may begin with a dash, and a wrong flag is told
        which one was meant."""
        words = sys.argv[1:] if args is None else list(args)
        if not self._subparsers:
            words = self.joined(words)
            variables = environment.defaults(self, words)
            self.set_defaults(**variables, of_variables=variables.keys())
        found, rest = super().parse_known_args(words, namespace)
        end = rest.index("--") if "--" in rest else len(rest)  # behind it all are words
        for text in rest[:end]:
            if text.startswith("-") and text != "-":
                self.error(f"unrecognized arguments: {text}{self.meant(text)}")
        rest = rest[:end] + rest[end + 1 :]
        if rest and not hasattr(found, "words"):
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        if rest:
            found.words = [*found.words, *rest]
        return found, []

    def joined(self, words: Sequence[str]) -> list[str]:
        """The words with values that begin with a dash tied to their flags: whatever comes behind a flag
        with a value is that, as in llama.cpp, unless it is a flag itself."""
        done: list[str] = []
        flag = None  # that waits for its value
        for at, word in enumerate(words):
            action = self._option_string_actions.get(word)
            if word == "--" and flag is None:
                return [*done, *words[at:]]
            if flag and word.startswith("-") and action is None and word != "--":
                done[-1] = f"{flag}={word}"
            elif flag is None and action is None:
                done.append(self.checked(word))
            else:
                done.append(word)
            flag = word if flag is None and action is not None and action.nargs is None else None
        return done

    def checked(self, word: str) -> str:
        """Refuses a flag and its value in one word, which argparse would take for a text."""
        flag, blank, value = word.partition(" ")
        action = self._option_string_actions.get(flag)
        if blank and action is not None and action.nargs is None:
            self.error(
                f"{word!r} is one word, expected {flag} and {value!r} as two; a text that begins so comes behind --"
            )
        return word

    def _get_option_tuples(self, option_string: str) -> Any:
        """argparse's guesses at a flag of one dash, but for beginnings of names: `-c` is not `-ctk`."""
        name, _, _ = option_string.partition("=")
        if f"-{name}" in self._option_string_actions:
            self.error(f"unrecognized arguments: {option_string}; did you mean -{name}?")
        guesses = super()._get_option_tuples(option_string)
        return [guess for guess in guesses if guess[1] == name or is_glued(*guess[:2], option_string)]

    def meant(self, flag: str) -> str:
        """The flag that is nearest to an unknown one, as the end of a message."""
        name = "--" + flag.partition("=")[0].lstrip("-").replace("_", "-")
        known = [
            flag for flag, action in self._option_string_actions.items() if not isinstance(action, Refused)
        ]
        found = [HABITS[name]] if name in HABITS else difflib.get_close_matches(name, known, n=1)
        return f"; did you mean {found[0]}?" if found and found[0] in known else ""

    def agree(self, *flags: str) -> None:
        """Flags of llama.cpp that ask for what Puna does anyway."""
        self.agreed = self.agreed or self.add_argument_group("taken, as Puna does so anyway")
        self.agreed.add_argument(*flags, action="store_true", dest="agreed")

    def refuse(self, flags: Iterable[str], tool: str = "llama.cpp") -> None:
        """Those of `flags` that this parser has not: `tool` knows them, so whoever gives one meant it."""
        for flag in flags:
            if flag not in self._option_string_actions:
                action = self.add_argument(
                    flag, action=Refused, nargs="?", dest="refused", help=argparse.SUPPRESS
                )
                assert isinstance(action, Refused)
                action.tool = tool


def is_glued(action: argparse.Action, flag: str, text: str) -> bool:
    """Whether a text is a flag of one letter with its value: -n3, -mmodel.gguf, "-pTell me"; but -ld is no
    bias, and a text may begin with a dash."""
    value = text[2:]
    if flag != text[:2] or action.nargs == 0 or isinstance(action, Refused):
        return False
    if (value[:1].isalpha() or " " in value) and callable(action.type):
        try:
            action.type(value)
        except (argparse.ArgumentTypeError, ValueError):
            return False
    return True


# What others call them: Llama's keywords, Ollama, transformers.
HABITS = {
    "--max-tokens": "-n", "--max-new-tokens": "-n", "--num-predict": "-n", "--n-ctx": "-c", "--num-ctx": "-c",
    "--context": "-c", "--n-threads": "-t", "--num-thread": "-t", "--n-batch": "-b", "--num-gpu": "-ngl",
    "--system": "-sys", "--stop": "-r", "--chat-format": "--chat-template", "--repetition-penalty": "--repeat-penalty",
    "--model-path": "-m", "--repo-id": "-hf", "--filename": "-hff", "--pooling-type": "--pooling",
    "--type-k": "-ctk", "--type-v": "-ctv",
}  # fmt: skip


class UsageError(ArgumentError):
    """A command line that cannot be meant, whatever the files say: the exit code is 2."""


class Refused(argparse.Action):
    """A flag that llama.cpp has and Puna has not."""

    tool = ""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        instead = llamacpp.INSTEAD.get(option_string or "", "")
        parser.error(
            f"{option_string} is a flag of {self.tool} that Puna has not{instead and f': {instead}'}"
        )


def count(least: int, most: int = 2**31 - 1) -> Callable[[str], int]:
    """A whole number from `least` up."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            upper = "or more" if most == 2**31 - 1 and value < least else f"to {most}"
            raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number, {least} {upper}")
        return value

    return parse


def file(text: str) -> str:
    """A path; a variable of the shell that is not set is none."""
    if not text:
        raise argparse.ArgumentTypeError("'', expected a file")
    if re.match("https?://.*[.]gguf", text):
        expected = "a file; one of huggingface.co comes by -hf user/repository -hff NAME"
        raise argparse.ArgumentTypeError(f"{text!r}, expected {expected}")
    return text


def number(least: float = float("-inf"), most: float = float("inf")) -> Callable[[str], float]:
    """A finite number of a range."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most or value in (float("inf"), float("-inf")):
            bounds = [f"at least {least:g}"] * (least > float("-inf")) + [f"at most {most:g}"] * (
                most < float("inf")
            )
            raise argparse.ArgumentTypeError(f"{text!r}, expected {', '.join(['a number', *bounds])}")
        return value

    return parse


def override(text: str) -> tuple[str, bool | int | float | str]:
    """Metadata to set: a key and its value."""
    key, _, typed = text.partition("=")
    kind, colon, value = typed.partition(":")
    read: dict[str, Callable[[str], Any]] = {
        "int": int, "float": float, "str": str, "bool": {"true": True, "false": False}.__getitem__,
    }  # fmt: skip
    try:
        if not key or not colon:
            raise KeyError(text)
        return key, read[kind](value)
    except (KeyError, ValueError):
        expected = "KEY=TYPE:VALUE, TYPE one of int float bool str"
        raise argparse.ArgumentTypeError(f"{text!r}, expected {expected}") from None


# What a backslash and a letter mean in texts of the command line (llama.cpp's --escape).
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "'": "'", '"': '"', "\\": "\\"}


def unescaped(text: str) -> str:
    """A text with `\\n`, `\\t`, `\\x41` and the like read as the characters that they stand for."""
    done, rest = "", text
    while "\\" in rest:
        before, _, rest = rest.partition("\\")
        letter, digits = rest[:1], rest[1:3]
        if letter in ESCAPES:
            done, rest = done + before + ESCAPES[letter], rest[1:]
        elif letter == "x" and len(digits) == 2 and all(c in "0123456789abcdefABCDEF" for c in digits):
            done, rest = done + before + chr(int(digits, 16)), rest[3:]
        else:
            done += before + "\\"
    return done + rest
