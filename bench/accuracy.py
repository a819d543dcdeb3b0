"""How far quantized logits are from exact ones: Puna's beside llama-cpp-python's.

    .venv/bin/python bench/accuracy.py FILE.gguf...      PUNA_PEER_PYTHON names the peer's Python

Exact means: the file's weights decoded to F32 (by the `gguf` package), run by llama-cpp-python in
F32. Both engines then run the quantized file, cache in F32, on the same tokens. Prints one line a
file and exits with 1 where Puna is farther off than the peer (root mean square), or farther from the
peer than 2e-2 and than their own errors explain, or chooses another token where the exact choice is
no near tie. Both round activations to 8 bits in their own way, so two engines that are each 0.02 from
the truth are 0.03 from one another.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np

import puna

N_TOKENS = 64
MOST_APART = 2e-2

PEER = """
import sys, json, numpy as np, llama_cpp
path, out, tokens = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
llm = llama_cpp.Llama(path, n_ctx=len(tokens), logits_all=True, type_k=0, type_v=0, n_threads=2, verbose=False)
llm.eval(tokens)
np.save(out, np.array(llm.scores[:len(tokens)], np.float32))
"""


def decoded(path: Path, out: Path) -> None:
    """The same model with every tensor in F32."""
    reader = gguf.GGUFReader(path)
    arch = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(out, arch)
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key in ("general.architecture", "general.file_type"):
            continue
        kind = field.types[0]
        sub_type = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(key, field.contents(), kind, sub_type=sub_type)
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        writer.add_tensor(tensor.name, values.astype(np.float32).reshape(tensor.shape[::-1]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def peer(path: Path, tokens: list[int], scratch: Path) -> np.ndarray:
    python = os.environ.get("PUNA_PEER_PYTHON")
    if not python:
        sys.exit("PUNA_PEER_PYTHON is not set; bench/README.md says how to install the peer")
    out = scratch / "peer.npy"
    subprocess.run([python, "-c", PEER, path, out, json.dumps(tokens)], check=True)
    return np.load(out)


def ours(path: Path, tokens: list[int]) -> np.ndarray:
    options = {"logits_all": True, "type_k": "f32", "type_v": "f32"}
    with puna.Llama(path, n_ctx=len(tokens), **options) as llm:
        llm.eval(tokens)
        return np.array(np.asarray(llm.scores)[: len(tokens)], np.float32)


def check(path: Path, scratch: Path) -> bool:
    reader = gguf.GGUFReader(path)
    n_vocab = len(reader.fields["tokenizer.ggml.tokens"].data)
    rng = np.random.default_rng(1)
    tokens = [1, *map(int, rng.integers(259, n_vocab, N_TOKENS - 1))]
    exact_file = scratch / "exact.gguf"
    decoded(path, exact_file)
    exact = peer(exact_file, tokens, scratch)
    theirs, mine = peer(path, tokens, scratch), ours(path, tokens)

    def rmse(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.sqrt(np.mean((a - b) ** 2)))

    # A near tie is one that the peer's own error can turn: both logits off by as much as it is.
    near = 2 * float(np.abs(theirs - exact).max())
    top = np.sort(exact, axis=1)
    clear = top[:, -1] - top[:, -2] > near
    same = (mine.argmax(1) == exact.argmax(1))[clear].mean()
    row = {
        "rmse": rmse(mine, exact),
        "peer": rmse(theirs, exact),
        "max": float(np.abs(mine - exact).max()),
        "peer_max": float(np.abs(theirs - exact).max()),
        "apart_max": float(np.abs(mine - theirs).max()),
        "apart_rmse": rmse(mine, theirs),
    }
    explained = float(np.hypot(row["rmse"], row["peer"]))
    close = row["apart_rmse"] <= max(MOST_APART, 1.05 * explained)
    good = row["rmse"] <= row["peer"] and close and same == 1.0
    figures = "  ".join(f"{key} {value:.5f}" for key, value in row.items())
    print(
        f"{path.name:28} {figures}  same choice {same:.3f} of {clear.sum()}  {'ok' if good else 'WORSE'}",
        flush=True,
    )
    return good


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        good = [check(Path(name), Path(folder)) for name in sys.argv[1:]]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
