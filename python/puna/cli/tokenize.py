"""`puna tokenize`: the tokens of a text."""

import argparse
from typing import Any

from puna.cli import llamacpp
from puna.cli.model import add_model, path_of
from puna.cli.parser import UsageError, unescaped
from puna.cli.positional import take_model
from puna.cli.reading import is_piped, read_input, read_stdin
from puna.cli.text import add_escape, check_texts, note_bundled
from puna.gguf import Reader
from puna.tokenizer import Tokenizer

EPILOG = """examples:
  puna tokenize -m model.gguf -p "Hello world"    a line a token: its id and its text
  puna tokenize -m model.gguf --ids Hello world   [9906, 1917]
  puna tokenize -m model.gguf --show-count --ids -f book.txt | tail -1
  echo "<|im_end|>" | puna tokenize -m model.gguf --no-parse-special
"""


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "tokenize", help="show the tokens of a text", usage="puna tokenize [FLAG ...] [TEXT ...]",
        description=__doc__, epilog=EPILOG,
    )  # fmt: skip
    parser.set_defaults(run=run)
    add_model(parser)
    parser.add_argument("words", nargs="*", metavar="TEXT", help="the text, if not given by a flag or a pipe")
    parser.add_argument("-p", "--prompt", metavar="TEXT", help="the text")
    parser.add_argument("-f", "--file", metavar="FILE", help="a file with it; -: standard input")
    parser.add_argument("--stdin", action="store_true", help="read standard input, also a keyboard")
    add_escape(parser)
    parser.add_argument("--ids", action="store_true", help="the ids alone, as a list")
    parser.add_argument("--no-bos", action="store_true", help="no BOS, even where the model wants one")
    parser.add_argument(
        "--no-parse-special", action="store_true", help="read texts of control tokens as plain text"
    )
    parser.add_argument("--show-count", action="store_true", help="and the number of tokens")
    parser.add_argument(
        "--log-disable", action="store_false", dest="show_timings", help="do not say that no model was named"
    )
    parser.refuse(llamacpp.TOKENIZE, "llama-tokenize")


def run(given: argparse.Namespace) -> int:
    take_model(given)
    check_texts(given)
    text = text_of(given)
    path = path_of(given)
    tokenizer = Tokenizer(path)
    tokens = tokenizer.encode(text, add_bos=not given.no_bos, special=not given.no_parse_special)
    if given.ids:
        print(tokens)
    else:
        for token in tokens:
            # Bytes that are no whole character are shown as bytes.
            shown = tokenizer._core.token_bytes(token, special=True).decode(errors="backslashreplace")
            print(f"{token:6} -> '{shown}'")
    if given.show_count:
        print(f"Total number of tokens: {len(tokens)}")
    if not given.model:
        note_bundled(given, Reader(path).metadata, "cuts the text")
    return 0


def text_of(given: argparse.Namespace) -> str:
    """The text, by whichever flag it came. That of the command line has escapes."""
    words = " ".join(given.words) if given.words else None
    typed = words if given.prompt is None else given.prompt
    named = [given.prompt is not None, bool(given.words), given.file is not None, given.stdin]
    if not any(named) and is_piped():
        return read_stdin()
    if sum(named) != 1:
        found = "several texts" if any(named) else "no text"
        raise UsageError(f"{found}, expected one of -p TEXT, words, -f FILE and a pipe")
    if typed is not None:
        return unescaped(typed) if given.escape else typed
    return read_stdin() if given.stdin else read_input(given.file)
