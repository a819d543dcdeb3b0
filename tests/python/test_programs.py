"""Programs written for llama-cpp-python, with only the import changed: they answer what it answers."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

import puna

FOLDER = Path(__file__).parents[1] / "golden"
PROGRAMS = sorted((FOLDER / "programs").glob("*.py"))
GOLDEN = json.loads((FOLDER / "programs.json").read_text(encoding="utf-8"))
# Other numbers each time (tests/golden/make_programs.py).
CHANGING = ("id", "created", "model")
# Of states and log-probabilities: the same sums in another order, the cache of f32.
TOLERANCE = 1e-3


def answer(path: Path, model: Path) -> Any:
    source = path.read_text(encoding="utf-8")
    assert source.count("from llama_cpp import") == 1
    names: dict[str, Any] = {"__name__": path.stem}
    exec(compile(source.replace("from llama_cpp", "from puna"), path, "exec"), names)
    return names["main"](str(model))


def differences(found: Any, expected: Any, place: str = "") -> list[str]:
    """Where two values differ: keys, kinds, texts, and numbers by more than the tolerance."""
    if isinstance(expected, dict) and isinstance(found, dict):
        found = {k: v for k, v in found.items() if k not in CHANGING or v == "mine"}
        if [*found] != [*expected]:
            return [f"{place}: keys {[*found]}, expected {[*expected]}"]
        return [d for key in expected for d in differences(found[key], expected[key], f"{place}.{key}")]
    if isinstance(expected, list) and isinstance(found, (list, tuple)):
        if len(found) != len(expected):
            return [f"{place}: {len(found)} items, expected {len(expected)}"]
        pairs = enumerate(zip(found, expected))
        return [d for i, (x, y) in pairs for d in differences(x, y, f"{place}[{i}]")]
    if isinstance(expected, float) and isinstance(found, float):
        near = math.isclose(found, expected, abs_tol=TOLERANCE)
        return [] if near else [f"{place}: {found}, expected {expected}"]
    same = found == expected and type(found) is type(expected)
    return [] if same else [f"{place}: {found!r}, expected {expected!r}"]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_it_answers_what_llama_cpp_python_answers(path, data):
    if "scores[" in path.read_text(encoding="utf-8"):
        pytest.importorskip("numpy")
    found = answer(path, data / "models/stories260K.gguf")
    assert differences(found, GOLDEN[path.stem]) == []


def test_every_name_of_the_programs_is_there():
    for name in ("Llama", "LlamaRAMCache", "LogitsProcessorList", "StoppingCriteriaList"):
        assert hasattr(puna, name)
