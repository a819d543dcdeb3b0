"""Flags that name a model and how it runs; llama.cpp's names."""

import argparse
from typing import Any

from puna.cli.parser import count
from puna.cli.terminal import Progress
from puna.gguf import Reader
from puna.llama import Llama
from puna.sources import bundled

# A cache for all that a model was trained for may not fit in memory.
MOST_CTX = 4096


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-m", "--model", metavar="FILE", help="a GGUF file; default: the bundled tiny model")


def add_execution(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("execution")
    group.add_argument("-t", "--threads", type=count(1), metavar="N", help="CPU threads; default: one a core")
    group.add_argument(
        "-ngl", "--gpu-layers", "--n-gpu-layers", type=count(-1), default=0, metavar="N",
        help="layers on the GPU: -1 all; default: 0",
    )  # fmt: skip
    group.add_argument(
        "-b", "--batch-size", type=count(1), default=512, metavar="N", help="most tokens at once"
    )
    for flag, what in (("-ctk", "k"), ("-ctv", "v")):
        group.add_argument(
            flag,
            f"--cache-type-{what}",
            choices=("f16", "f32"),
            default="f16",
            help=f"type of the {what} cache",
        )
    group.add_argument("--no-mmap", action="store_true", help="read the file instead of mapping it")


def path_of(given: argparse.Namespace) -> str:
    return given.model or str(bundled())


def load(given: argparse.Namespace, n_ctx: int | None = None, **options: Any) -> Llama:
    """The model of the flags. Without `n_ctx` what it was trained for, up to `MOST_CTX`."""
    path = path_of(given)
    if n_ctx is None:
        metadata = Reader(path).metadata
        trained = metadata.get(f"{metadata.get('general.architecture')}.context_length")
        n_ctx = min(trained, MOST_CTX) if isinstance(trained, int) else MOST_CTX
    return Llama(
        path,
        n_ctx=n_ctx,
        n_threads=given.threads,
        n_gpu_layers=given.gpu_layers,
        n_batch=given.batch_size,
        type_k=given.cache_type_k,
        type_v=given.cache_type_v,
        use_mmap=not given.no_mmap,
        progress=Progress("loading"),
        **options,
    )
