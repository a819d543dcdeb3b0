"""`puna info`: what is in a model file."""

import argparse
import json
from collections import defaultdict
from math import prod
from typing import Any

from puna._native import core
from puna.cli.model import add_model, path_of
from puna.cli.positional import add_file, take_file
from puna.errors import PunaError
from puna.gguf import Reader

EPILOG = """examples:
  puna info model.gguf               version, architecture, sizes, types, tokenizer
  puna info -m model.gguf --tensors  and a line for each tensor
  puna info -m model.gguf --json     the same as JSON
"""


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "info", help="say what is in a file", usage="puna info [FLAG ...] [FILE]", description=__doc__,
        epilog=EPILOG,
    )  # fmt: skip
    parser.set_defaults(run=run)
    add_model(parser)
    add_file(parser)
    parser.add_argument("--tensors", action="store_true", help="list every tensor")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(given: argparse.Namespace) -> int:
    take_file(given)
    path = path_of(given)
    facts = facts_of(path, with_tensors=given.tensors)
    if given.json:
        print(json.dumps(facts))
    else:
        print_facts(facts)
    return 0


def facts_of(path: str, *, with_tensors: bool = False) -> dict[str, Any]:
    reader = Reader(path)
    types: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for tensor in reader.tensors.values():
        types[tensor.dtype][0] += 1
        types[tensor.dtype][1] += tensor.n_bytes
    facts: dict[str, Any] = {
        "file": path,
        "n_bytes": reader.n_bytes,
        "gguf_version": reader.version,
        "n_parameters": sum(prod(t.shape) for t in reader.tensors.values()),
        "n_tensors": len(reader.tensors),
        "types": {name: {"n_tensors": n, "n_bytes": size} for name, (n, size) in types.items()},
        "model": model_facts(path),
        "metadata": {key: brief(reader, key) for key in reader.metadata},
        "chat_template": "tokenizer.chat_template" in reader.metadata,
    }
    if with_tensors:
        facts["tensors"] = [
            {"name": t.name, "type": t.dtype, "shape": list(t.shape), "n_bytes": t.n_bytes}
            for t in reader.tensors.values()
        ]
    return facts


def model_facts(path: str) -> dict[str, Any]:
    """What the engine makes of the file; its refusal, where it cannot run it."""
    try:
        return core.Model(path).hparams()
    except PunaError as error:
        return {"error": str(error)}


def brief(reader: Reader, key: str) -> Any:
    """A metadata value, or of a long one its type and size."""
    value = reader.metadata[key]
    if isinstance(value, list):
        return value if len(value) <= 8 else f"{reader.metadata.type(key)}, {len(value)} elements"
    if isinstance(value, (str, bytes)) and len(value) > 160:
        return f"{reader.metadata.type(key)}, {len(value)} characters"
    return value if not isinstance(value, bytes) else value.decode(errors="replace")


def print_facts(facts: dict[str, Any]) -> None:
    print(f"{facts['file']}: GGUF v{facts['gguf_version']}, {size(facts['n_bytes'])}")
    print(f"{facts['n_parameters']:,} parameters in {facts['n_tensors']} tensors")
    for name, of_type in facts["types"].items():
        print(f"  {name:8} {of_type['n_tensors']:5} tensors {size(of_type['n_bytes']):>12}")
    print("model")
    print_table(facts["model"])
    print("metadata")
    print_table(facts["metadata"])
    for tensor in facts.get("tensors", ()):
        shape = " x ".join(str(n) for n in tensor["shape"])
        print(f"  {tensor['name']:40} {tensor['type']:8} {shape:>20} {size(tensor['n_bytes']):>12}")


def print_table(table: dict[str, Any]) -> None:
    width = max(map(len, table), default=0)
    for key, value in table.items():
        if isinstance(value, list) and value and value.count(value[0]) == len(value):
            value = f"{value[0]} in each of {len(value)} layers" if len(value) > 1 else value[0]
        print(f"  {key:{width}}  {value}")


def size(n_bytes: int) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.2f} {unit}"
    return f"{n_bytes} B"
