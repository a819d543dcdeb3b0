"""Models that are named without a flag: `puna run model.gguf Why?`, `puna info user/repository:Q8_0`."""

import argparse
import os
import re
from collections.abc import Sequence

from puna.cli.parser import UsageError, file
from puna.cli.pull import spec

# An address without a user matches too: it is refused with what was expected.
HUB = re.compile(
    r"((?P<host>(https?://)?(hf\.co|huggingface\.co)/)([\w.-]+/)?|[\w.-]+/)[\w.-]+(?P<quant>:[\w.-]+)?/?"
)
# Names of Ollama's library: gemma3:4b, llama3.2, qwen2.5-coder:latest.
FAMILIES = (
    "llama|gemma|qwen|mistral|mixtral|phi|deepseek|smollm|tinyllama|gpt-oss|llava|codellama|starcoder|vicuna"
    "|command-r|qwq|olmo|devstral|moondream|codegemma|stablelm|minicpm-v|orca-mini|nous-hermes"
)
# Those that a text may begin with too: a name has a number, or one quoted prompt behind it.
WORDS = "aya|cogito|falcon|granite|hermes|solar|yi|zephyr"
EMBEDDERS = (
    "nomic-embed-text|mxbai-embed|all-minilm|bge-(m3|large|base|small)|snowflake-arctic-embed2?|embeddinggemma"
    "|granite-embedding|paraphrase-multilingual"
)
OLLAMA = re.compile(
    rf"[a-z][\w.-]*:(latest|e?[\d.]+[bm](-\S*)?)"
    rf"|((({FAMILIES})[\d.]*|({WORDS})\d[\d.]*)b?|{EMBEDDERS})(-[\w.]+)*(:[\w.-]+)?"
)
AMBIGUOUS = re.compile(rf"({WORDS})(-[\w.]+)*(:[\w.-]+)?")
# What nobody takes for a text, though a text may begin with a slash.
PATH = re.compile(r"(\.{1,2}[/\\]|/[^/\s]+/|[A-Za-z]:[/\\])\S+")


def take_model(given: argparse.Namespace) -> None:
    """The model of the first word, where that is one and no flag names another; else that of the
    environment."""
    if given.words and not given.model and not given.hf_repo:
        take_word(given, given.words[0])
    take_default(given)


def take_default(given: argparse.Namespace) -> None:
    """The model of the environment, where the command line names none."""
    if given.model or given.hf_repo:
        return
    given.model, given.hf_repo = (getattr(given, f"default_{name}", None) for name in ("model", "hf_repo"))
    if given.model and given.hf_repo:
        raise UsageError(
            f"LLAMA_ARG_MODEL = {given.model!r} and LLAMA_ARG_HF_REPO = {given.hf_repo!r}, expected one"
        )


def take_word(given: argparse.Namespace, first: str) -> None:
    """The model of the first word, where that is one."""
    if re.match("https?://.*[.]gguf", first):
        raise UsageError(
            f"{first!r}, expected a file; one of huggingface.co comes by -hf user/repository -hff NAME"
        )
    if is_of_hub(first):
        given.hf_repo = repository(given.words.pop(0))
    elif first.lower().endswith(".gguf") or PATH.fullmatch(first) or is_gguf(first):
        given.model = given.words.pop(0)  # where there is no such file, what reads it says so
    elif HUB.fullmatch(first):
        raise UsageError(f"{first!r}, expected a text: a model comes by -hf {first}, a text like this by -p")
    elif OLLAMA.fullmatch(first) or (AMBIGUOUS.fullmatch(first) and is_quoted(given.words[1:])):
        expected = "-m FILE or -hf user/repository:quant, as Ollama's names are not known here"
        raise UsageError(f"{first!r}, expected a text: a model comes by {expected}; a text like this by -p")


def is_gguf(path: str) -> bool:
    """Whether there is a file that begins as GGUF does, whatever its name: Ollama's have none."""
    if not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"GGUF"
    except OSError:
        return False


def is_quoted(words: Sequence[str]) -> bool:
    """Whether they are one text in quotes."""
    return len(words) == 1 and " " in words[0]


def add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", type=file, metavar="FILE", help="the same as -m FILE")


def take_file(given: argparse.Namespace) -> None:
    """The model that a positional argument names."""
    if given.file and (other := given.model or given.hf_repo):
        raise UsageError(f"models {given.file} and {other}, expected one")
    if given.file and is_of_hub(given.file):
        given.hf_repo = repository(given.file)
    else:
        given.model = given.model or given.file
    take_default(given)


def is_of_hub(word: str) -> bool:
    """Whether a word names a model of huggingface.co, and no file: by an address, a quantization, or `gguf`."""
    found = HUB.fullmatch(word)
    if not found or os.path.isfile(word):
        return False
    name = word.lower()
    return bool(found["host"] or (not name.endswith(".gguf") and (found["quant"] or "gguf" in name)))


def looks_of_hub(path: str) -> bool:
    """Whether a path that leads nowhere may name a model of huggingface.co."""
    name = path.lower()
    found = HUB.fullmatch(path) and not name.startswith(".") and not name.endswith(".gguf")
    return bool(found) and not os.path.exists(path)


def repository(word: str) -> str:
    """`spec` of a word that argparse has passed already."""
    try:
        return spec(word)
    except argparse.ArgumentTypeError as error:
        raise UsageError(str(error)) from error
