"""The extension module: the right build is imported, and a panic in it becomes an exception."""

import sys

import pytest

from puna import _native

in_pyodide = pytest.mark.skipif(
    sys.platform != "emscripten", reason="about the two builds of the Pyodide wheel"
)


def test_the_module_has_one_name_however_it_was_found():
    import puna._core

    assert puna._core is _native.core is sys.modules["puna._core"]


def test_versions_agree():
    from importlib.metadata import version

    assert _native.core.version() == version("puna")


def test_a_panic_is_an_exception_with_its_message():
    with pytest.raises(BaseException, match="seven is not a number") as caught:
        _native.core._panic("seven is not a number")
    assert type(caught.value).__name__ == "PanicException"


def test_the_interpreter_outlives_a_thousand_panics():
    for i in range(1000):
        with pytest.raises(BaseException, match=f"^panic {i}$"):
            _native.core._panic(f"panic {i}")


def test_the_probe_is_a_small_module_with_the_relaxed_dot_product():
    code = _native.probe()
    assert code.startswith(b"\0asm\1\0\0\0")
    assert b"\xfd\x93\x02" in code
    assert len(code) < 200


@pytest.mark.parametrize(
    ("value", "written"), [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\x01"), (624485, b"\xe5\x8e\x26")]
)
def test_leb_is_webassemblys(value, written):
    assert _native.leb(value) == written


def test_an_unknown_wish_is_refused_by_name(monkeypatch):
    monkeypatch.setenv("PUNA_WASM_SIMD", "mmx")
    with pytest.raises(ImportError, match="PUNA_WASM_SIMD is 'mmx'"):
        _native.use_relaxed()


@in_pyodide
def test_the_build_is_the_one_that_the_engine_can_run():
    assert _native.core.build_info()["simd"] == ("relaxed" if _native.use_relaxed() else "simd128")


@in_pyodide
def test_the_probe_is_accepted_exactly_where_relaxed_simd_is():
    from js import Uint8Array, WebAssembly

    accepted = WebAssembly.validate(Uint8Array.new(_native.probe()))
    assert not accepted or _native.has_relaxed_simd()


@in_pyodide
def test_a_wrong_product_is_noticed(monkeypatch):
    right = _native.probe()
    at = right.rindex(b"\xfd\x0c") + 2  # the expected sums
    monkeypatch.setattr(_native, "probe", lambda: right[:at] + bytes([right[at] ^ 1]) + right[at + 1 :])
    assert not _native.has_relaxed_simd()


@in_pyodide
@pytest.mark.parametrize(("wish", "relaxed"), [("simd128", False), ("relaxed", True)])
def test_a_wish_is_followed(monkeypatch, wish, relaxed):
    monkeypatch.setenv("PUNA_WASM_SIMD", wish)
    assert _native.use_relaxed() is relaxed


@pytest.mark.skipif(sys.platform == "emscripten", reason="about native builds")
def test_a_native_build_asks_the_cpu_at_run_time():
    assert _native.core.build_info()["simd"] == "runtime"
