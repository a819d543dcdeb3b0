"""wasm/link.py: what it makes of emcc's arguments, and what it refuses."""

import importlib.util
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "wasm/link.py"
spec = importlib.util.spec_from_file_location("link", SOURCE)
link = importlib.util.module_from_spec(spec)
spec.loader.exec_module(link)

# As rustc 1.95 and maturin 1.16 write them.
ARGUMENTS = [
    *("-s", 'EXPORTED_FUNCTIONS=["_PyInit__core","_llg_new"]', "--target=wasm32-unknown-emscripten"),
    *("-fwasm-exceptions", "a.o", "libstd.rlib", "-L", "/deps", "-o", "out.wasm", "-O3", "-g0"),
    *("-sSIDE_MODULE=2", "-sWASM_BIGINT", "-sABORTING_MALLOC=0", "-Wl,--fatal-warnings", "-nodefaultlibs"),
]


def test_inputs_names_and_output_are_kept():
    inputs, names, out = link.translate(ARGUMENTS)
    assert inputs == ["a.o", "libstd.rlib", "--fatal-warnings"]
    assert names == ["PyInit__core", "llg_new"]
    assert out == "out.wasm"


def test_only_the_entry_is_exported(monkeypatch):
    monkeypatch.setenv("WASM_LD", "rust-lld -flavor wasm")
    line = link.command(*link.translate(ARGUMENTS))
    assert line[:3] == ["rust-lld", "-flavor", "wasm"]
    assert "--export=PyInit__core" in line
    assert "--export=llg_new" not in line
    assert line[-2:] == ["-o", "out.wasm"]


@pytest.mark.parametrize("argument", ["-lz", "-l", "--new-option", "code.c", "-Xlinker"])
def test_what_it_cannot_do_is_refused(argument):
    with pytest.raises(link.Refused, match="native library|not known"):
        link.translate([*ARGUMENTS, argument])


def test_a_link_without_output_is_refused():
    with pytest.raises(link.Refused, match="-o PATH"):
        link.translate(["a.o"])


def test_response_files_are_read_as_rustc_writes_them(tmp_path):
    file = tmp_path / "args"
    file.write_text("-o\nwith\\ space\\\\.wasm\n")
    assert list(link.expand(["a.o", f"@{file}"])) == ["a.o", "-o", "with space\\.wasm"]


def test_a_dependency_that_is_a_cdylib_too_becomes_an_empty_module(tmp_path, monkeypatch):
    out = tmp_path / "dep.wasm"
    monkeypatch.setattr("sys.argv", ["link.py", "a.o", "-o", str(out)])
    assert link.main() == 0
    assert out.read_bytes() == b"\0asm\1\0\0\0"
