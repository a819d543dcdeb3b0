"""Make the golden answers of the programs in `programs/`, as llama-cpp-python gives them.

    python make_programs.py STORIES.gguf        needs llama-cpp-python, and stories260K.gguf of the test data

Each is a small program as that library's readers write it; with `puna` for `llama_cpp` in its imports it
must answer the same.
"""

import json
import os
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import llama_cpp

HERE = Path(__file__).parent
DATA = Path(os.environ.get("PUNA_DATA", HERE.parents[2] / "shared/data"))
# Other numbers each time, or another machine's.
CHANGING = ("id", "created", "model")


def settled(value: object) -> object:
    """The value without what changes, as JSON has it, its numbers shortened."""
    if isinstance(value, dict):
        return {key: settled(item) for key, item in value.items() if key not in CHANGING or item == "mine"}
    if isinstance(value, (list, tuple)):
        return [settled(item) for item in value]
    value = value.item() if hasattr(value, "item") else value  # numpy's
    return round(float(value), 5) if isinstance(value, float) else value


def main() -> None:
    model = sys.argv[1] if len(sys.argv) > 1 else str(DATA / "models/stories260K.gguf")
    lines = []
    for path in sorted((HERE / "programs").glob("*.py")):
        found = settled(SourceFileLoader(path.stem, str(path)).load_module().main(model))
        lines.append(f"{json.dumps(path.stem)}: {json.dumps(found)}")
    head = f'"made_by": "llama-cpp-python {llama_cpp.__version__}"'
    (HERE / "programs.json").write_text("{" + ",\n".join([head, *lines]) + "}\n")


if __name__ == "__main__":
    main()
