"""In a browser tab: models from URLs and Blobs, and the GPU behind WebGPU."""

import base64
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import js  # type: ignore[import-not-found]
from pyodide.code import run_js  # type: ignore[import-not-found]
from pyodide.ffi import (  # type: ignore[import-not-found]
    JsException,
    JsProxy,
    can_run_sync,
    run_sync,
    to_js,
)

from puna._native import core
from puna.errors import Cancelled, DeviceError, FileError, MissingFileError
from puna.sources import Progress

T = TypeVar("T")


class JsFile:
    """A file whose bytes lie in JavaScript's memory; closing it gives them back."""

    def __init__(self, bytes_: JsProxy, name: str) -> None:
        self._bytes: JsProxy | None = bytes_  # a Uint8Array
        self._at = 0
        self.name = name

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._at = offset if whence == 0 else self._array().length + offset
        return self._at

    def read(self, n: int, /) -> bytes:
        piece = self._array().subarray(self._at, self._at + n)
        self._at += piece.length
        data: bytes = piece.to_bytes()
        return data

    def close(self) -> None:
        self._bytes = None

    def _array(self) -> Any:
        if self._bytes is None:
            raise ValueError("the file is closed, its weights are in the model")
        return self._bytes


class BlobFile:
    """A `Blob`, of which only the range asked for is read: in a worker, or where Python can wait."""

    def __init__(self, blob: Any) -> None:
        self._blob = blob
        self._reader = js.FileReaderSync.new() if hasattr(js, "FileReaderSync") else None
        self._at = 0
        self.name = getattr(blob, "name", "blob")

    @staticmethod
    def works() -> bool:
        return hasattr(js, "FileReaderSync") or can_run_sync()

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._at = offset if whence == 0 else int(self._blob.size) + offset
        return self._at

    def read(self, n: int, /) -> bytes:
        part = self._blob.slice(self._at, self._at + n)
        buffer = self._reader.readAsArrayBuffer(part) if self._reader else run_sync(part.arrayBuffer())
        data: bytes = buffer.to_bytes()
        self._at += len(data)
        return data


async def open_source(source: Any, progress: Progress | None) -> Any:
    """A URL, `Blob`, `File`, `ArrayBuffer` or typed array as a file object; anything else as it is."""
    if isinstance(source, str) and source.startswith(("http://", "https://", "blob:", "data:")):
        return await fetch(source, progress)
    if not isinstance(source, JsProxy):
        return source
    if hasattr(source, "arrayBuffer"):
        if BlobFile.works():
            return BlobFile(source)
        buffer = await source.arrayBuffer()
        return JsFile(js.Uint8Array.new(buffer), getattr(source, "name", "blob"))
    if not hasattr(source, "buffer"):
        return JsFile(js.Uint8Array.new(source), "buffer")
    # A typed array may show a part of its buffer only.
    return JsFile(js.Uint8Array.new(source.buffer, source.byteOffset, source.byteLength), "buffer")


async def fetch(url: str, progress: Progress | None) -> JsFile:
    """The bytes behind `url`, put together in JavaScript's memory."""
    try:
        response = await js.fetch(url)
    except JsException as error:  # no such host, no network, or the other side does not allow this page
        raise FileError(f"{url}: cannot be fetched: {error}") from error
    if not response.ok:
        raise MissingFileError(
            f"{url}: the server answers {response.status} {response.statusText}, expected 200"
        )
    total = int(response.headers.get("content-length") or 0)
    if not total or response.headers.get("content-encoding"):
        return JsFile(js.Uint8Array.new(await response.arrayBuffer()), url)
    whole = js.Uint8Array.new(total)
    reader = response.body.getReader()
    done = 0
    while not (piece := await reader.read()).done:
        whole.set(piece.value, done)
        done += piece.value.length
        if progress is not None and progress(done, total) is False:
            await reader.cancel()
            raise Cancelled(f"{url}: cancelled after {done} of {total} bytes")
    if done < total:
        raise FileError(f"{url}: {done} bytes came, expected {total}")
    return JsFile(whole, url)


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """What `work` answers. Waits for the GPU in a call that blocks, where the engine can switch stacks (JSPI)."""
    if not can_run_sync():
        work.close()
        raise DeviceError(
            "this tab cannot wait for WebGPU in a blocking call (no JSPI here); await the async twin instead: "
            "acreate_completion, acreate_chat_completion, aeval"
        )
    found: T = run_sync(work)
    return found


def has_webgpu() -> bool:
    return getattr(getattr(js, "navigator", None), "gpu", None) is not None


class Gpu:
    """A WebGPU device as the core drives it: each verb handed to `webgpu.js`.

    A host serves one executor; `ready` is awaited whenever a reading is not there yet.
    """

    def __init__(self, module: Any, device: Any) -> None:
        self._host = module.createHost(device)
        self.name: str = self._host.name
        info = getattr(device, "adapterInfo", None)  # which older browsers have not
        self.is_software = getattr(info, "isFallbackAdapter", False) is True
        self.max_binding = int(self._host.limits.max_binding)
        self.max_buffer = int(self._host.limits.max_buffer)

    def create(self, program: str) -> None:
        self._host.create(program)

    def write(self, buffer: int, offset: int, data: bytes) -> None:
        self._host.write(buffer, offset, to_js(data))

    def submit(self, list_: int, grids: bytes) -> None:
        self._host.submit(list_, js.Uint32Array.new(to_js(grids).buffer))

    def read(self, buffer: int, offset: int, n_bytes: int) -> bytes | None:
        found = self._host.read(buffer, offset, n_bytes)
        # JavaScript's null is neither None nor a proxy.
        return found.to_bytes() if isinstance(found, JsProxy) else None

    async def ready(self) -> None:
        """The readings asked for have come; the first thing that went wrong is an error."""
        try:
            await self._host.ready()
        except JsException as error:
            opened.clear()  # whatever it was, the next model gets a device that is checked again
            raise DeviceError(str(error)) from error

    def close(self) -> None:
        """Frees the buffers; the device stays for the next model."""
        self._host.close()


# The tab's device, once it is open and checked: `webgpu.js` and the GPUDevice.
opened: list[Any] = []


async def open_gpu() -> Gpu:
    """A host on the tab's GPU, whose arithmetic has been checked (once: compiling its shaders takes time)."""
    if not opened:
        opened[:] = await open_device()
    return Gpu(*opened)


async def open_device() -> tuple[Any, Any]:
    if not has_webgpu():
        raise DeviceError(
            "n_gpu_layers: this browser has no WebGPU (navigator.gpu), expected n_gpu_layers = 0"
        )
    code = (Path(__file__).parent / "webgpu.js").read_bytes()
    # A data: URL is what both browsers and Node import; a blob: URL is not.
    load = run_js("(url) => import(url)")
    module = await load("data:text/javascript;base64," + base64.b64encode(code).decode())
    try:
        device = await module.openDevice()
    except JsException as error:
        raise DeviceError(f"n_gpu_layers: {error}") from error
    probe = Gpu(module, device)
    check = core.GpuCheck(probe)
    while not check.poll():
        await probe.ready()
    probe.close()
    return module, device
