"""Puna beside llama-cpp-python on the 1b model, in turn on the same cores: `make bench`.

    .venv/bin/python bench/bench.py [--types Q4_0,Q8_0,Q4_K_M] [--rounds 3] [-t 2] [-p 512] [-n 64] [--size 1b]

Each round times Puna, then the peer, once a type; the table shows the best round of each and their
ratio. Beside it stands the share of what the machine can do: of its int8 products for the prompt
(pp), of its read bandwidth for decoding (tg). `limits.rs` reads both before and after each
measurement, since neighbours on the same host take from them within seconds. README.md tells what
is fair about it.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import gguf
from make_model import ensure

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CACHE = ROOT / ".cache"
PUNA = Path(os.environ.get("PUNA_BIN", ROOT / ".venv/bin/puna"))
PEER = Path(os.environ.get("PUNA_PEER_PYTHON", CACHE / "peer/bin/python"))
MODELS = Path(os.environ.get("PUNA_BENCH_MODELS", CACHE / "bench"))
# What a process may hold beyond the mapped file and the K/V cache, and how soon it should answer.
MAX_EXTRA_MB = 200
MAX_FIRST_TOKEN_S = 1.0
FIRST_TOKEN_N_CTX = 512


@dataclass
class Work:
    """What one token costs: `products` for a prompt token, `read_bytes` for a decoded one."""

    products: int
    read_bytes: int
    kv_bytes: int  # f16 cache of FIRST_TOKEN_N_CTX positions


@dataclass
class Round:
    """One measurement of one engine, and what the machine could do just before and just after it."""

    speeds: dict  # {"pp", "tg"}: tokens a second
    limits: list  # the two readings of `limits.rs`; each is {} without rustc


def run_json(command):
    """The JSON object that `command` prints as its last line."""
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def cpu_name():
    if shutil.which("lscpu"):
        for line in subprocess.run(["lscpu"], stdout=subprocess.PIPE, text=True).stdout.splitlines():
            if line.startswith("Model name:"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def limit_reader(folder, threads):
    """A function that runs `limits.rs`, compiled into `folder`: {"read_gb_s", "int8_gmac_s", ...} of this second."""
    if not shutil.which("rustc"):
        print("no rustc: shares of the machine's limits are left out", file=sys.stderr)
        return dict
    program = Path(folder) / "limits"
    flags = ["--edition", "2024", "-O", "-C", "target-cpu=native"]
    subprocess.run(["rustc", *flags, str(HERE / "limits.rs"), "-o", str(program)], check=True)
    return lambda: run_json([program, threads])


def work_of(path):
    """Counted from the file's tensors: a prompt skips `output` but for its last token, both skip the embedding."""
    reader = gguf.GGUFReader(path)
    products = read_bytes = 0
    for t in reader.tensors:
        if t.name == "token_embd.weight" or len(t.shape) < 2:
            continue
        read_bytes += int(t.n_bytes)
        if t.name != "output.weight":
            products += int(t.n_elements)
    n_kv = sum(int(t.shape[1]) for t in reader.tensors if t.name.endswith(("attn_k.weight", "attn_v.weight")))
    return Work(products, read_bytes, kv_bytes=FIRST_TOKEN_N_CTX * n_kv * 2)


def engines(a):
    """Name -> the command that times one file once."""
    flags = ["-p", a.p, "-n", a.n, "-t", a.t, "-r", 1]
    found = {}
    if PUNA.exists():
        found["puna"] = lambda path: [PUNA, "bench", "-m", path, *flags, "--json"]
    else:
        print(f"no {PUNA}: build Puna first (`make`), or name it in PUNA_BIN", file=sys.stderr)
    if PEER.exists():
        found["llama-cpp-python"] = lambda path: [PEER, HERE / "peer_llamacpp.py", "-m", path, *flags]
    else:
        print(
            f"no peer at {PEER}: bench/README.md installs it in one command, or name a Python in PUNA_PEER_PYTHON",
            file=sys.stderr,
        )
    return found


def measure(kind, path, commands, n_rounds, read_limits):
    """{engine: its rounds}; a reading of the limits stands between any two measurements."""
    rounds = {engine: [] for engine in commands}
    after = read_limits()
    for _ in range(n_rounds):
        for engine, command in commands.items():
            before, measured, after = after, run_json(command(path)), read_limits()
            rounds[engine].append(Round(measured, [before, after]))
            read = [limits["read_gb_s"] for limits in (before, after) if limits]
            print(f"  {kind} {engine} {json.dumps(measured | {'read_gb_s': read})}", flush=True)
    return rounds


# Which limit a test is held against, its unit, and what one token of the test takes of it.
LIMITS = {
    "pp": ("int8_gmac_s", "GMAC/s", lambda work: work.products / 1e9),
    "tg": ("read_gb_s", "GB/s", lambda work: work.read_bytes / 1e9),
}


def share(test, rounds, work, peak):
    """The median of the rounds' shares, as text. What memory gives swings, so a round is held against the higher
    of the readings around it; the cores stay what they are, so their limit is the highest reading of all."""
    name, _, cost = LIMITS[test]
    if not peak:
        return "-"
    limits = [peak if test == "pp" else max(x[name] for x in r.limits) for r in rounds]
    shares = [r.speeds[test] * cost(work) / limit for r, limit in zip(rounds, limits)]
    return f"{100 * statistics.median(shares):.0f} %"


def print_speeds(rows, a):
    """`rows`: (type, work, {engine: [Round]})."""
    print(
        "\n| type | test | puna t/s | of limit | llama-cpp-python t/s | of limit | ratio | limit, range |\n|---|---|---|---|---|---|---|---|"
    )
    for kind, work, rounds in rows:
        sides = [rounds.get(engine, []) for engine in ("puna", "llama-cpp-python")]
        for test, n in (("pp", a.p), ("tg", a.n)):
            name, unit, _ = LIMITS[test]
            seen = [x.get(name, 0) for side in sides for r in side for x in r.limits]
            best = [max((r.speeds[test] or 0.0 for r in side), default=0.0) for side in sides]
            cells = []
            for speed, side in zip(best, sides):
                cells += [f"{speed:.1f}", share(test, side, work, max(seen))] if speed else ["-", "-"]
            cells.append(f"{best[0] / best[1]:.2f}" if all(best) else "-")
            cells.append(f"{min(seen):.0f}–{max(seen):.0f} {unit}" if any(seen) else "-")
            print(f"| {kind} | {test}{n} | " + " | ".join(cells) + " |")


def print_first_token(kind, path, work, a):
    """Time to the first token of a file in the page cache, and the memory that took."""
    with open(path, "rb") as f:  # page cache warm
        while f.read(1 << 24):
            pass
    allowed = (path.stat().st_size + work.kv_bytes) / 1e6 + MAX_EXTRA_MB
    print(
        f"\n| {kind}, mapped file | first token s (< {MAX_FIRST_TOKEN_S:g}) | import s | peak RSS MB (≤ {allowed:.0f}) |\n|---|---|---|---|"
    )
    sides = [("puna", PUNA.parent / "python"), ("llama_cpp", PEER)]
    for module, python in sides:
        if python.exists():
            runs = [
                run_json([python, HERE / "first_token.py", module, path, a.t, FIRST_TOKEN_N_CTX])
                for _ in range(a.rounds)
            ]
            first, imported, rss = (
                min(r[k] for r in runs) for k in ("first_token_s", "import_s", "peak_rss_mb")
            )
            print(f"| {module} | {first:.2f} | {imported:.2f} | {rss:.0f} |")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--types", default="Q4_0,Q8_0,Q4_K_M", help="file types, by commas")
    ap.add_argument("--size", default="1b", help="1b, 100m or tiny")
    ap.add_argument("--rounds", type=int, default=3, help="rounds of A, B; best speeds, median shares")
    ap.add_argument("-t", type=int, default=2, help="threads")
    ap.add_argument("-p", type=int, default=512, help="prompt tokens")
    ap.add_argument("-n", type=int, default=64, help="decoded tokens")
    a = ap.parse_args()
    commands = engines(a)
    if not commands:
        sys.exit("nothing to measure")
    if os.getloadavg()[0] > 0.5:
        print(
            f"load average {os.getloadavg()[0]:.1f}: others use this machine, figures are indicative",
            file=sys.stderr,
        )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        read_limits = limit_reader(folder, a.t)
        by = read_limits().get("int8_by") or "not measured here"
        print(f"{cpu_name()}, {a.t} threads of {os.cpu_count()} CPUs, int8 peak: {by}", flush=True)
        for kind in a.types.split(","):
            path = ensure(MODELS, a.size, kind)
            rows.append((kind, work_of(path), measure(kind, path, commands, a.rounds, read_limits)))
    print_speeds(rows, a)
    kind, work, *_ = rows[0]
    print_first_token(kind, ensure(MODELS, a.size, kind), work, a)


if __name__ == "__main__":
    main()
