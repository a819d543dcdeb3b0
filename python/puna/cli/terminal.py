"""What goes to the terminal: colour and progress only where somebody looks."""

import os
import sys
from typing import TextIO

RED, DIM, OFF = "\x1b[31m", "\x1b[2m", "\x1b[0m"


def coloured(text: str, colour: str, stream: TextIO) -> str:
    if stream.isatty() and not os.environ.get("NO_COLOR"):
        return f"{colour}{text}{OFF}"
    return text


def fail(message: str) -> int:
    """Says in one line what went wrong; answers the exit code."""
    label = coloured("puna: error:", RED, sys.stderr)
    print(label, " ".join(message.split()), file=sys.stderr)
    return 1


def note(line: str) -> None:
    """Something about the work, beside the result."""
    print(coloured(line, DIM, sys.stderr), file=sys.stderr)


class Loading:
    """A line that says how far loading is; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        self._shown = -1

    def __call__(self, done: int, total: int) -> bool:
        percent = 100 * done // total if total else 100
        if sys.stderr.isatty() and percent != self._shown:
            self._shown = percent
            print(
                f"\rloading {percent} %",
                end="\r\x1b[K" if percent == 100 else "",
                file=sys.stderr,
                flush=True,
            )
        return True
