"""Ctrl-C while the command `puna` starts and ends: it leaves at once with 130, as it does at work, where
Python alone would print a traceback. A program that imports puna keeps its own way."""

import os
import signal
import sys
from contextlib import suppress
from typing import Any, NoReturn

# The script that pip makes is called `puna`. `python -m puna` is called `-m` while the package is imported,
# and by its file after that. What Python was called with ends with the module and its arguments.
called = sys.argv[0] if getattr(sys, "argv", None) else ""
IS_COMMAND = (
    os.path.basename(called) in ("puna", "puna.exe")
    or called == os.path.join(os.path.dirname(__file__), "__main__.py")
    or (called == "-m" and sys.orig_argv[-len(sys.argv) :][:1] in (["puna"], ["-mpuna"]))
)


def leave(*_: Any) -> NoReturn:
    os._exit(130)


def leave_on_interrupt() -> None:
    """From here on Ctrl-C ends the process."""
    if IS_COMMAND and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        with suppress(ValueError):  # not in the main thread, which alone may
            signal.signal(signal.SIGINT, leave)


def raise_on_interrupt() -> None:
    """From here on it is a `KeyboardInterrupt` again."""
    if signal.getsignal(signal.SIGINT) is leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


leave_on_interrupt()
