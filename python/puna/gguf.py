"""GGUF files: read and write metadata and tensors.

reader = puna.gguf.Reader("model.gguf")
reader.metadata["general.architecture"]
numpy.asarray(reader.tensors["output.weight"].dequantize())
"""

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Never, Self

from puna import arguments, sources
from puna._native import core
from puna.arrays import BYTES, floats, is_floats, view_of
from puna.errors import ArgumentError, ClosedError, MissingNameError
from puna.sources import Source


@dataclass(frozen=True)
class DType:
    """A tensor type: `n_block` elements take `block_bytes`."""

    name: str
    id: int
    n_block: int
    block_bytes: int
    can_decode: bool
    can_encode: bool


DTYPES = {row[0]: DType(*row) for row in core.dtypes()}


@dataclass(frozen=True)
class Tensor:
    """A tensor of a file. `shape` is in GGUF's order: the row length comes first; numpy's is the reverse."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    n_bytes: int
    _file: core.GgufFile

    @property
    def data(self) -> core.Array:
        """Its bytes as they are in the file; not copied where the file is mapped."""
        return self._file.data(self.name)

    def dequantize(self) -> core.Array:
        """Its values as f32, in numpy's order of dimensions."""
        return self._file.dequantize(self.name)


class Tensors(dict[str, Tensor]):
    """The tensors of a file by name; the error of a name that there is not has those near to it."""

    def __missing__(self, name: str) -> Tensor:
        raise no_such("tensors", name, self)


class Metadata(Mapping[str, Any]):
    """Keys and values of a file, in its order; a value is converted when it is asked for."""

    def __init__(self, file: core.GgufFile) -> None:
        self._file = file
        self._keys = dict.fromkeys(file.keys())

    def __getitem__(self, key: str) -> Any:
        if key not in self._keys:
            raise no_such("metadata", key, self._keys)
        return self._file.value(key)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, `default` where the file has none."""
        return self._file.value(key) if key in self._keys else default

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def type(self, key: str) -> str:
        """GGUF's type of a value: `u32`, `string`, `array of f32`."""
        if key not in self._keys:
            raise no_such("metadata", key, self._keys)
        return self._file.value_type(key) or ""


class Reader:
    """An opened GGUF file; `source` is a path, bytes, or a file object. Only the header is read.

    Let go of by `close()` or at the end of `with`.
    """

    def __init__(self, source: Source, *, mmap: bool = True, **others: Never) -> None:
        arguments.refuse("Reader", arguments.names(Reader.__init__), others, {})
        file = core.GgufFile(sources.checked("source", source), mmap=arguments.flag("mmap", mmap))
        rows = ((row[0], row[1], tuple(row[2]), *row[3:]) for row in file.tensors())
        tensors = Tensors((row[0], Tensor(*row, file)) for row in rows)
        self._opened: tuple[core.GgufFile, Metadata, Tensors] | None = (file, Metadata(file), tensors)

    @property
    def metadata(self) -> Metadata:
        """Keys and values."""
        return self._parts[1]

    @property
    def tensors(self) -> "Tensors":
        """By name, in the order of the file."""
        return self._parts[2]

    @property
    def version(self) -> int:
        """Of the format: 1, 2 or 3."""
        return self._file.version

    @property
    def alignment(self) -> int:
        return self._file.alignment

    @property
    def n_bytes(self) -> int:
        """Size of the file."""
        return self._file.n_bytes

    def close(self) -> None:
        """Lets go of the file. Tensors, their arrays and metadata that are kept hold on to it; a file object
        stays open."""
        self._opened = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _file(self) -> core.GgufFile:
        return self._parts[0]

    @property
    def _parts(self) -> "tuple[core.GgufFile, Metadata, Tensors]":
        if self._opened is None:
            raise ClosedError("the file was closed, expected a Reader that is open")
        return self._opened


class Writer:
    """A GGUF file in the making. `metadata` may be that of a `Reader`, to begin with."""

    def __init__(self, metadata: Mapping[str, Any] | None = None) -> None:
        self._core = core.GgufWriter()
        if metadata is not None and not isinstance(metadata, Mapping):
            raise arguments.wrong_type("metadata", metadata, "a dict, the metadata of a Reader, or None")
        for key, value in (metadata or {}).items():
            kind = metadata.type(key) if isinstance(metadata, Metadata) else None
            self.set(key, value, kind)

    def set(self, key: str, value: object, type: str | None = None) -> Self:
        """Sets a metadata key. `type` is GGUF's, by default that of the value: bool, string, `u32` (`i32`,
        `i64`, `u64` where it must be), `f32`, or an array of one of them. Numpy's numbers and arrays of one
        dimension are taken as Python's."""
        plain = value.tolist() if hasattr(value, "tolist") else value
        kind = type_of(key, plain) if type is None else arguments.text("type", type)
        self._core.set(arguments.text("key", key), plain, kind)
        return self

    def add_tensor(
        self, name: str, data: Any, dtype: str | None = None, *, shape: Sequence[int] | None = None
    ) -> Self:
        """Adds a tensor: numbers to encode, or blocks that are encoded already.

        Numbers are an array of f32, or of f64 or f16 which are rounded to f32, or a list of them; they are
        encoded as `dtype` (by default F32); those beyond f32 become infinite. Blocks are bytes, or an array of
        them, encoded as `dtype`. `shape` is in GGUF's order, row length first; of numbers it is by default
        that of the array. Other numbers go as their bytes: `add_tensor(name, ids.tobytes(), "I32", shape=ids.shape[::-1])`.
        """
        arguments.text("name", name)
        kind = None if dtype is None else arguments.text("dtype", dtype)
        sizes = None if shape is None else sizes_of(shape)
        view = view_of(
            "data", data, "numbers (an array of f32, f64 or f16, or a flat list with shape), or bytes"
        )
        if is_floats(view):
            values = floats("data", view)
            encoded = core.encode(values, kind or "F32")
            self._core.add_tensor(name, kind or "F32", sizes or [*reversed(values.shape or ())], encoded)
        elif view.format not in BYTES:
            expected = "floating-point numbers, or their bytes (data.tobytes()) with dtype and shape"
            raise ArgumentError(
                f"add_tensor({name!r}): an array of format {view.format!r}, expected {expected}"
            )
        elif kind is None or sizes is None:
            raise ArgumentError(f"add_tensor({name!r}): bytes, expected dtype and shape with them")
        else:
            self._core.add_tensor(name, kind, sizes, view.tobytes())
        return self

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes the file beside `path`, then puts it there: nobody sees half a file."""
        self._core.write(arguments.path("path", path))

    def to_bytes(self) -> bytes:
        return self._core.to_bytes()


def no_such(what: str, name: object, known: Iterable[str]) -> MissingNameError:
    """The error of a name that a file has not."""
    names = list(known)
    near = difflib.get_close_matches(str(name), names, n=3) or names[:3]
    expected = f"expected a name of the file, such as {', '.join(near)}" if near else "the file has none"
    return MissingNameError(f"{what}[{arguments.short(name)}]: no such name, {expected}")


def sizes_of(shape: object) -> list[int]:
    """The dimensions of a tensor."""
    if isinstance(shape, str) or not isinstance(shape, Iterable):
        raise arguments.wrong_type("shape", shape, "a list of whole numbers, the row length first")
    return [arguments.integer("shape", size, 0, 2**62) for size in shape]


def type_of(key: str, value: object) -> str:
    """The GGUF type that holds `value`."""
    if isinstance(value, (list, tuple)):
        if any(isinstance(item, (list, tuple)) for item in value):
            raise arguments.wrong_type(key, value, "a list of one dimension")
        kinds = {type_of(key, item) for item in value} or {"i32"}
        if len(kinds) > 1:
            widest = [kind for kind in ("f32", "u64", "i64") if kind in kinds]
            kinds = {widest[0] if widest else "i32"}
        return f"array of {kinds.pop()}"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (str, bytes)):
        return "string"
    if isinstance(value, float):
        return "f32"
    if isinstance(value, int):
        fits = (("u32", 0, 2**32), ("i32", -(2**31), 0), ("i64", -(2**63), 0), ("u64", 0, 2**64))
        for kind, least, end in fits:
            if least <= value < end:
                return kind
        raise ArgumentError(f"{key} = {value}, expected a whole number of at most 64 bits")
    raise arguments.wrong_type(key, value, "a bool, int, float, str, bytes, or a list of them")
