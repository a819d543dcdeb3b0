"""Prompt and decode speed of llama-cpp-python on one GGUF file, one line of JSON: {"pp", "tg", "version"}.

    python peer_llamacpp.py -m FILE [-p 512] [-n 64] [-t 2] [-r 1]

The same measurement as `puna bench`: load, one run to warm up, then the best of r runs of a prompt of p
tokens in one batch, and of n tokens fed one at a time, each from an empty cache. No sampling, defaults otherwise.
"""

import argparse
import ctypes
import json
import time

import llama_cpp as L


def open_context(path, n_ctx, n_threads):
    quiet = L.llama_log_callback(lambda *_: None)
    L.llama_log_set(quiet, ctypes.c_void_p(0))
    L.llama_backend_init()
    model = L.llama_load_model_from_file(path.encode(), L.llama_model_default_params())
    if not model:
        raise SystemExit(f"llama.cpp cannot load {path}")
    params = L.llama_context_default_params()
    params.n_ctx = n_ctx
    params.n_batch = params.n_ubatch = 512
    params.n_threads = params.n_threads_batch = n_threads
    return model, L.llama_new_context_with_model(model, params)


def feed(context, tokens, n_batch):
    """Tokens a second when `tokens` go through in batches of `n_batch`."""
    array = (L.llama_token * len(tokens))(*tokens)
    start = time.perf_counter()
    for at in range(0, len(tokens), n_batch):
        part = ctypes.cast(
            ctypes.byref(array, at * ctypes.sizeof(L.llama_token)), ctypes.POINTER(L.llama_token)
        )
        if L.llama_decode(context, L.llama_batch_get_one(part, min(n_batch, len(tokens) - at))):
            raise SystemExit("llama_decode failed")
    L.llama_synchronize(context)
    return len(tokens) / (time.perf_counter() - start)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("-m", required=True)
    ap.add_argument("-p", type=int, default=512)
    ap.add_argument("-n", type=int, default=64)
    ap.add_argument("-t", type=int, default=2)
    ap.add_argument("-r", type=int, default=1)
    a = ap.parse_args()
    model, context = open_context(a.m, a.p + a.n + 64, a.t)
    n_vocab = L.llama_n_vocab(L.llama_model_get_vocab(model))
    tokens = [300 + i % (n_vocab - 300) for i in range(a.p + a.n)]
    memory = L.llama_get_memory(context)
    best = {"pp": 0.0, "tg": 0.0}
    for rep in range(a.r + 1):  # the first one warms up
        for test, part, n_batch in (
            ("pp", tokens[: a.p], 512),
            ("tg", tokens[a.p :] if rep else tokens[:4], 1),
        ):
            L.llama_memory_clear(memory, True)
            speed = feed(context, part, n_batch) if part else 0.0
            if rep:
                best[test] = max(best[test], speed)
    print(json.dumps({k: round(v, 2) for k, v in best.items()} | {"version": L.__version__}))


if __name__ == "__main__":
    main()
