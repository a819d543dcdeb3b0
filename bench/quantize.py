"""Quantizing beside llama.cpp: how far each file is from the one it was made of, and seconds.

    python bench/quantize.py [--model 1b] [--types Q4_K_M,Q8_0] [--threads 2] [--rounds 1] [--pure] [--no-error]

Each type is made by Puna and by the peer (PUNA_PEER_PYTHON, see README.md) in turn, from the F16 model of
PUNA_BENCH_MODELS, into TMPDIR; the seconds are the least of all rounds. The error is the root of the mean
square of what the weights differ by, over all tensors that either changed, divided by that of the weights
themselves: 0.01 is one percent. Ratios are Puna's over the peer's: 1 is the same, less is better. Types
that the two chose differently are named. --pure gives every matrix the type itself, as MXFP4_MOE needs, which
is Q8_0 where there are no experts.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import puna
from puna.gguf import Reader

HERE = Path(__file__).parent
PEER = os.environ.get("PUNA_PEER_PYTHON", HERE.parent / ".cache/peer/bin/python")
MODELS = Path(os.environ.get("PUNA_BENCH_MODELS", HERE.parent / ".cache/bench"))
TYPES = """Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K IQ4_NL IQ4_XS
TQ1_0 TQ2_0 MXFP4_MOE BF16 F16""".split()
ROWS = 4096  # compared at a time, so that the copies in f64 stay small

# What the peer's Python runs: source, target, type, threads, pure.
PROGRAM = """
import sys, time, llama_cpp as L
quiet = L.llama_log_callback(lambda *_: None)
L.llama_log_set(quiet, None)
params = L.llama_model_quantize_default_params()
params.ftype, params.nthread = getattr(L, "LLAMA_FTYPE_MOSTLY_" + sys.argv[3]), int(sys.argv[4])
params.pure = bool(int(sys.argv[5]))
started = time.perf_counter()
if L.llama_model_quantize(sys.argv[1].encode(), sys.argv[2].encode(), params):
    sys.exit("llama.cpp refuses")
print(time.perf_counter() - started)
"""


def errors(source, ours, theirs):
    """Each file's relative error, and the tensors of which the types differ."""
    squares, total, differ = np.zeros(2), 0.0, []
    files = [Reader(ours).tensors, Reader(theirs).tensors]
    for name, tensor in Reader(source).tensors.items():
        kinds = {file[name].dtype for file in files}
        if len(kinds) > 1:
            differ.append(name)
        if kinds != {tensor.dtype}:
            arrays = [np.asarray(t.dequantize()) for t in (tensor, *(file[name] for file in files))]
            for first in range(0, len(arrays[0]), ROWS):
                exact, *made = (a[first : first + ROWS].astype(np.float64) for a in arrays)
                squares += [np.sum((rows - exact) ** 2) for rows in made]
                total += np.sum(exact**2)
    return np.sqrt(squares / total) if total else squares, differ


def ours_seconds(source, target, kind, a):
    started = time.perf_counter()
    puna.quantize_file(source, target, kind, n_threads=a.threads, pure=a.pure)
    return time.perf_counter() - started


def peer_seconds(source, target, kind, a):
    command = [PEER, "-c", PROGRAM, source, target, kind, str(a.threads), str(int(a.pure))]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def timed(make, source, target, kind, a):
    """Seconds of one file, made when nothing of the one before is left to write."""
    target.unlink(missing_ok=True)
    os.sync()
    return make(source, target, kind, a)


def row(kind, source, folder, a):
    """One line of the table."""
    ours, theirs = folder / "ours.gguf", folder / "theirs.gguf"
    pairs = [(ours_seconds, ours), (peer_seconds, theirs)]
    rounds = [[timed(make, source, file, kind, a) for make, file in pairs] for _ in range(a.rounds)]
    seconds = np.min(rounds, axis=0)
    off, differ = (np.full(2, np.nan), []) if a.no_error else errors(source, ours, theirs)
    error = off[0] / off[1] if off[1] else 1.0
    time_ratio = seconds[0] / seconds[1]
    return (
        f"| {kind} | {off[0]:.6f} | {off[1]:.6f} | {error:.4f} | {seconds[0]:.1f} | {seconds[1]:.1f} | "
        f"{time_ratio:.2f} | {' '.join(differ)} |"
    )


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--model", default="1b")
    ap.add_argument("--types", default=",".join(TYPES))
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--rounds", type=int, default=1)
    ap.add_argument("--pure", action="store_true")
    ap.add_argument("--no-error", action="store_true")
    a = ap.parse_args()
    source = MODELS / f"bench{a.model}-F16.gguf"
    print("| type | error | llama.cpp's | ratio | s | llama.cpp's | ratio | types that differ |")
    print("|---|---|---|---|---|---|---|---|")
    for kind in a.types.split(","):
        with tempfile.TemporaryDirectory() as folder:
            print(row(kind, source, Path(folder), a), flush=True)


if __name__ == "__main__":
    sys.exit(main())
