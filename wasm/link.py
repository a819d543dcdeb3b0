#!/usr/bin/env python3
"""Stands in for emcc when rustc links a Pyodide side module: calls a plain wasm linker as emcc would.

A side module of pure Rust takes no library and no start file from Emscripten: everything it needs
from C is an import that Pyodide's main module provides. What is left of emcc is the translation of
its arguments, below. What could mean a native library, or something new in rustc or maturin, stops
the build: tests/browser/test_wheel.py then need not guess why an import is missing.

The linker is $WASM_LD, by default `wasm-ld` (LLD 20 or newer).
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

# What emcc 5.0.3 passes for -sSIDE_MODULE=2 (its tools/building.py and tools/link.py).
SIDE_MODULE = (
    "-shared --experimental-pic --unresolved-symbols=import-dynamic --no-export-dynamic "
    "--no-stack-first --no-entry --import-memory --gc-sections --export=__wasm_call_ctors "
    "--compress-relocations"
).split()
# Without the names a module is 8 % smaller after gzip than with --strip-debug alone.
STRIP = ["--strip-all"]
# Options of the compiler driver with no meaning for a linker: optimisation, debug information,
# code generation, target, and search folders (nothing may be searched for: -l is refused).
IGNORED = re.compile(r"-(O.|g\d?|f[a-z-]+(=.*)?|m[a-z0-9-]+|nodefaultlibs|nostdlib|-target=.*|L.+|B.+)")


class Refused(Exception):
    """An argument that this linker cannot or may not carry out."""


def expand(args: list[str]) -> Iterator[str]:
    """Replaces each `@file` by its arguments: one a line, backslash escapes, as rustc writes it."""
    for arg in args:
        if arg.startswith("@"):
            with open(arg[1:], encoding="utf-8") as file:
                yield from (re.sub(r"\\(.)", r"\1", line) for line in file.read().splitlines() if line)
        else:
            yield arg


def exported(setting: str) -> list[str]:
    """The names in `EXPORTED_FUNCTIONS=["_PyInit_x"]`, each less the underscore that means C."""
    key, _, value = setting.partition("=")
    if key != "EXPORTED_FUNCTIONS":
        return []  # every other setting concerns emcc's own JavaScript
    return [name.removeprefix("_") for name in re.findall(r"[^\[\]\",\s]+", value)]


def translate(args: list[str]) -> tuple[list[str], list[str], str]:
    """emcc's arguments as (linker inputs, exported names, output path)."""
    inputs, names, out = [], [], ""
    rest = iter(args)
    for arg in rest:
        if arg == "-o":
            out = next(rest)
        elif arg == "-s":
            names += exported(next(rest))
        elif re.match(r"-s[A-Z]", arg):
            names += exported(arg[2:])
        elif arg.startswith("-Wl,"):
            inputs += [word for word in arg[4:].split(",") if word]
        elif arg in ("-L", "-B"):
            next(rest)
        elif arg.startswith("-l"):
            raise Refused(f"native library {arg}: a Pyodide wheel of ours has no C dependency")
        elif arg.endswith((".o", ".rlib", ".a")) and not arg.startswith("-"):
            inputs.append(arg)
        elif not IGNORED.fullmatch(arg):
            raise Refused(f"argument {arg!r} is not known")
    if not out:
        raise Refused("no output file: -o PATH is missing")
    return inputs, names, out


def command(inputs: list[str], names: list[str], out: str) -> list[str]:
    """The linker's command line. Only the module's entry is exported: dependencies may define C
    functions of their own (llguidance has fifty), which an export would keep alive."""
    linker = shlex.split(os.environ.get("WASM_LD", "wasm-ld"))
    entries = [f"--export={name}" for name in names if name.startswith("PyInit_")]
    return [*linker, *SIDE_MODULE, *STRIP, *entries, *inputs, "-o", out]


def main() -> int:
    try:
        inputs, names, out = translate(list(expand(sys.argv[1:])))
    except Refused as why:
        print(f"wasm/link.py: {why}", file=sys.stderr)
        return 1
    if any(name.startswith("PyInit_") for name in names):
        return subprocess.call(command(inputs, names, out))
    # A dependency that is also a cdylib (llguidance): cargo links it too and nobody loads it.
    with open(out, "wb") as file:
        file.write(b"\0asm\1\0\0\0")
    return 0


if __name__ == "__main__":
    sys.exit(main())
