"""`puna quantize`: a model file of another type, smaller as a rule."""

import argparse
import os
import re
import sys
import textwrap
import time
from collections import defaultdict
from collections.abc import Callable
from math import prod
from typing import Any, NoReturn

from puna import hub, quant
from puna._native import core
from puna.cli import llamacpp
from puna.cli.info import size
from puna.cli.parser import count, override
from puna.cli.reading import read_text
from puna.cli.terminal import Progress
from puna.errors import ArgumentError, PunaError
from puna.gguf import Reader

EPILOG = """examples:
  puna quantize model-f16.gguf model-q4.gguf Q4_K_M    the usual choice
  puna quantize model-f16.gguf Q8_0 2                  into ggml-model-Q8_0.gguf, on two threads
  puna quantize --dry-run model-f16.gguf Q5_K_S        what would be done
  puna quantize --tensor-type "ffn_down=q8_0" --token-embedding-type q8_0 in.gguf out.gguf Q4_K_M
  puna quantize --override-kv general.name=str:mine in.gguf out.gguf COPY

types:
{types}
Those of 1 to 3 bits (IQ1, IQ2, IQ3) can be run but not made.
"""

# What comes after the flags.
USAGE = "puna quantize [FLAG ...] IN [OUT] TYPE [THREADS]"


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "quantize", help="write a model as another type", usage=USAGE, description=__doc__,
        epilog=EPILOG.format(types=textwrap.fill(" ".join(made()), 100)),
    )  # fmt: skip
    parser.set_defaults(run=run, refuse=parser.error)
    parser.add_argument(
        "arguments", nargs="+", metavar="IN [OUT] TYPE [THREADS]", help="files, type, threads"
    )
    for flag, what in (
        ("--allow-requantize", "take tensors that are quantized already: errors add up"),
        ("--leave-output-tensor", "leave output.weight as it is"),
        ("--pure", "no mixture: one type for every tensor"),
        ("--keep-split", "as many parts as the model has; OUT is what their names begin with"),
        ("--dry-run", "say what would be done, tensor by tensor"),
    ):
        parser.add_argument(flag, action="store_true", help=what)
    for flag, which in (("output-tensor", "output.weight"), ("token-embedding", "token_embd.weight")):
        parser.add_argument(f"--{flag}-type", type=dtype, metavar="T", help=f"type of {which}")
    parser.add_argument(
        "--tensor-type", action="append", default=[], type=tensor_type, metavar="REGEX=T",
        help="type of tensors whose name has the pattern; the first that fits counts",
    )  # fmt: skip
    parser.add_argument(
        "--tensor-type-file", metavar="FILE", help="a file of such, separated by blanks or lines"
    )
    parser.add_argument(
        "--override-kv", action="append", default=[], type=override, metavar="KEY=TYPE:VALUE",
        help="set metadata; TYPE is int, float, bool or str",
    )  # fmt: skip
    parser.refuse(llamacpp.QUANTIZE, "llama-quantize")


def made() -> list[str]:
    """The types that there are encoders for."""
    return [*(name for name in core.file_types() if not name.startswith(("IQ1", "IQ2", "IQ3"))), "COPY"]


def run(given: argparse.Namespace) -> int:
    try:
        return quantize(given)
    except PunaError as error:
        if (message := by_flags(str(error))) == str(error):
            raise
        raise ArgumentError(message) from error


def by_flags(message: str) -> str:
    """What the package says of its keywords, by the command line's names."""
    if message.startswith("path = "):
        message = f"OUT: {message.removeprefix('path = ')}"
    keyword = " or allow_requantize"
    return f"{message.removesuffix(keyword)} or --allow-requantize" if message.endswith(keyword) else message


def quantize(given: argparse.Namespace) -> int:
    source, target, type_, n_threads = places(given)
    if given.tensor_type_file:
        text = read_text(given.tensor_type_file)
        given.tensor_type += [parsed(given, tensor_type, item) for item in text.split()]
    reader = Reader(source)
    started = time.perf_counter()
    steps = quant.quantize_file(
        reader,
        None if given.dry_run else target,
        type_,
        n_threads=n_threads,
        allow_requantize=given.allow_requantize,
        leave_output_tensor=given.leave_output_tensor,
        pure=given.pure,
        output_tensor_type=given.output_tensor_type,
        token_embedding_type=given.token_embedding_type,
        tensor_types=given.tensor_type,
        keep_split=given.keep_split,
        kv_overrides=dict(given.override_kv),
        progress=progress(reader),
    )
    Progress.clear()
    if given.dry_run:
        print_steps(steps)
    print_sum(reader, source, first_part(source, target) if given.keep_split else target, steps)
    if not given.dry_run:
        print(f"done in {time.perf_counter() - started:.1f} s")
    return 0


def places(given: argparse.Namespace) -> tuple[str, str, str, int]:
    """Source, target, type and threads of `IN [OUT] TYPE [THREADS]`."""
    source, *rest = given.arguments
    target = rest.pop(0) if rest and core.file_type(rest[0]) is None else None
    if target is not None and not rest and not target.lower().endswith(".gguf"):
        rest = [target]  # a type that there is not
    if not 1 <= len(rest) <= 2:
        wrong(given, f"{' '.join(given.arguments)!r}, expected IN [OUT] TYPE [THREADS]")
    type_ = core.file_type(rest[0])
    if type_ is None:
        known = made()
        meant = re.sub("[^A-Z0-9]", "", rest[0].upper())
        near = [name for name in known if name.replace("_", "") == meant]
        expected = near[0] if near else f"one of {' '.join(known)}"
        wrong(given, f"TYPE: {rest[0]!r}, expected {expected}")
    if type_ not in made():
        wrong(given, f"TYPE: {rest[0]!r} can be run but not made, expected one of {' '.join(made())}")
    n_threads = parsed(given, count(1, 1024), rest[1]) if len(rest) > 1 else 0
    if target is None:
        suffix = "" if given.keep_split else ".gguf"
        target = os.path.join(os.path.dirname(source), f"ggml-model-{type_}{suffix}")
    return source, target, type_, n_threads


def first_part(source: str, target: str) -> str:
    """The file of --keep-split that opens the others: as many parts as the source has."""
    prefix, suffix = os.path.splitext(target)
    return f"{prefix if suffix == '.gguf' else target}-00001-of-{len(hub.parts(source)):05}.gguf"


def parsed(given: argparse.Namespace, parse: Callable[[str], Any], text: str) -> Any:
    try:
        return parse(text)
    except argparse.ArgumentTypeError as error:
        wrong(given, str(error))


def wrong(given: argparse.Namespace, message: str) -> NoReturn:
    """A wrong command line."""
    refuse: Callable[[str], NoReturn] = given.refuse
    refuse(message)


def tensor_type(text: str) -> tuple[str, str]:
    """A pattern and a type; llama-quantize reads both in any case."""
    pattern, _, name = text.rpartition("=")
    if not pattern:
        raise argparse.ArgumentTypeError(f"{text!r}, expected REGEX=T")
    try:
        quant.compiled(pattern)
    except ArgumentError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("tensor_types: ")) from error
    return pattern.lower(), dtype(name)


def dtype(text: str) -> str:
    """A tensor type, in any case."""
    known = [name for name, *_ in core.dtypes()]
    if text.upper() not in known:
        raise argparse.ArgumentTypeError(f"{text!r}, expected one of {' '.join(known)}")
    return text.upper()


def progress(reader: Reader) -> Callable[[str, int, int], object] | None:
    """A line on the terminal that says how many bytes are through, and what comes now."""
    if not sys.stderr.isatty():
        return None
    before, total = {}, 0
    for name, tensor in reader.tensors.items():
        before[name] = total
        total += tensor.n_bytes
    line = Progress("quantizing")
    return lambda name, done, n: line(before[name], total, f"[{done + 1}/{n}] {name}")


def print_steps(steps: Any) -> None:
    width = max((len(step.name) for step in steps), default=0)
    for step in steps:
        became = "stays" if step.dtype_after == step.dtype_before else f"-> {step.dtype_after:8}"
        print(f"{step.name:{width}}  {step.dtype_before:8} {became:11} {size(step.n_bytes_after):>12}")


def print_sum(reader: Reader, source: str, target: str, steps: Any) -> None:
    """Tensors and bytes by type; sizes before and after."""
    types: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for step in steps:
        types[step.dtype_after][0] += 1
        types[step.dtype_after][1] += step.n_bytes_after
    for name, (n, n_bytes) in types.items():
        print(f"  {name:8} {n:5} tensors {size(n_bytes):>12}")
    n_weights = max(1, sum(prod(t.shape) for t in reader.tensors.values()))
    for path, n_bytes in (
        (source, sum(step.n_bytes_before for step in steps)),
        (target, sum(step.n_bytes_after for step in steps)),
    ):
        print(f"{path}: {size(n_bytes)} of weights, {8 * n_bytes / n_weights:.2f} bits each")
