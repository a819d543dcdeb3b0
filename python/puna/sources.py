"""Where a model comes from: a path, bytes, a file object; in a browser also a URL or a `Blob`."""

import asyncio
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

from puna.arguments import wrong_type
from puna.errors import ArgumentError, ArgumentTypeError, UnsupportedError

IN_BROWSER = sys.platform == "emscripten"

T = TypeVar("T")


class File(Protocol):
    """What is asked of a file object."""

    def read(self, n: int, /) -> bytes: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...


Source: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | File
Progress: TypeAlias = Callable[[int, int], object]


def name_of(source: object) -> str:
    """What responses call the model: its path, or what kind of thing it is."""
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else type(source).__name__


def bundled() -> Path:
    """The tiny model that comes with the package."""
    found = sorted((Path(__file__).parent / "models").glob("*.gguf"))
    if not found:
        raise UnsupportedError(
            "this build of puna comes without a bundled model, expected one in puna/models"
        )
    return found[0]


def checked(name: str, source: object) -> Any:
    """`source`, the argument `name`, where it is something that a file is read from."""
    expected = "a path, bytes, or a file object with read and seek"
    if isinstance(source, (str, os.PathLike)):
        return source
    if isinstance(source, io.TextIOBase) or isinstance(getattr(source, "encoding", None), str):
        raise wrong_type(name, source, "a file opened in binary mode: open(path, 'rb')")
    if not (hasattr(source, "read") and hasattr(source, "seek")):
        try:
            found = memoryview(source).format  # type: ignore[arg-type]
        except TypeError as error:
            raise wrong_type(name, source, expected) from error
        if found != "B":
            raise ArgumentTypeError(f"{name} = an array of format {found!r}, expected {expected}")
    return source


async def beside_loop(call: Callable[..., T], *given: Any, **options: Any) -> T:
    """What `call` answers, worked out in a thread; in a browser tab, which has none, at once."""
    if IN_BROWSER:
        return call(*given, **options)
    return await asyncio.to_thread(call, *given, **options)


async def open_async(source: Any, progress: Progress | None) -> Any:
    """`source` as the core takes it: what must be fetched is fetched first.

    In a browser tab a URL, a `Blob`, a `File` and an `ArrayBuffer` are taken too; their bytes stay in
    JavaScript's memory and come over piece by piece, so that the weights never exist twice.
    """
    if not IN_BROWSER:
        if isinstance(source, str) and source.startswith(("http://", "https://")):
            expected = "a file; URLs are fetched in a browser tab only"
            raise ArgumentError(f"model_path = {source!r}, expected {expected}")
        return source
    from puna import browser

    return await browser.open_source(source, progress)
