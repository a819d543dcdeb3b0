"""Hold the golden logits against llama.cpp: the files are right if two engines agree on them.

    python check_logits.py                 needs llama-cpp-python, numpy (see bench/README.md)

Each case is run as one batch and (decoders) token by token, with an f32 cache and without flash attention.
"""

import ctypes
import json
import sys
from pathlib import Path

import llama_cpp as L
import numpy as np

HERE = Path(__file__).parent / "logits"
# Two f32 engines that sum in different orders agree to 1e-4, or 4e-4 through 32 layers. llama.cpp's GELU is a
# table of f16: transformers with its GELU rounded likewise comes within 4e-4 of it. It also takes the tanh form
# where the model (Falcon, GPT-NeoX, BERT) has the exact one.
PLAIN, DEEP, GELU = 1e-4, 1e-3, 1e-2
TOLERANCE = {"baichuan": DEEP} | dict.fromkeys(
    "bert bloom falcon gemma2 gemma3 gpt2 gptneox phi2 starcoder2".split(), GELU
)
# What llama.cpp leaves out of these architectures: the sliding window.
LEFT_OUT = ("llama-window", "phi3")


def rows_of(path, tokens, n_batch, embeddings):
    """Logits [n_tokens, n_vocab], or last states [n_tokens, n_embd], fed `n_batch` tokens at a time."""
    model = L.llama_load_model_from_file(str(path).encode(), L.llama_model_default_params())
    params = L.llama_context_default_params()
    params.n_ctx = 64
    params.type_k = params.type_v = L.GGML_TYPE_F32
    params.flash_attn_type = L.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.embeddings, params.pooling_type = embeddings, L.LLAMA_POOLING_TYPE_NONE
    context = L.llama_new_context_with_model(model, params)
    width = L.llama_n_embd(model) if embeddings else L.llama_n_vocab(L.llama_model_get_vocab(model))
    row = L.llama_get_embeddings_ith if embeddings else L.llama_get_logits_ith
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
        rows += [np.ctypeslib.as_array(row(context, i), (width,)).copy() for i in range(len(part))]
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
        encoder = "hidden" in golden
        expected = np.array(golden["hidden" if encoder else "logits"], np.float32)
        # An encoder sees the whole text at once or not at all.
        off = [
            float(np.abs(rows_of(path, golden["tokens"], n, encoder) - expected).max())
            for n in ((64,) if encoder else (64, 1))
        ]
        left_out = path.stem in LEFT_OUT
        print(f"{path.stem:20} " + "  ".join(f"{x:.1e}" for x in off) + "  left out there" * left_out)
        failed |= not left_out and max(off) > TOLERANCE.get(path.stem.split("-")[0], PLAIN)
    return failed


if __name__ == "__main__":
    sys.exit(main())
