"""Collects the chat page into a folder that any static server can serve: `site.py DIST OUT`.

The folder holds the page (`web/`), its worker, Pyodide's core from npm and the wheel of DIST, all
under relative names, so that it may lie at any path of a server.
"""

import json
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYODIDE = ROOT / "tests/browser/node_modules/pyodide"
PYODIDE_FILES = [
    "pyodide.mjs",
    "pyodide.asm.mjs",
    "pyodide.asm.wasm",
    "pyodide-lock.json",
    "python_stdlib.zip",
]


def wheel_in(dist: Path) -> Path:
    wheels = sorted(dist.glob("puna-*wasm32.whl"))
    if len(wheels) != 1:
        sys.exit(f"{dist}: {len(wheels)} Pyodide wheels, expected one; run `make wasm`")
    return wheels[0]


def collect(dist: Path, out: Path) -> None:
    wheel = wheel_in(dist)
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(ROOT / "web", out, ignore=shutil.ignore_patterns("README.md"))
    shutil.copy(ROOT / "wasm/worker.js", out)
    shutil.copy(wheel, out)
    (out / "puna.json").write_text(json.dumps({"wheel": wheel.name}) + "\n", encoding="utf-8")
    (out / "pyodide").mkdir()
    for name in PYODIDE_FILES:
        shutil.copy(PYODIDE / name, out / "pyodide")


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: site.py DIST OUT")
    out = Path(sys.argv[2])
    collect(Path(sys.argv[1]), out)
    n_bytes = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{out}: {n_bytes / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
