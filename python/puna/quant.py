"""Quantizing: rows of numbers, and whole files."""

import os
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from puna._native import core
from puna.arguments import integer
from puna.errors import ArgumentError
from puna.gguf import Reader
from puna.sources import Source


def quantize(values: Any, dtype: str) -> bytes:
    """Encodes f32 (a contiguous array, or a list of numbers) as `dtype`, a tensor type such as `"Q4_K"`.

    The length must be a multiple of the type's block.
    """
    view = memoryview(array("f", values) if isinstance(values, (list, tuple)) else values)
    if view.format != "f" or not view.c_contiguous:
        raise ArgumentError(f"values: format {view.format!r}, expected contiguous f32 ('f')")
    return core.encode(view, dtype)


def dequantize(data: Any, dtype: str, n: int | None = None) -> core.Array:
    """Decodes `data`, blocks of `dtype`, as f32; `n`, where given, is the number of elements expected."""
    values = core.decode(bytes(data), dtype)
    if n is not None and len(values) != integer("n", n, 0, 2**62):
        raise ArgumentError(f"n = {n}, expected {len(values)}: the elements of {len(data)} bytes of {dtype}")
    return values


@dataclass(frozen=True)
class Step:
    """What was done to a tensor."""

    name: str
    dtype_before: str
    dtype_after: str
    n_bytes_before: int
    n_bytes_after: int


def quantize_file(
    source: Source | Reader,
    path: str | os.PathLike[str],
    type: str,
    *,
    n_threads: int = 0,
    allow_requantize: bool = False,
    leave_output_tensor: bool = False,
    pure: bool = False,
    output_tensor_type: str | None = None,
    token_embedding_type: str | None = None,
    progress: Callable[[str, int, int], object] | None = None,
) -> Sequence[Step]:
    """Writes the model `source` to `path` as a file type, such as `"Q4_K_M"`; the options are llama-quantize's.

    `progress(tensor, done, total)` is told each tensor and may answer `False` to stop; then, and on any
    error, no file is left behind.
    """
    file = source if isinstance(source, Reader) else Reader(source)
    steps = core.quantize_file(
        file._file,
        path,
        type,
        n_threads=integer("n_threads", n_threads, 0, 1024),
        allow_requantize=allow_requantize,
        leave_output_tensor=leave_output_tensor,
        pure=pure,
        output_tensor_type=output_tensor_type,
        token_embedding_type=token_embedding_type,
        progress=progress,
    )
    return [Step(*step) for step in steps]
