"""`puna bench`: tokens a second."""

import argparse
import csv
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from math import prod
from statistics import mean, stdev
from typing import Any

import puna
import puna.bench
from puna._native import core
from puna.cli import llamacpp
from puna.cli.info import size
from puna.cli.model import add_execution, add_model, load
from puna.cli.parser import UsageError, count
from puna.cli.positional import add_file, take_file
from puna.gguf import Reader
from puna.llama import Llama

EPILOG = """examples:
  puna bench model.gguf                    pp512, a prompt of 512 tokens; tg128, 128 one by one
  puna bench -m model.gguf -p 0 -n 64 -t 2 generation alone, on two threads
  puna bench -m model.gguf -p 64,512,1024 -r 3
  puna bench -m model.gguf -o csv          or json, jsonl; llama-bench's fields
  puna bench -m model.gguf --json          one JSON object on the last line
"""

Row = dict[str, Any]


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "bench", help="measure tokens a second", usage="puna bench [FLAG ...] [FILE]", description=__doc__,
        epilog=EPILOG,
    )  # fmt: skip
    parser.set_defaults(run=run)
    add_model(parser)
    add_file(parser)
    parser.add_argument(
        "-p",
        "--n-prompt",
        type=counts,
        default=[512],
        metavar="N,...",
        help="tokens of prompts; 0: none (default: 512)",
    )
    parser.add_argument(
        "-n",
        "--n-gen",
        type=counts,
        default=[128],
        metavar="N,...",
        help="tokens generated; 0: none (default: 128)",
    )
    parser.add_argument(
        "-r", "--repetitions", type=count(1), default=5, metavar="N", help="how often each (default: 5)"
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument(
        "-o",
        "--output",
        choices=("md", "json", "jsonl", "csv"),
        default="md",
        metavar="FORMAT",
        help="md (a table, default), json, jsonl, csv",
    )
    output.add_argument("--json", action="store_true", help="print one JSON object, of the last -p and -n")
    add_execution(parser)
    parser.refuse(llamacpp.BENCH, "llama-bench")


def counts(text: str) -> list[int]:
    """Numbers with commas between."""
    return [count(0)(number) for number in text.split(",")]


def run(given: argparse.Namespace) -> int:
    take_file(given)
    asked = [given.n_prompt[-1], given.n_gen[-1]] if given.json else [*given.n_prompt, *given.n_gen]
    if not any(asked):
        raise UsageError("-p 0 and -n 0: nothing to measure, expected one of them above 0")
    with load(given, max(*given.n_prompt, *given.n_gen, 1)) as llm:
        if given.json:
            print(json.dumps(summary(given, llm)))
        else:
            writers: dict[str, Callable[[Iterator[Row]], None]] = {
                "md": write_table, "json": write_json, "jsonl": write_json_lines, "csv": write_csv,
            }  # fmt: skip
            writers[given.output](rows(given, llm))
    return 0


def summary(given: argparse.Namespace, llm: Llama) -> Row:
    cpu = core.cpu()
    return puna.bench.run(llm, given.n_prompt[-1], given.n_gen[-1], given.repetitions) | {
        "cpu": cpu["isa"],
        "threads": given.threads or cpu["threads"],
        "n_gpu_layers": given.gpu_layers,
        "load_ms": llm.load_s * 1000,
        "puna": puna.__version__,
    }


def rows(given: argparse.Namespace, llm: Llama) -> Iterator[Row]:
    """A row a test, by llama-bench's names, as soon as it is measured."""
    reader = Reader(llm.model_path)
    cpu = core.cpu()
    tests = [(n, 0) for n in given.n_prompt if n] + [(0, n) for n in given.n_gen if n]
    for n_prompt, n_gen in tests:
        began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        found = puna.bench.run(llm, n_prompt, n_gen, given.repetitions)
        speeds = found["pp_all"] or found["tg_all"]
        times = [int(1e9 * (n_prompt + n_gen) / speed) for speed in speeds]
        yield {
            "build_commit": f"puna {puna.__version__}",
            "cpu_info": cpu["isa"],
            "gpu_info": "" if llm.device.startswith("cpu") else llm.device,
            "backends": llm.device,
            "model_filename": llm.model_path,
            "model_type": os.path.basename(llm.model_path),
            "model_size": reader.n_bytes,
            "model_n_params": sum(prod(t.shape) for t in reader.tensors.values()),
            "n_batch": given.batch_size,
            "n_ubatch": given.ubatch_size or given.batch_size,
            "n_threads": given.threads or cpu["threads"],
            "type_k": given.cache_type_k,
            "type_v": given.cache_type_v,
            "n_gpu_layers": given.gpu_layers,
            "use_mmap": given.mmap,
            "n_prompt": n_prompt,
            "n_gen": n_gen,
            "n_depth": 0,
            "test_time": began,
            "avg_ns": int(mean(times)),
            "stddev_ns": int(spread(times)),
            "avg_ts": mean(speeds),
            "stddev_ts": spread(speeds),
            "samples_ns": times,
            "samples_ts": speeds,
        }


def spread(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0


def write_table(found: Iterator[Row]) -> None:
    """As llama-bench prints it."""
    line = "| {:30} | {:>10} | {:>9} | {:24} | {:>8} | {:>20} |"
    print(line.format("model", "size", "params", "device", "test", "t/s"))
    print(line.format("-" * 30, "-" * 9 + ":", "-" * 8 + ":", "-" * 24, "-" * 7 + ":", "-" * 19 + ":"))
    for row in found:
        test = f"pp{row['n_prompt']}" if row["n_prompt"] else f"tg{row['n_gen']}"
        speed = f"{row['avg_ts']:.2f} ± {row['stddev_ts']:.2f}"
        parameters = f"{row['model_n_params'] / 1e6:.2f} M"
        cells = (row["model_type"], size(row["model_size"]), parameters, row["backends"], test, speed)
        print(line.format(*cells), flush=True)


def write_json(found: Iterator[Row]) -> None:
    print(json.dumps(list(found), indent=2))


def write_json_lines(found: Iterator[Row]) -> None:
    for row in found:
        print(json.dumps(row), flush=True)


def write_csv(found: Iterator[Row]) -> None:
    writer = csv.writer(sys.stdout, quoting=csv.QUOTE_ALL, lineterminator="\n")
    for i, row in enumerate(found):
        cells = {key: value for key, value in row.items() if not key.startswith("samples_")}
        if i == 0:
            writer.writerow(cells)
        writer.writerow(cells.values())
