"""Texts that come in: files, and standard input where it is no keyboard."""

import io
import os
import select
import stat
import sys
from pathlib import Path

from puna.cli.terminal import note
from puna.errors import ArgumentError

# Standard input that says nothing for so long may be one that nobody will ever write to.
SILENCE_S = 2.0

# What editors on Windows put before a text, and no part of it.
BOM = "\ufeff"


class NoTextError(ArgumentError):
    """A text with bytes that are no UTF-8."""


def read_text(path: str) -> str:
    """A file of UTF-8."""
    return decoded(path, Path(path).read_bytes())


def read_input(path: str) -> str:
    """The same; `-` is standard input."""
    return read_stdin() if path == "-" else read_text(path)


def read_stdin() -> str:
    """All of standard input."""
    if sys.stdin is None:
        raise ArgumentError("standard input is closed, expected text")
    if not isinstance(sys.stdin, io.TextIOWrapper):
        return sys.stdin.read().removeprefix(BOM)
    if sys.stdin.isatty():
        note("reading the keyboard: Ctrl-D ends the text")
    elif may_be_silent() and not select.select([sys.stdin], [], [], SILENCE_S)[0]:
        note("waiting for standard input: -p TEXT is a text, < /dev/null is none")
    return decoded("standard input", sys.stdin.buffer.read())


def decoded(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8").removeprefix(BOM).replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ArgumentError(f"{name}: byte {error.start} is no UTF-8, expected text") from error


def check_text(name: str, text: str) -> str:
    """A text of the command line or a keyboard as it is; Python hands bytes that are no UTF-8 on as lone
    surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        place = len(text[: error.start].encode())
        raise NoTextError(f"{name}: byte {place} is no UTF-8, expected text") from error
    return text


def take_stray_bytes() -> None:
    """From here on bytes that are no UTF-8 are for `check_text` to refuse: a strict reader would lose the
    lines that it has read already."""
    if isinstance(sys.stdin, io.TextIOWrapper) and sys.stdin.errors != "surrogateescape":
        sys.stdin.reconfigure(errors="surrogateescape")


def is_keyboard() -> bool:
    """Whether somebody types; nobody does where it is closed."""
    return sys.stdin is not None and sys.stdin.isatty()


def is_piped() -> bool:
    """Whether standard input is a pipe or a file: no keyboard, not /dev/null, not closed."""
    mode = stdin_mode()
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def may_be_silent() -> bool:
    mode = stdin_mode()
    return sys.platform != "win32" and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))


def has_unread() -> bool:
    """Whether something waits in a pipe to standard input."""
    if sys.platform == "win32" or not stat.S_ISFIFO(stdin_mode()):
        return False
    import fcntl
    import termios

    return any(fcntl.ioctl(sys.stdin, termios.FIONREAD, bytes(4)))


def stdin_mode() -> int:
    """Its `st_mode`; 0 where it is closed or no file of the system's."""
    try:
        return os.fstat(sys.stdin.fileno()).st_mode
    except (AttributeError, OSError, ValueError):
        return 0
