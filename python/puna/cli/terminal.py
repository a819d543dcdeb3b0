"""What goes to the terminal: colour and progress only where somebody looks."""

import os
import shutil
import sys
from typing import ClassVar, TextIO

from puna.errors import PunaError, refused

RED, DIM, OFF = "\x1b[31m", "\x1b[2m", "\x1b[0m"


class Colour:
    """Whether notes and errors are coloured; `auto`: where somebody looks."""

    mode: ClassVar[str] = "auto"


def coloured(text: str, colour: str, stream: TextIO) -> str:
    looks = stream.isatty() and not os.environ.get("NO_COLOR")
    return f"{colour}{text}{OFF}" if Colour.mode == "on" or (Colour.mode == "auto" and looks) else text


def fail(message: str) -> int:
    """Says in one line what went wrong; answers the exit code."""
    Progress.clear()
    label = coloured("puna: error:", RED, sys.stderr)
    print(label, " ".join(message.split()), file=sys.stderr)
    return 1


def described(error: Exception) -> str:
    """What an error says; of the operating system's without its number, the file first."""
    if isinstance(error, OSError) and not isinstance(error, PunaError) and error.filename:
        return str(refused(error))
    return str(error)


def note(line: str) -> None:
    """Something about the work, beside the result."""
    print(coloured(line, DIM, sys.stderr), file=sys.stderr)


class Progress:
    """A line that says how far work is; nothing where stderr is no terminal."""

    shown: ClassVar[str] = ""  # there is one terminal

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __call__(self, done: int, total: int, what: str = "") -> bool:
        percent = 100 * done // total if total else 100
        line = " ".join([f"{self._doing} {percent} %", *([what] if what else [])])
        if sys.stderr.isatty() and line != Progress.shown:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{line[:width]}", end="", file=sys.stderr, flush=True)
            Progress.shown = line
        if percent == 100:
            self.clear()
        return True

    @classmethod
    def clear(cls) -> None:
        """Takes the line away."""
        if cls.shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            cls.shown = ""
