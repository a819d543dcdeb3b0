"""Hold the golden logits against llama.cpp: the files are right if two engines agree on them.

    python check_logits.py                 needs llama-cpp-python, numpy (see bench/README.md)

Each case is run as one batch and token by token, with an f32 cache and without flash attention.
"""

import ctypes
import json
import sys
from pathlib import Path

import llama_cpp as L
import numpy as np

HERE = Path(__file__).parent / "logits"
# Two f32 engines that sum in different orders agree to 1e-4. llama.cpp's GELU, which Gemma uses, is a
# table of f16: transformers with its GELU rounded likewise comes within 4e-4 of it.
TOLERANCE = {"llama": 1e-4, "gemma2": 4e-3}


def logits_of(path, tokens, n_batch):
    """Logits [n_tokens, n_vocab], fed `n_batch` tokens at a time."""
    model = L.llama_load_model_from_file(str(path).encode(), L.llama_model_default_params())
    params = L.llama_context_default_params()
    params.n_ctx = 64
    params.type_k = params.type_v = L.GGML_TYPE_F32
    params.flash_attn_type = L.LLAMA_FLASH_ATTN_TYPE_DISABLED
    context = L.llama_new_context_with_model(model, params)
    n_vocab = L.llama_n_vocab(L.llama_model_get_vocab(model))
    rows = []
    for start in range(0, len(tokens), n_batch):
        part = tokens[start : start + n_batch]
        batch = L.llama_batch_init(len(part), 0, 1)
        batch.n_tokens = len(part)
        for i, token in enumerate(part):
            batch.token[i], batch.pos[i] = token, start + i
            batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = 1, 0, True
        if L.llama_decode(context, batch):
            raise RuntimeError(f"llama_decode failed on {path}")
        for i in range(len(part)):
            rows.append(np.ctypeslib.as_array(L.llama_get_logits_ith(context, i), (n_vocab,)).copy())
        L.llama_batch_free(batch)
    L.llama_free(context)
    L.llama_free_model(model)
    return np.stack(rows)


def main():
    quiet = L.llama_log_callback(lambda *_: None)
    L.llama_log_set(quiet, ctypes.c_void_p(0))
    L.llama_backend_init()
    failed = False
    for path in sorted(HERE.glob("*.gguf")):
        golden = json.loads(path.with_suffix(".json").read_text())
        expected = np.array(golden["logits"], np.float32)
        off = [float(np.abs(logits_of(path, golden["tokens"], n) - expected).max()) for n in (64, 1)]
        print(f"{path.stem:20} one batch {off[0]:.1e}   token by token {off[1]:.1e}")
        failed |= max(off) > TOLERANCE[path.stem.split("-")[0]]
    return failed


if __name__ == "__main__":
    sys.exit(main())
