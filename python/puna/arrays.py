"""Arrays that users give: numbers as f32, blocks as bytes."""

import array
import struct
from typing import Any

from puna.arguments import short, wrong_type
from puna.errors import ArgumentError
from puna.hooks import HAS_NUMPY

# Kinds of numbers that become f32, as `memoryview.format` names them.
FLOATS = ("f", "d", "e")
BYTES = ("B", "b", "c")

EXPECTED = "an array of f32, f64 or f16, or a list of numbers"


def view_of(name: str, value: Any, expected: str) -> memoryview:
    """The memory of an array, or of a list of numbers as f32."""
    try:
        return memoryview(array.array("f", value) if isinstance(value, (list, tuple)) else value)
    except TypeError as error:  # what is no array, or a list of other things than numbers
        raise wrong_type(name, value, expected) from error
    except OverflowError as error:  # a whole number that not even an f64 holds
        raise ArgumentError(f"{name}: {error}, expected {expected}") from error


def is_floats(view: memoryview) -> bool:
    """Whether an array is of numbers that become f32."""
    return view.format.lstrip("@=<") in FLOATS


def floats(name: str, value: Any) -> Any:
    """Numbers as a `memoryview` of f32 in C order, of which f64 and f16 are rounded; those beyond f32 become
    infinite. The shape stays, but without numpy that of an empty array is `[0]`."""
    view = view_of(name, value, EXPECTED)
    if not is_floats(view):
        raise ArgumentError(f"{name} = an array of format {view.format!r}, expected {EXPECTED}")
    if view.ndim == 0:
        raise ArgumentError(f"{name} = one number, expected {EXPECTED}")
    if view.ndim == 1 and not view.nbytes:  # the core asks for aligned memory, even of nothing
        return memoryview(array.array("f", [0]))[:0]
    if view.format == "f" and view.c_contiguous:
        return view
    if HAS_NUMPY:
        import numpy

        rounded: Any = numpy.asarray(view, dtype=numpy.single, order="C")
        return memoryview(rounded)
    n = view.nbytes // view.itemsize
    numbers = array.array("f", struct.unpack(f"<{n}{view.format[-1]}", view.tobytes()))
    return memoryview(numbers).cast("B").cast("f", list(view.shape or ())) if n else memoryview(numbers)


def blocks(name: str, value: Any) -> bytes:
    """Bytes of an array of bytes."""
    expected = "bytes, or an array of them"
    if isinstance(value, (list, tuple)):
        raise wrong_type(name, value, expected)
    view = view_of(name, value, expected)
    if view.format not in BYTES:
        raise ArgumentError(f"{name} = an array of format {short(view.format)}, expected {expected}")
    return view.tobytes()
