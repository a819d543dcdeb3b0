"""Every test of the project, stage by stage: `make test`, or `python tools/test.py STAGE...`.

A stage is a command. All of them run, even after a failure, unless what they need has failed;
the summary says how long each took and what its runner counted. Output goes to the terminal and to
build/test/<stage>.log. The exit code is 1 if anything failed.
"""

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOGS = ROOT / "build/test"
RUST = ["tools/rust.sh"]
PYTEST = [".venv/bin/python", "-m", "pytest"]
NODE = [".venv/bin/node24", "--experimental-wasm-jspi"]
RUN = [*NODE, "tests/browser/run.mjs"]
# Node and Chromium have one engine, so each runs the tests on another build of the module.
SIMD128 = ["env", "PUNA_WASM_SIMD=simd128"]


@dataclass(frozen=True)
class Stage:
    name: str
    says: str
    command: list[str]
    needs: tuple[str, ...] = ()  # stages whose failure makes this one pointless
    only_if: str = ""  # a path or pattern without which there is nothing to run


STAGES = [
    Stage("tools", "Chromium, Vulkan, npm packages, wheels", ["make", "tools"]),
    Stage("build", "the release build in .venv", ["make", "build"]),
    Stage("wasm", "the Pyodide wheel", ["make", "wasm"]),
    Stage("rust", "all crates, on software GPUs too", [*RUST, "cargo", "test", "--workspace", "--features", "wgpu", "--no-fail-fast"]),
    Stage("neon", "aarch64 kernels in qemu", [*RUST, "core-rs/cpu/test_neon.sh"], ("tools",)),
    Stage("simd128", "WebAssembly kernels", [*RUST, "core-rs/cpu/test_wasm.sh"], ("tools",)),
    Stage("python", "the package, natively", [*PYTEST, "tests/python"], ("build",)),
    Stage("wheel", "the Pyodide wheel from outside", [*PYTEST, "tests/browser"], ("tools", "wasm")),
    Stage("pyodide", "the package in Node, simd128", [*SIMD128, *RUN, "node"], ("tools", "wasm")),
    Stage("chromium", "the package in a tab, relaxed SIMD", [*RUN, "chromium"], ("tools", "wasm")),
    Stage("pages", "the pages in Chromium", [*NODE, "--test", "tests/browser/*.test.mjs"], ("tools", "wasm"),
          "tests/browser/*.test.mjs"),
]  # fmt: skip

# The closing lines of the runners: (passed, failed, skipped) patterns.
COUNTS = [
    r"test result: \w+\. (?P<passed>\d+) passed; (?P<failed>\d+) failed; (?P<skipped>\d+) ignored",  # cargo
    r"^=+ .*?\bin [\d.:]+.*=+$",  # pytest: its words are counted below
    r"^\S* ?(?P<passed>\d+) passed, (?P<failed>\d+) failed(, (?P<skipped>\d+) skipped)?$",  # our scripts
    r"^. (?:pass (?P<passed>\d+)|fail (?P<failed>\d+)|skipped (?P<skipped>\d+))$",  # node --test
]
PYTEST_WORDS = {
    "passed": "passed",
    "failed": "failed",
    "error": "failed",
    "errors": "failed",
    "skipped": "skipped",
}


def count(line: str) -> dict[str, int]:
    """What a runner's closing line counts; empty for any other line."""
    line = re.sub(r"\x1b\[[\d;]*m", "", line.rstrip())
    if re.search(COUNTS[1], line):
        words = re.findall(r"(\d+) (\w+)", line)
        return {PYTEST_WORDS[word]: int(n) for n, word in words if word in PYTEST_WORDS}
    for pattern in COUNTS:
        if match := re.search(pattern, line):
            return {key: int(n) for key, n in match.groupdict().items() if n}
    return {}


def environment() -> dict[str, str]:
    env = dict(os.environ)
    env["PYO3_BUILD_EXTENSION_MODULE"] = "1"  # puna-py is never linked to a libpython
    env["PATH"] = f"{ROOT / '.venv/bin'}:{env['PATH']}"
    env["NODE"] = env["PUNA_NODE"] = str(ROOT / ".venv/bin/node24")
    drivers = [
        *Path("/usr/share/vulkan/icd.d").glob("lvp_icd.*.json"),
        Path("/usr/lib/chromium/vk_swiftshader_icd.json"),
    ]
    if present := [str(path) for path in drivers if path.exists()]:
        env.setdefault("VK_ICD_FILENAMES", ":".join(present))
    return env


def run(stage: Stage, totals: dict[str, int]) -> int:
    """Runs a stage, adding what it counts to `totals`; returns its exit code."""
    with (
        open(LOGS / f"{stage.name}.log", "w", encoding="utf-8") as log,
        subprocess.Popen(
            stage.command, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace",
        ) as process,
    ):  # fmt: skip
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            log.write(line)
            for key, n in count(line).items():
                totals[key] = totals.get(key, 0) + n
    return process.returncode


def verdict(stage: Stage, results: dict[str, str], totals: dict[str, int]) -> str:
    if stage.only_if and not list(ROOT.glob(stage.only_if)):
        return f"skipped: no {stage.only_if}"
    if broken := [name for name in stage.needs if results.get(name, "ok") != "ok"]:
        return f"not run: {', '.join(broken)} failed"
    code = run(stage, totals)
    return "ok" if code == 0 else f"FAILED (exit {code})"


def main(wanted: list[str]) -> int:
    names = [stage.name for stage in STAGES]
    if unknown := [name for name in wanted if name not in names]:
        sys.exit(f"no stage {', '.join(unknown)}; there are: {' '.join(names)}")
    LOGS.mkdir(parents=True, exist_ok=True)
    results, rows, all_totals = {}, [], {"passed": 0, "failed": 0, "skipped": 0}
    for stage in STAGES:
        if wanted and stage.name not in wanted:
            continue
        print(f"\n── {stage.name}: {stage.says}", flush=True)
        start, totals = time.monotonic(), {}
        results[stage.name] = verdict(stage, results, totals)
        seconds = time.monotonic() - start
        counts = ", ".join(f"{totals[key]} {key}" for key in all_totals if totals.get(key))
        rows.append(f"{stage.name:10}{seconds:7.1f} s  {results[stage.name]:24}{counts}".rstrip())
        for key in all_totals:
            all_totals[key] += totals.get(key, 0)
    print("\n── summary", *rows, sep="\n")
    bad = [name for name, result in results.items() if not result.startswith(("ok", "skipped"))]
    # A stage that failed without a failing test (a build, a crash) counts as one.
    all_totals["failed"] = max(all_totals["failed"], len(bad))
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**all_totals))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
