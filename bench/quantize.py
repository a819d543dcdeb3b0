"""Quantizing beside llama.cpp: seconds, and how far each file is from the one it was made of.

    python bench/quantize.py [--model 1b] [--types Q4_K_M,Q8_0] [--threads 2] [--no-error]

Each type is made by Puna, then by the peer (PUNA_PEER_PYTHON, see README.md), from the F16 model of
PUNA_BENCH_MODELS. The error is the root of the mean square over all tensors that changed, Puna's over the
peer's: 1 is the same, less is better. Types that the two chose differently are named.
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
TQ1_0 TQ2_0 MXFP4_MOE BF16""".split()

# What the peer's Python runs: source, target, type, threads.
PROGRAM = """
import sys, time, llama_cpp as L
quiet = L.llama_log_callback(lambda *_: None)
L.llama_log_set(quiet, None)
params = L.llama_model_quantize_default_params()
params.ftype, params.nthread = getattr(L, "LLAMA_FTYPE_MOSTLY_" + sys.argv[3]), int(sys.argv[4])
started = time.perf_counter()
if L.llama_model_quantize(sys.argv[1].encode(), sys.argv[2].encode(), params):
    sys.exit("llama.cpp refuses")
print(time.perf_counter() - started)
"""


def errors(source, ours, theirs):
    """The ratio of the two errors, and the tensors of which the types differ."""
    sums, differ = np.zeros(2), []
    files = [Reader(ours).tensors, Reader(theirs).tensors]
    for name, tensor in Reader(source).tensors.items():
        if len({file[name].dtype for file in files}) > 1:
            differ.append(name)
        if files[0][name].dtype != tensor.dtype:
            exact = np.asarray(tensor.dequantize(), dtype=np.float64)
            sums += [np.sum((np.asarray(file[name].dequantize()) - exact) ** 2) for file in files]
    return np.sqrt(sums[0] / sums[1]) if sums[1] else 1.0, differ


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--model", default="1b")
    ap.add_argument("--types", default=",".join(TYPES))
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--no-error", action="store_true")
    a = ap.parse_args()
    source = MODELS / f"bench{a.model}-F16.gguf"
    print("| type | Puna s | llama.cpp s | error ratio | types that differ |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder) / "ours.gguf", Path(folder) / "theirs.gguf"
        for kind in a.types.split(","):
            started = time.perf_counter()
            puna.quantize_file(source, ours, kind, n_threads=a.threads)
            seconds = time.perf_counter() - started
            command = [PEER, "-c", PROGRAM, source, theirs, kind, str(a.threads)]
            peer = float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
            ratio, differ = (float("nan"), []) if a.no_error else errors(source, ours, theirs)
            print(f"| {kind} | {seconds:.1f} | {peer:.1f} | {ratio:.4f} | {' '.join(differ)} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
