"""The Pyodide wheel in dist/, looked at from outside: what is in it, and will Pyodide link it?"""

import gzip
import re
import zipfile
from pathlib import Path

import pytest

from wasm_module import read_module

ROOT = Path(__file__).parents[2]
PYODIDE = Path(__file__).parent / "node_modules/pyodide"
NAME = "puna-0.1.0-cp314-cp314-pyemscripten_2026_0_wasm32.whl"
MODULES = ["puna/_core.cpython-314-wasm32-emscripten.so", "puna/_core_relaxed.bin"]
# What a visitor downloads: one module and the Python around it, less the bundled model.
MAX_GZIPPED_BYTES = 1_500_000
# The module needs its entry; the loader calls the other two. A fourth would be a leak of ours.
ENTRIES = {"PyInit__core", "__wasm_call_ctors", "__wasm_apply_data_relocs"}
# These the loader makes for each side module (Emscripten 5.0.3, src/lib/libdylink.js).
FROM_LOADER = {"memory", "__indirect_function_table", "__stack_pointer", "__memory_base", "__table_base"}


@pytest.fixture(scope="module")
def wheel():
    path = ROOT / "dist" / NAME
    assert path.exists(), f"{path} does not exist: make wasm"
    with zipfile.ZipFile(path) as file:
        yield file


@pytest.fixture(scope="module")
def main_module_names() -> set[str]:
    """All that Pyodide's main module can give: its wasm exports, and the words of its JavaScript."""
    exports = read_module((PYODIDE / "pyodide.asm.wasm").read_bytes()).exports
    script = (PYODIDE / "pyodide.asm.mjs").read_text(encoding="utf-8")
    return {name for name, _ in exports} | {w.removeprefix("_") for w in re.findall(r"[A-Za-z_]\w*", script)}


@pytest.mark.parametrize("name", MODULES)
def test_every_import_is_in_pyodides_main_module(wheel, main_module_names, name):
    module = read_module(wheel.read(name))
    missing = {
        f"{source}.{what}"
        for source, what, _ in module.imports
        if what not in FROM_LOADER | main_module_names
    }
    assert not missing


@pytest.mark.parametrize("name", MODULES)
def test_exports_are_the_entry_and_what_the_loader_calls(wheel, name):
    exports = {name for name, _ in read_module(wheel.read(name)).exports}
    assert "PyInit__core" in exports
    assert exports <= ENTRIES


@pytest.mark.parametrize("name", MODULES)
def test_module_begins_with_the_dynamic_linking_section(wheel, name):
    assert read_module(wheel.read(name)).first_section == "dylink.0"


@pytest.mark.parametrize("name", MODULES)
def test_a_visitor_downloads_at_most_1500_kb(wheel, name):
    python = [i.compress_size for i in wheel.infolist() if i.filename.endswith(".py")]
    n_bytes = len(gzip.compress(wheel.read(name), 9)) + sum(python)
    print(f"\n{name} and Python: {n_bytes / 1000:.0f} kB gzipped")
    assert n_bytes <= MAX_GZIPPED_BYTES


def test_wheel_holds_the_package_and_nothing_left_over(wheel):
    names = set(wheel.namelist())
    assert {name for name in names if name.endswith((".so", ".bin"))} == set(MODULES)
    package = {path.relative_to(ROOT / "python").as_posix() for path in (ROOT / "python/puna").rglob("*.py")}
    package |= {
        path.relative_to(ROOT / "python").as_posix() for path in (ROOT / "python/puna").rglob("*.gguf")
    }
    assert package <= names
    assert not [name for name in names if "__pycache__" in name]


def test_record_lists_every_file(wheel):
    record = wheel.read("puna-0.1.0.dist-info/RECORD").decode().splitlines()
    assert sorted(line.split(",")[0] for line in record) == sorted(wheel.namelist())


def test_numpy_is_not_asked_for_in_pyodide(wheel):
    metadata = wheel.read("puna-0.1.0.dist-info/METADATA").decode()
    for line in metadata.splitlines():
        if line.startswith("Requires-Dist:") and "extra ==" not in line:
            assert "sys_platform != 'emscripten'" in line.replace('"', "'")
