"""What only a tab has: models behind JavaScript's objects and URLs, and WebGPU in blocking calls."""

import asyncio

import pytest

import puna
from puna.sources import IN_BROWSER

pytestmark = pytest.mark.skipif(not IN_BROWSER, reason="about JavaScript's objects")


def answer(source: object, **options: object) -> str:
    async def run() -> str:
        llm = await puna.Llama.aload(source, **options)
        with llm:
            return (await llm.acreate_completion("ab", max_tokens=8, temperature=0))["choices"][0]["text"]

    return asyncio.run(run())


def javascript(tiny: bytes, kind: str) -> object:
    import js
    from pyodide.ffi import to_js

    array = to_js(tiny)
    if kind == "Uint8Array":
        return array
    if kind == "ArrayBuffer":
        return array.buffer
    blob = js.Blob.new([array])
    return blob if kind == "Blob" else js.URL.createObjectURL(blob)


@pytest.mark.parametrize("kind", ["Uint8Array", "ArrayBuffer", "Blob", "URL"])
def test_javascripts_bytes_are_a_model(tiny, kind):
    assert answer(javascript(tiny, kind)) == answer(tiny)


def test_fetching_tells_how_far_it_is(tiny):
    seen: list[tuple[int, int]] = []
    answer(javascript(tiny, "URL"), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(tiny), len(tiny))


def test_fetching_can_be_stopped(tiny):
    with pytest.raises(puna.errors.Cancelled, match="cancelled after"):
        answer(javascript(tiny, "URL"), progress=lambda done, total: False)


def test_a_url_behind_which_nothing_is():
    with pytest.raises(puna.errors.FileError, match="http://localhost:1/x.gguf: cannot be fetched"):
        answer("http://localhost:1/x.gguf")


def test_a_broken_file_behind_a_url(tiny):
    with pytest.raises(puna.errors.FormatError, match="bytes"):
        answer(javascript(tiny[:5000], "Blob"))


def test_no_webgpu_is_said_by_name(tiny):
    if len(puna.devices()) > 1:
        pytest.skip("this engine has WebGPU")
    with pytest.raises(puna.errors.DeviceError, match=r"n_gpu_layers: this browser has no WebGPU"):
        answer(tiny, n_gpu_layers=-1)


def test_webgpu_is_opened_by_aload(tiny):
    with pytest.raises(
        puna.errors.ArgumentError, match=r"n_gpu_layers = -1, expected 0, or .* await puna.Llama.aload"
    ):
        puna.Llama(tiny, n_gpu_layers=-1)


def test_webgpu_can_be_waited_for_in_a_blocking_call(tiny):
    if len(puna.devices()) == 1:
        pytest.skip("this engine has no WebGPU")

    async def run() -> tuple[str, str]:
        llm = await puna.Llama.aload(tiny, n_gpu_layers=-1, n_ctx=64)
        blocking = llm.create_completion("ab", max_tokens=3, temperature=0)
        awaited = await llm.acreate_completion("ab", max_tokens=3, temperature=0)
        llm.close()
        return blocking["choices"][0]["text"], awaited["choices"][0]["text"]

    blocking, awaited = asyncio.run(run())
    assert blocking == awaited
