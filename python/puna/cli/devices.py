"""`puna devices`: what there is to compute on."""

import argparse
import json
from dataclasses import asdict
from typing import Any

import puna

EPILOG = """examples:
  puna devices          a line each: the CPU with its instruction sets, the GPUs
  puna devices --json   the same as a JSON list
"""


def add(commands: Any) -> None:
    parser = commands.add_parser("devices", help="list CPU and GPUs", description=__doc__, epilog=EPILOG)
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print a JSON list")


def run(given: argparse.Namespace) -> int:
    found = puna.devices()
    if given.json:
        print(json.dumps([asdict(device) for device in found]))
        return 0
    for device in found:
        detail = ", ".join(f"{key} {show(value)}" for key, value in device.detail.items())
        print(f"{device.type}  {device.name}: {detail}")
    if all(device.type == "cpu" for device in found):
        print("gpu  none found")
    return 0


def show(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
