"""`puna pull`: models of huggingface.co, fetched once."""

import argparse
import re
import sys
from typing import Any

from puna import hub
from puna.errors import ArgumentError

EPILOG = """examples:
  puna pull user/repository            its Q4_K_M, or else its first model; prints the path
  puna pull user/repository:Q8_0
  puna pull user/repository -hff model-f16.gguf --local-dir models
  puna run -hf user/repository         pulls it too, where it is not there yet

Files are kept where the package huggingface_hub keeps them (HF_HOME). An interrupted pull goes on
where it ended when it is run again; a file appears when its size and hash are right.
"""


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "pull", help="fetch a model of huggingface.co", usage="puna pull [FLAG ...] MODEL ...",
        description=__doc__, epilog=EPILOG,
    )  # fmt: skip
    parser.set_defaults(run=run)
    parser.add_argument(
        "models", nargs="+", type=spec, metavar="MODEL", help="user/repository, or user/repository:quant"
    )
    add_hub(parser)
    parser.add_argument("--local-dir", metavar="DIR", help="put it there instead of into the cache")


def add_hub(parser: argparse._ActionsContainer) -> None:
    """Flags of what comes from huggingface.co; llama.cpp's names."""
    parser.add_argument(
        "-hff", "--hf-file", metavar="FILE", help="a file of the repository, by name or pattern"
    )
    parser.add_argument(
        "-hft", "--hf-token", metavar="TOKEN", help="default: HF_TOKEN, or that of `hf auth login`"
    )
    parser.add_argument("--offline", action="store_true", help="only what was pulled before")


def spec(text: str) -> str:
    """`user/repository` or `user/repository:quant`; the address before it may be there too."""
    text = re.sub(r"^(https?://)?(hf\.co|huggingface\.co)/", "", text).removesuffix("/")
    try:
        hub.split(text)
    except ArgumentError as error:
        file = re.search(r"/(?:resolve|blob)/[^/]+/([^?]+)", text)
        named = f"; a file of it comes by -hff {file[1]}" if file else ""
        raise argparse.ArgumentTypeError(f"{error}{named}") from error
    return text


def run(given: argparse.Namespace) -> int:
    for model in given.models:
        print(pulled(given, model, given.local_dir))
    return 0


def pulled(given: argparse.Namespace, model: str, local_dir: str | None = None) -> str:
    """The path of a model, with a line on the terminal while it comes."""
    utils = hub.hub().utils
    utils.logging.set_verbosity_error()  # it tries again by itself, and the last error is ours to tell
    if not sys.stderr.isatty():
        utils.disable_progress_bars()
    found = hub.pull(model, given.hf_file, token=given.hf_token, local_dir=local_dir, offline=given.offline)
    return str(found)
