"""`puna bench`: tokens a second."""

import argparse
import json
import os
from math import prod
from statistics import mean, stdev
from typing import Any

import puna.bench
from puna._native import core
from puna.cli.info import size
from puna.cli.model import add_execution, add_model, load
from puna.cli.parser import count
from puna.gguf import Reader

EPILOG = """examples:
  puna bench -m model.gguf                 a prompt of 512 tokens, then 128 one by one
  puna bench -m model.gguf -p 0 -n 64 -t 2 generation alone, on two threads
  puna bench -m model.gguf --json          one JSON object on the last line
"""


def add(commands: Any) -> None:
    parser = commands.add_parser("bench", help="measure tokens a second", description=__doc__, epilog=EPILOG)
    parser.set_defaults(run=run)
    add_model(parser)
    parser.add_argument(
        "-p", "--n-prompt", type=count(0), default=512, metavar="N", help="default: 512; 0: none"
    )
    parser.add_argument(
        "-n", "--n-gen", type=count(0), default=128, metavar="N", help="default: 128; 0: none"
    )
    parser.add_argument("-r", "--repetitions", type=count(1), default=5, metavar="N", help="default: 5")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_execution(parser)


def run(given: argparse.Namespace) -> int:
    with load(given, max(given.n_prompt, given.n_gen, 1)) as llm:
        result = puna.bench.run(llm, given.n_prompt, given.n_gen, given.repetitions)
        cpu = core.cpu()
        result |= {
            "cpu": cpu["isa"],
            "threads": given.threads or cpu["threads"],
            "n_gpu_layers": given.gpu_layers,
            "load_ms": llm.load_s * 1000,
            "puna": puna.__version__,
        }
        if given.json:
            print(json.dumps(result))
        else:
            print_table(result, Reader(llm.model_path))
    return 0


def print_table(result: dict[str, Any], reader: Reader) -> None:
    """As llama-bench prints it."""
    parameters = sum(prod(t.shape) for t in reader.tensors.values())
    name = os.path.basename(result["model"])
    row = "| {:30} | {:>10} | {:>9} | {:24} | {:>8} | {:>20} |"
    print(row.format("model", "size", "params", "device", "test", "t/s"))
    print(row.format("-" * 30, "-" * 9 + ":", "-" * 8 + ":", "-" * 24, "-" * 7 + ":", "-" * 19 + ":"))
    for test, n in (("pp", result["n_prompt"]), ("tg", result["n_gen"])):
        if all_ := result[f"{test}_all"]:
            spread = stdev(all_) if len(all_) > 1 else 0.0
            speed = f"{mean(all_):.2f} ± {spread:.2f}"
            count_ = f"{parameters / 1e6:.2f} M"
            print(row.format(name, size(reader.n_bytes), count_, result["device"], f"{test}{n}", speed))
