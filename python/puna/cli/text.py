"""What commands that write text have in common: flags of prompts, and answers printed as they come."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

from puna.cli import sampling
from puna.cli.model import load, path_of
from puna.cli.parser import Parser, UsageError, count
from puna.cli.reading import NoTextError, check_text, is_piped, read_input, read_text
from puna.cli.terminal import Colour, note
from puna.errors import ContextError
from puna.gguf import Metadata, Reader
from puna.llama import Llama


def add_prompt(parser: argparse.ArgumentParser, words: str) -> None:
    group = parser.add_argument_group("prompt")
    group.add_argument("words", nargs="*", metavar="PROMPT", help=words)
    group.add_argument("-p", "--prompt", metavar="TEXT", help="the same")
    group.add_argument(
        "-f", "--file", metavar="FILE", help="a file with it, or with what comes after it; -: standard input"
    )
    system = group.add_mutually_exclusive_group()
    system.add_argument("-sys", "--system-prompt", metavar="TEXT", help="the system prompt of a chat")
    system.add_argument("-sysf", "--system-prompt-file", metavar="FILE", help="a file with it")
    add_escape(group)


def add_escape(parser: argparse._ActionsContainer) -> None:
    escape = parser.add_mutually_exclusive_group()
    escape.add_argument(
        "-e", "--escape", action="store_true", default=True, help=r"read \n, \t, \" in texts (default)"
    )
    escape.add_argument("--no-escape", action="store_false", dest="escape", help="a backslash is a backslash")


def check_texts(given: argparse.Namespace) -> None:
    """Refuses texts of the command line that are none. Files may have any name."""
    flags = {
        "words": "words", "prompt": "-p", "system_prompt": "-sys", "reverse_prompt": "-r",
        "in_prefix": "--in-prefix", "in_suffix": "--in-suffix", "embd_separator": "--embd-separator",
    }  # fmt: skip
    for name, flag in flags.items():
        value = getattr(given, name, None) or ""
        try:
            check_text(flag, value if isinstance(value, str) else " ".join(value))
        except NoTextError as error:
            raise UsageError(str(error)) from error


def add_output(parser: Parser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "-n", "--predict", "--n-predict", type=count(-2), default=-1, metavar="N",
        help="most tokens; 0: only evaluate the prompt; -1 or -2: until the model or its context ends "
        "(default: -1)",
    )  # fmt: skip
    group.add_argument(
        "-r", "--reverse-prompt", action="append", metavar="TEXT", help="stop at this text; may be repeated"
    )
    group.add_argument(
        "-c", "--ctx-size", type=count(0), metavar="N",
        help="tokens of context; 0: as trained; default: as trained, up to 4096",
    )  # fmt: skip
    timings = group.add_mutually_exclusive_group()
    timings.add_argument(
        "--show-timings", "--perf", action="store_true", default=True, help="say the speed (default)"
    )
    timings.add_argument(
        "--no-show-timings", "--no-perf", "--log-disable", action="store_false", dest="show_timings",
        help="do not",
    )  # fmt: skip
    group.add_argument(
        "-co", "--color", choices=("on", "off", "auto"), nargs="?", default="auto", const="auto",
        metavar="on|off|auto", help="colour notes and errors; auto (default): at a terminal",
    )  # fmt: skip
    parser.agree("--jinja", "--no-warmup", "--no-context-shift", "--display-prompt", "--cache-prompt")


def prompt_of(given: argparse.Namespace) -> str | None:
    """The prompt, by whichever flag it came; with `-f` beside it, a blank line and that file after it. A word
    that is a dash alone is `-f -`, as tools have it."""
    if given.words == ["-"] and given.file is None:
        given.words, given.file = [], "-"
    words = " ".join(given.words) or None
    if given.prompt is not None and words is not None:
        raise UsageError("prompts by -p and by words, expected one")
    prompt: str | None = words if given.prompt is None else given.prompt
    if given.file is None:
        return prompt
    text = read_input(given.file).removesuffix("\n")
    if not text and not prompt and given.file == "-" and is_piped():
        raise UsageError("standard input is empty, expected a prompt; < /dev/null is none")
    return f"{prompt}\n\n{text}" if prompt else text


def system_of(given: argparse.Namespace) -> str | None:
    if given.system_prompt_file:
        return read_text(given.system_prompt_file).removesuffix("\n")
    return given.system_prompt or None


def options(given: argparse.Namespace, metadata: Metadata) -> dict[str, Any]:
    """Keywords of a completion."""
    return sampling.options(given, metadata) | limit(given.predict) | {"stop": given.reverse_prompt}


def limit(predict: int) -> dict[str, Any]:
    """Keywords for -n; `Llama` takes 0 for no limit, as llama-cpp-python does."""
    if predict == 0:
        return {"max_tokens": 1}  # which `Answer` leaves out
    return {"max_tokens": predict if predict > 0 else None}


def start(given: argparse.Namespace) -> tuple[Llama, str | None, str | None, dict[str, Any]]:
    """The model of the flags, its prompt and system prompt, and the keywords of a completion."""
    Colour.mode = given.color
    check_texts(given)
    sampling.unescape(given, "prompt", "system_prompt", "reverse_prompt", "in_prefix", "in_suffix")
    prompt, system = prompt_of(given), system_of(given)
    metadata = Reader(path_of(given)).metadata
    last_n = sampling.last_n(given, metadata)
    keywords = options(given, metadata)
    llm = load(given, given.ctx_size, seed=given.seed, last_n_tokens_size=last_n)
    return llm, prompt, system, keywords


class Answer:
    """What a model says, printed as it comes. `helps`: what helps where the context is too small, besides
    a larger one."""

    def __init__(self, given: argparse.Namespace, llm: Llama, helps: str = "") -> None:
        self.given = given
        self.llm = llm
        self.helps = helps
        self.text = ""

    def say(self, start: Callable[[], Any]) -> None:
        """Prints a stream. Ctrl-C ends it and goes on to the caller; `text` is what there is."""
        try:
            with closing(start()) as chunks:
                for chunk in chunks:
                    choice: Mapping[str, Any] = chunk["choices"][0]
                    piece = choice["delta"].get("content", "") if "delta" in choice else choice["text"]
                    if self.given.predict == 0 and self.llm.timings.n_tokens:
                        piece = ""
                    self.text += piece
                    print(piece, end="", flush=True)
        except ContextError as error:
            raise ContextError(f"{error}; {self.remedy()}") from error
        except KeyboardInterrupt:
            print()
            raise
        print()
        if choice["finish_reason"] == "length" and self.wanted_more():
            note(f"the context of {self.llm.n_ctx()} tokens is full: {self.remedy()}")

    def wanted_more(self) -> bool:
        """Whether -n asked for more tokens than came."""
        most: int = self.given.predict
        return most < 0 or self.llm.timings.n_tokens < most

    def remedy(self) -> str:
        metadata = self.llm.metadata
        trained = metadata.get(f"{metadata['general.architecture']}.context_length")
        return f"{self.helps}-c N sets a larger one{f' (trained: {trained})' if trained else ''}"


def note_bundled(given: argparse.Namespace, metadata: Mapping[str, Any], does: str = "answers") -> None:
    """Says which model it is where none was named: what it writes is not what a large one would."""
    if given.show_timings and not given.model:
        size = f"{metadata.get('general.size_label', 'few')} parameters, stories"
        note(f"no model named: the bundled one ({size}) {does}; -m FILE or -hf USER/REPO names another")


def note_speed(given: argparse.Namespace, llm: Llama, *, with_load: bool = True) -> None:
    if not given.show_timings:
        return
    t = llm.timings
    parts = [f"load {llm.load_s * 1000:.0f} ms"] if with_load else []
    parts.append(f"prompt {t.n_prompt} tokens {rate(t.n_prompt, t.prompt_s)}")
    n_shown = t.n_tokens if given.predict else 0
    parts.append(f"generated {n_shown} tokens {rate(t.n_generated, t.generated_s)}")
    note(" | ".join([*parts, llm.device]))


def rate(n: int, seconds: float) -> str:
    return f"{n / seconds:.1f} t/s" if n and seconds else "- t/s"


def message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def with_system(system: str | None, messages: Sequence[dict[str, str]] = ()) -> list[dict[str, str]]:
    return [*([message("system", system)] if system else []), *messages]
