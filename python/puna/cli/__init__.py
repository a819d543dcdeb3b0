"""The command `puna`. A subcommand is a module with `add`, which describes it, and `run`."""

import difflib
import io
import os
import shlex
import sys
from collections.abc import Sequence

import puna
from puna import _command
from puna.cli import bench, chat, devices, embed, info, pull, quantize, run, tokenize
from puna.cli import list as list_
from puna.cli.parser import Parser, UsageError
from puna.cli.terminal import Progress, described, fail

COMMANDS = (run, chat, embed, tokenize, quantize, pull, list_, info, bench, devices)

EPILOG = """examples:
  puna run                                     text from the model that comes with puna
  puna run -m model.gguf -p "Why is the sky blue?"
  puna chat -m model.gguf                      a conversation
  puna embed -m bert.gguf -p "a text"          a vector
  puna tokenize -m model.gguf -p "a text"      its tokens
  puna pull user/repository:Q4_K_M             a model of huggingface.co
  puna list                                    what was pulled
  puna quantize f16.gguf q4.gguf Q4_K_M        a smaller file
  puna info -m model.gguf                      what is in a file
  puna bench -m model.gguf -t 4                tokens a second
  puna devices                                 what there is to compute on

puna COMMAND --help lists the flags of a command, with examples.
"""
# Commands of Ollama's and llama.cpp's, and what there is here.
ELSEWHERE = {
    **dict.fromkeys(("ls", "cache-list"), "puna list"),
    **dict.fromkeys(("show", "inspect"), "puna info"),
    **dict.fromkeys(("download", "get"), "puna pull"),
    **dict.fromkeys(("generate", "completion"), "puna run"),
    **dict.fromkeys(("embedding", "embeddings"), "puna embed"),
    **dict.fromkeys(("ps", "stop"), "nothing: no model runs in the background"),
    **dict.fromkeys(("serve", "server"), "puna chat, or Python: there is no server"),
    "cli": "puna chat",
    "rm": "hf cache rm model/USER/REPOSITORY, of the package huggingface_hub",
    "version": "puna --version",
    "help": "puna --help",
}

CUT_OFF = "; was it cut off? puna pull goes on where it ended"


def parser() -> Parser:
    top = Parser(prog="puna", description="Runs language models from GGUF files.", epilog=EPILOG)
    top.add_argument("--version", action="version", version=f"puna {puna.__version__}")
    commands = top.add_subparsers(title="commands", dest="command", metavar="COMMAND", parser_class=Parser)
    for command in COMMANDS:
        command.add(commands)
    return top


def check_command(top: Parser, arguments: Sequence[str]) -> None:
    """Refuses a command that there is not, with the one that may have been meant."""
    first = next((word for word in arguments if not word.startswith("-")), None)
    names = [command.__name__.rpartition(".")[2] for command in COMMANDS]
    if first is None or first in names:
        return
    if arguments[0].startswith("-") and arguments[0] not in ("-h", "--help", "--version"):
        line = shlex.join(["puna", "run", *arguments])
        top.error(f"{arguments[0]}: no command before it, expected {line}")
    near = [f"puna {name}" for name in difflib.get_close_matches(first, names, n=1)]
    if first.lower().endswith(".gguf"):
        near = [f"puna run {first}"]
    meant = [ELSEWHERE[first]] if first in ELSEWHERE else near
    expected = meant[0] if meant else f"one of {' '.join(names)}"
    top.error(f"command {first!r}, expected {expected}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; answers the exit code: 0, 1 for an error, 2 for a wrong command line, 130 after
    Ctrl-C."""
    try:
        _command.raise_on_interrupt()
        return obey(arguments)
    except KeyboardInterrupt:
        Progress.clear()
        return 130
    finally:
        _command.leave_on_interrupt()


def obey(arguments: Sequence[str] | None) -> int:
    """The same; Ctrl-C is the caller's."""
    top = parser()
    # Closed by the caller (>&-): what is written goes nowhere.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 as long as the process
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() not in ("utf-8", "utf8"):
            stream.reconfigure(errors="replace")  # a letter that the terminal has not is no error
    check_command(top, sys.argv[1:] if arguments is None else arguments)
    given = top.parse_args(arguments)
    if given.command is None:
        top.print_help()
        return 2
    try:
        code = given.run(given)
        sys.stdout.flush()
        return int(code or 0)
    except BrokenPipeError:
        # The reader has what it wanted; keep the interpreter from flushing into the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except UsageError as error:
        fail(f"{error} (see puna {given.command} --help)")
        return 2
    except UnicodeError as error:  # from the command line or standard input; files are read with their names
        return fail(f"a text that is no UTF-8: {error}")
    except puna.errors.TruncatedError as error:
        return fail(f"{error}{CUT_OFF}")
    except (puna.PunaError, OSError) as error:
        return fail(described(error))
