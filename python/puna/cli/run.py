"""`puna run`: text from a model."""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from puna.arguments import short
from puna.cli.model import add_execution, add_model, load
from puna.cli.parser import count
from puna.cli.terminal import note
from puna.errors import ArgumentError
from puna.llama import Llama
from puna.options import RANDOM_SEED

EPILOG = """examples:
  puna run                                    the bundled model, with a prompt of its own
  puna run Tell me a story                    the same with yours
  puna run -m model.gguf -p "Why?" -n 100 --temp 0
  puna run -m model.gguf                      a conversation, at a terminal
  puna run -m model.gguf -no-cnv -f text.txt  continue a text, without the chat template
"""

GREETING = "Hello! Tell me a story."
BEGINNING = "Once upon a time"


def add(commands: Any) -> None:
    parser = commands.add_parser("run", help="generate text", description=__doc__, epilog=EPILOG)
    parser.set_defaults(run=run)
    add_model(parser)
    parser.add_argument("words", nargs="*", metavar="PROMPT", help="the prompt, if not given by -p or -f")
    parser.add_argument("-p", "--prompt", metavar="TEXT", help="the prompt")
    parser.add_argument("-f", "--file", metavar="FILE", help="a file with the prompt; - reads standard input")
    parser.add_argument("-sys", "--system-prompt", metavar="TEXT", help="the system prompt of a chat")
    parser.add_argument(
        "-n", "--predict", "--n-predict", type=count(-1), default=-1, metavar="N",
        help="most tokens; default: -1, until the model or its context ends",
    )  # fmt: skip
    parser.add_argument(
        "-c", "--ctx-size", type=count(0), metavar="N",
        help="tokens of context; 0: as trained; default: as trained, up to 4096",
    )  # fmt: skip
    chat = parser.add_mutually_exclusive_group()
    chat.add_argument(
        "-cnv",
        "--conversation",
        action="store_true",
        default=None,
        help="use the chat template (the default)",
    )
    chat.add_argument(
        "-no-cnv",
        "--no-conversation",
        action="store_false",
        dest="conversation",
        help="continue the text as it is",
    )
    add_sampling(parser)
    add_execution(parser)


def add_sampling(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sampling")
    group.add_argument("-s", "--seed", type=count(-1), default=-1, help="-1: another one each time (default)")
    group.add_argument(
        "--temp", "--temperature", type=float, default=0.8, help="0: always the likeliest token"
    )
    group.add_argument("--top-k", type=count(0), default=40, metavar="N", help="default: 40; 0: all")
    group.add_argument("--top-p", type=float, default=0.95, metavar="P", help="default: 0.95")
    group.add_argument("--min-p", type=float, default=0.05, metavar="P", help="default: 0.05")
    group.add_argument("--repeat-penalty", type=float, default=1.0, metavar="X", help="default: 1, none")
    group.add_argument("--repeat-last-n", type=count(-1), default=64, metavar="N", help="tokens penalized")
    group.add_argument("--presence-penalty", type=float, default=0.0, metavar="X", help="default: 0")
    group.add_argument("--frequency-penalty", type=float, default=0.0, metavar="X", help="default: 0")
    group.add_argument("-r", "--reverse-prompt", action="append", metavar="TEXT", help="stop at this text")


def run(given: argparse.Namespace) -> int:
    prompt = prompt_of(given)
    seed = RANDOM_SEED if given.seed == -1 else given.seed
    with load(given, given.ctx_size, seed=seed, last_n_tokens_size=given.repeat_last_n) as llm:
        chats = given.conversation
        if chats is None:
            chats = "tokenizer.chat_template" in llm.metadata
        if not chats:
            if given.system_prompt:
                raise ArgumentError(
                    f"-sys {short(given.system_prompt)}: expected a model with a chat template"
                )
            say(llm.create_completion(prompt or BEGINNING, stream=True, echo=True, **options(given)), llm)
        elif prompt is None and given.model and sys.stdin.isatty() and sys.stdout.isatty():
            converse(llm, given)
        else:
            messages = [*system(given), {"role": "user", "content": prompt or GREETING}]
            say(llm.create_chat_completion(messages, stream=True, **options(given)), llm)
    return 0


def prompt_of(given: argparse.Namespace) -> str | None:
    named = [("-p", given.prompt), ("-f", given.file), ("words", " ".join(given.words) or None)]
    found = [(name, value) for name, value in named if value is not None]
    if len(found) > 1:
        raise ArgumentError(f"prompts by {' and '.join(name for name, _ in found)}, expected one")
    if given.file is None:
        return found[0][1] if found else None
    text = sys.stdin.read() if given.file == "-" else Path(given.file).read_text(encoding="utf-8")
    return text.removesuffix("\n")


def system(given: argparse.Namespace) -> list[dict[str, str]]:
    return [{"role": "system", "content": given.system_prompt}] if given.system_prompt else []


def options(given: argparse.Namespace) -> dict[str, Any]:
    return {
        "max_tokens": None if given.predict == -1 else given.predict,
        "temperature": given.temp,
        "top_k": given.top_k,
        "top_p": given.top_p,
        "min_p": given.min_p,
        "repeat_penalty": given.repeat_penalty,
        "presence_penalty": given.presence_penalty,
        "frequency_penalty": given.frequency_penalty,
        "stop": given.reverse_prompt,
    }


def say(chunks: Any, llm: Llama) -> str:
    """Prints text as it comes, then the speed; answers the text."""
    text = ""
    for piece in pieces(chunks):
        text += piece
        print(piece, end="", flush=True)
    print()
    note(speed(llm))
    return text


def pieces(chunks: Iterator[Mapping[str, Any]]) -> Iterator[str]:
    for chunk in chunks:
        choice = chunk["choices"][0]
        yield choice["delta"].get("content", "") if "delta" in choice else choice["text"]


def speed(llm: Llama) -> str:
    t = llm.timings
    parts = [f"load {llm.load_s * 1000:.0f} ms", f"prompt {t.n_prompt} tokens {rate(t.n_prompt, t.prompt_s)}"]
    parts.append(f"generated {t.n_tokens} tokens {rate(t.n_generated, t.generated_s)}")
    return " | ".join([*parts, llm.device])


def rate(n: int, seconds: float) -> str:
    return f"{n / seconds:.1f} t/s" if n and seconds else "- t/s"


def converse(llm: Llama, given: argparse.Namespace) -> None:
    """A conversation at the terminal, until /exit or the end of input."""
    note("a conversation; /exit ends it, /clear begins anew, Ctrl-C ends an answer")
    messages = system(given)
    while True:
        try:
            line = input("> ")
        except (EOFError, KeyboardInterrupt):
            return print()
        if line == "/exit":
            return None
        if line == "/clear":
            messages = system(given)
        elif line:
            messages.append({"role": "user", "content": line})
            answer = say_until_interrupted(llm, messages, given)
            messages.append({"role": "assistant", "content": answer})


def say_until_interrupted(llm: Llama, messages: list[dict[str, str]], given: argparse.Namespace) -> str:
    answer = []
    try:
        chunks: Any = llm.create_chat_completion(messages, stream=True, **options(given))
        for piece in pieces(chunks):
            answer.append(piece)
            print(piece, end="", flush=True)
    except KeyboardInterrupt:
        pass
    print()
    return "".join(answer)
