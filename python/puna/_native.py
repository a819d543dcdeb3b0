"""Finds the extension module: `from puna._native import core`.

Natively that is `puna._core`. The Pyodide wheel has two builds of it, and an engine without relaxed
SIMD refuses the faster one whole. So the engine is given a small module first: does it accept the
relaxed dot product, and is the product right? (V8's baseline compiler once computed it wrongly.)
Whichever build is chosen, `puna._core` is its name from then on.

`PUNA_WASM_SIMD=simd128` or `=relaxed` takes one of them unasked; tests use it.
"""

import importlib
import os
import struct
import sys
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from types import ModuleType
from typing import TYPE_CHECKING

CORE = "puna._core"
# Not `.so`, which Pyodide would compile while it loads the wheel, wanted or not.
RELAXED_FILE = "_core_relaxed.bin"


def probe() -> bytes:
    """A WebAssembly module whose function `f` returns 1 if one relaxed dot product is right.

    The product is that of the kernels: signed bytes, extremes included, by bytes of 0 to 127, in
    groups of four, added to 32-bit sums.
    """
    signed = [-128, 127, -1, 0, 127, -128, 5, -77, -128, -128, -128, -128, 127, 127, 127, 127]
    small = [127, 127, 63, 9, 0, 1, 127, 126, 127, 127, 127, 127, 127, 127, 127, 127]
    start = [0, -1, 1000, -100_000]
    dots = [
        sum(a * b for a, b in zip(signed[i : i + 4], small[i : i + 4], strict=True)) for i in range(0, 16, 4)
    ]
    right = [a + b for a, b in zip(start, dots, strict=True)]

    const = b"\xfd\x0c"
    body = b"".join(
        (
            b"\0",  # no locals
            const + struct.pack("16b", *signed),
            const + struct.pack("16b", *small),
            const + struct.pack("<4i", *start),
            b"\xfd\x93\x02",  # i32x4.relaxed_dot_i8x16_i7x16_add_s
            const + struct.pack("<4i", *right),
            b"\xfd\x37\xfd\xa3\x01\x0b",  # i32x4.eq, i32x4.all_true, end
        )
    )
    return b"".join(
        (
            b"\0asm\1\0\0\0",
            section(1, b"\x01\x60\0\x01\x7f"),  # one type: () -> i32
            section(3, b"\x01\0"),  # one function of it
            section(7, b"\x01\x01f\0\0"),  # exported as f
            section(10, b"\x01" + leb(len(body)) + body),
        )
    )


def section(number: int, content: bytes) -> bytes:
    return bytes([number]) + leb(len(content)) + content


def leb(value: int) -> bytes:
    """An unsigned integer as WebAssembly writes it: seven bits a byte, lowest first."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def has_relaxed_simd() -> bool:
    """Whether this engine accepts relaxed SIMD and computes it correctly."""
    from js import Uint8Array, WebAssembly  # type: ignore[import-not-found]

    code = Uint8Array.new(probe())
    if not WebAssembly.validate(code):
        return False
    return bool(WebAssembly.Instance.new(WebAssembly.Module.new(code)).exports.f() == 1)


def use_relaxed() -> bool:
    wanted = os.environ.get("PUNA_WASM_SIMD", "")
    if wanted not in ("", "simd128", "relaxed"):
        raise ImportError(f"PUNA_WASM_SIMD is {wanted!r}; expected 'simd128', 'relaxed' or nothing")
    return wanted == "relaxed" if wanted else has_relaxed_simd()


def load() -> ModuleType:
    path = os.path.join(os.path.dirname(__file__), RELAXED_FILE)
    if sys.platform != "emscripten" or CORE in sys.modules or not os.path.exists(path) or not use_relaxed():
        return importlib.import_module(CORE)
    loader = ExtensionFileLoader(CORE, path)
    spec = spec_from_loader(CORE, loader)
    module = module_from_spec(spec)
    sys.modules[CORE] = module
    sys.modules[__package__]._core = module  # as the import system does, for `puna._core`
    loader.exec_module(module)
    return module


if TYPE_CHECKING:
    from puna import _core

    core = _core
else:
    core = load()
