"""Quantizing: rows of numbers, and whole files."""

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Never

from puna import arguments
from puna._native import core
from puna.arrays import blocks, floats
from puna.errors import ArgumentError, FormatError
from puna.gguf import DTYPES, Reader, type_of
from puna.options import threads
from puna.sources import Source


def quantize(values: Any, dtype: str) -> bytes:
    """Encodes numbers (an array of f32, or of f64 or f16 which are rounded to f32, or a list) as `dtype`, a
    tensor type such as `"Q4_K"`. The length must be a multiple of the type's block. Numbers beyond f32 become
    infinite.
    """
    return core.encode(floats("values", values), arguments.text("dtype", dtype))


def dequantize(data: Any, dtype: str, n: int | None = None) -> core.Array:
    """Decodes `data`, blocks of `dtype`, as f32; `n`, where given, is the number of elements expected."""
    found, kind = blocks("data", data), DTYPES.get(arguments.text("dtype", dtype))
    if kind is not None and len(found) % kind.block_bytes:
        expected = f"a multiple of {kind.block_bytes}: {dtype} has {kind.n_block} elements in so many bytes"
        raise FormatError(f"data = {len(found)} bytes, expected {expected}")
    values = core.decode(found, dtype)
    if n is not None and len(values) != arguments.integer("n", n, 0, 2**62):
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
    path: str | os.PathLike[str] | None,
    type: str,
    *,
    n_threads: int | None = None,
    allow_requantize: bool = False,
    leave_output_tensor: bool = False,
    pure: bool = False,
    output_tensor_type: str | None = None,
    token_embedding_type: str | None = None,
    tensor_types: Sequence[tuple[str, str]] = (),
    keep_split: bool = False,
    kv_overrides: Mapping[str, bool | int | float | str] | None = None,
    progress: Callable[[str, int, int], object] | None = None,
    **others: Never,
) -> Sequence[Step]:
    """Writes the model `source` to `path` as a file type, such as `"Q4_K_M"`, or as it is with `"COPY"`; the
    options are llama-quantize's. Without a `path` nothing is written: the steps say what would be done.

    `tensor_types` are patterns (regular expressions, found anywhere in a tensor's name) with tensor types;
    the first that fits counts, and one that fits no tensor is an error. With `keep_split` a model in parts
    stays one, and `path` is what the parts' names begin with. `kv_overrides` are metadata to change or add.
    `n_threads` = None (or 0) are as many as there are processors.

    `progress(tensor, done, total)` is told each tensor and may answer `False` to stop; then, and on any
    error, no file is left behind. A file that is read is not written over, and an option that another leaves
    without effect is an error.
    """
    arguments.refuse("quantize_file", arguments.names(quantize_file), others, {})
    file = source if isinstance(source, Reader) else Reader(source)
    overrides = arguments.mapping("kv_overrides", kv_overrides)
    steps = core.quantize_file(
        file._file,
        None if path is None else arguments.path("path", path),
        arguments.text("type", type),
        n_threads=threads("n_threads", n_threads) or 0,
        allow_requantize=arguments.flag("allow_requantize", allow_requantize),
        leave_output_tensor=arguments.flag("leave_output_tensor", leave_output_tensor),
        pure=arguments.flag("pure", pure),
        output_tensor_type=text_or_none("output_tensor_type", output_tensor_type),
        token_embedding_type=text_or_none("token_embedding_type", token_embedding_type),
        tensor_types=types_by_name(file.tensors, tensor_types),
        keep_split=arguments.flag("keep_split", keep_split),
        metadata=[(key, value, type_of(key, value)) for key, value in overrides.items()],
        progress=arguments.function("progress", progress),
    )
    return [Step(*step) for step in steps]


def types_by_name(names: Collection[str], given: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The tensors that a pattern fits, with its type; a pattern that fits none is an error."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise arguments.wrong_type("tensor_types", given, "a list of pairs of a pattern and a tensor type")
    for pair in given:
        if not isinstance(pair, (tuple, list)) or [type(item) for item in pair] != [str, str]:
            raise arguments.wrong_type(
                "tensor_types", pair, "pairs of a pattern and a tensor type, such as ('ffn', 'Q8_0')"
            )
    patterns = [(compiled(pattern), dtype) for pattern, dtype in given]
    for pattern, _ in patterns:
        if not any(map(pattern.search, names)):
            raise ArgumentError(
                f"tensor_types: {pattern.pattern!r} fits no tensor, expected a pattern of their names, such as "
                f"{next(iter(names), 'ffn_down')!r}"
            )
    found = ((name, next((t for p, t in patterns if p.search(name)), None)) for name in names)
    return [(name, dtype) for name, dtype in found if dtype is not None]


def text_or_none(name: str, value: object) -> str | None:
    """`value` as a text, or `None`."""
    return None if value is None else arguments.text(name, value)


def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern, read."""
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ArgumentError(f"tensor_types: {pattern!r}, expected a regular expression: {error}") from error
