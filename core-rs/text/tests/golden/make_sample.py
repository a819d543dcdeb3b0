"""Runs llama.cpp's own samplers, through llama-cpp-python: the oracle for src/sample.

    python make_sample.py DATA/llamacpp/vocab/ggml-vocab-gpt-2.gguf > sample.json

Needs `pip install llama-cpp-python`. Prints a list of cases: `params` for SamplerParams, `history`
accepted before, the candidates as `ids` and `logits`, and `steps`: what is left of the candidates as
[id, probability], and which of them llama.cpp drew and accepted (null where the sampler draws none).
Samplers that draw by chance have that chance taken away (XTC at probability 1) or their draw written
down (mirostat, adaptive-p), so that no generator needs to agree.
"""

import ctypes
import json
import random
import sys

import llama_cpp as lc

SEED = 7


def texts(values: list[str]):
    return (ctypes.c_char_p * len(values))(*[v.encode() for v in values]), len(values)


def dry(vocab, multiplier, base, allowed, last_n, breakers):
    return lc.llama_sampler_init_dry(vocab, multiplier, base, allowed, last_n, *texts(breakers))


# By the name in `samplers`: llama.cpp's sampler and the parameters it takes, in order.
SAMPLERS = {
    "penalties": lambda v, *a: lc.llama_sampler_init_penalties(lc.llama_vocab_n_tokens(v), *a),
    "dry": dry,
    "top_n_sigma": lambda v, *a: lc.llama_sampler_init_top_n_sigma(*a),
    "top_k": lambda v, *a: lc.llama_sampler_init_top_k(*a),
    "typ_p": lambda v, *a: lc.llama_sampler_init_typical(*a),
    "top_p": lambda v, *a: lc.llama_sampler_init_top_p(*a),
    "min_p": lambda v, *a: lc.llama_sampler_init_min_p(*a),
    "xtc": lambda v, *a: lc.llama_sampler_init_xtc(*a, SEED),
    "temperature": lambda v, *a: lc.llama_sampler_init_temp_ext(*a),
    "infill": lambda v: lc.llama_sampler_init_infill(v),
    "adaptive_p": lambda v, *a: lc.llama_sampler_init_adaptive_p(*a, SEED),
    "mirostat1": lambda v, *a: lc.llama_sampler_init_mirostat(lc.llama_vocab_n_tokens(v), SEED, *a, 100),
    "mirostat2": lambda v, *a: lc.llama_sampler_init_mirostat_v2(SEED, *a),
}

PARAMS = {
    "penalties": ["penalty_last_n", "repeat_penalty", "frequency_penalty", "presence_penalty"],
    "dry": [
        "dry_multiplier",
        "dry_base",
        "dry_allowed_length",
        "dry_penalty_last_n",
        "dry_sequence_breakers",
    ],
    "top_n_sigma": ["top_n_sigma"],
    "top_k": ["top_k"],
    "typ_p": ["typical_p", "min_keep"],
    "top_p": ["top_p", "min_keep"],
    "min_p": ["min_p", "min_keep"],
    "xtc": ["xtc_probability", "xtc_threshold", "min_keep"],
    "temperature": ["temperature", "dynatemp_range", "dynatemp_exponent"],
    "infill": [],
    "adaptive_p": ["adaptive_target", "adaptive_decay"],
    "mirostat1": ["mirostat_tau", "mirostat_eta"],
    "mirostat2": ["mirostat_tau", "mirostat_eta"],
}


def run(vocab, name, args, ids, logits, history=(), n_steps=1, shown_from=0):
    """One case. Steps before `shown_from` are run and only their draws kept."""
    sampler = SAMPLERS[name](vocab, *args)
    for token in history:
        lc.llama_sampler_accept(sampler, token)
    steps = []
    for i in range(n_steps):
        rows = [lc.llama_token_data(i, x, 0.0) for i, x in zip(ids, logits, strict=True)]
        array = lc.llama_token_data_array((lc.llama_token_data * len(rows))(*rows), len(rows), -1, False)
        lc.llama_sampler_apply(sampler, ctypes.byref(array))
        drawn = array.data[array.selected].id if array.selected >= 0 else None
        if drawn is not None:
            lc.llama_sampler_accept(sampler, drawn)
        steps.append({"left": left(array) if i >= shown_from else None, "drawn": drawn})
    lc.llama_sampler_free(sampler)
    params = dict(zip(PARAMS[name], args, strict=True)) | {"samplers": [name.rstrip("12")]}
    if name.startswith("mirostat"):
        params["mirostat"] = int(name[-1])
    return {"params": params, "history": list(history), "ids": ids, "logits": logits, "steps": steps}


def left(array):
    dist = lc.llama_sampler_init_dist(SEED)  # sets every p by its logit
    lc.llama_sampler_apply(dist, ctypes.byref(array))
    lc.llama_sampler_free(dist)
    return sorted([array.data[i].id, float(f"{array.data[i].p:.6g}")] for i in range(array.size))


def plain_cases(vocab, rng):
    """Samplers that look at numbers only, over lists of several sizes."""
    arguments = [
        *[("penalties", [n, 1.3, 0.2, 0.5]) for n in (0, 3, 64)],
        *[("top_n_sigma", [n]) for n in (-1.0, 0.0, 0.5, 1.0, 2.0)],
        *[("top_k", [k]) for k in (-1, 0, 1, 7, 1000)],
        *[("typ_p", [p, keep]) for p in (0.0, 0.2, 0.9, 0.99, 1.0) for keep in (0, 5)],
        *[("top_p", [p, keep]) for p in (0.0, 0.3, 0.9, 1.0) for keep in (0, 4)],
        *[("min_p", [p, keep]) for p in (0.0, 0.01, 0.3, 1.5) for keep in (0, 4)],
        *[("xtc", [1.0, t, keep]) for t in (0.0, 0.05, 0.1, 0.3, 0.51) for keep in (0, 30)],
        ("xtc", [0.0, 0.01, 0]),
        *[("temperature", [t, 0.0, 1.0]) for t in (-1.0, 0.0, 0.3, 1.0, 2.5)],
        *[("temperature", [t, r, e]) for t in (0.0, 0.4, 1.5) for r in (0.5, 1.0) for e in (0.5, 2.0)],
    ]
    for size in (1, 2, 40):
        for name, args in arguments:
            ids = sorted(rng.sample(range(1000), size))
            logits = [round(rng.gauss(0, 3) * 64) / 64 for _ in ids]
            history = [rng.choice(ids) for _ in range(6)]
            yield run(vocab, name, args, ids, logits, history if name == "penalties" else ())


def learning_cases(vocab, rng):
    arguments = [
        *[(f"mirostat{v}", [tau, eta]) for v in (1, 2) for tau in (1.0, 3.0, 5.0) for eta in (0.1, 0.5)],
        *[("adaptive_p", [target, decay]) for target in (-1.0, 0.0, 0.3, 0.8) for decay in (0.0, 0.9, 1.0)],
    ]
    for name, args in arguments:
        ids = list(range(40))
        logits = [round(rng.gauss(0, 3) * 64) / 64 for _ in ids]
        yield run(vocab, name, args, ids, logits, n_steps=12, shown_from=10)


DRY_TEXTS = [
    "the cat sat on the mat. the cat sat on the",
    'He said: "Go home." She said: "Go home',
    "one two three\none two three\none two",
    "a b a b a b a b a b a b a b",
    "==> first part ==> second part ==> first part ==> second",
    "x",
]
DRY_BREAKERS = [[], ["\n", ":", '"', "*"], ["==>"], [" cat sat", ". the"]]


def dry_cases(model, vocab, rng):
    for text in DRY_TEXTS:
        history = model.tokenize(text.encode(), add_bos=False)
        ids = sorted(set(history) | set(rng.sample(range(50000), 5)))
        logits = [round(rng.gauss(0, 2) * 64) / 64 for _ in ids]
        for breakers in DRY_BREAKERS:
            for args in (
                [0.8, 1.75, 2, 64],
                [2.0, 1.1, 1, 64],
                [0.5, 1.0, 0, 9],
                [0.8, 0.9, 2, 64],
                [1.0, 4.0, 3, 0],
            ):
                yield run(vocab, "dry", [*args, breakers], ids, logits, history)


INFILL_WORDS = [
    " the",
    " then",
    " there",
    " t",
    " they",
    "\n",
    " cat",
    " c",
    " car",
    "ing",
    "in",
    " a",
    "s",
    " of",
    " on",
]


def infill_cases(model, vocab, rng):
    words = [model.tokenize(word.encode(), add_bos=False)[0] for word in INFILL_WORDS]
    for scale, end in [
        (1.0, -9.0),
        (3.0, -9.0),
        (3.0, -30.0),
        (6.0, -30.0),
        (6.0, 2.0),
        (3.0, 5.0),
        (1.0, None),
        (9.0, None),
    ]:
        for _ in range(4):
            ids = sorted(set(words) | ({model.token_eos()} if end is not None else set()))
            logits = [round(rng.gauss(0, scale) * 64) / 64 for _ in ids]
            if end is not None:
                logits[ids.index(model.token_eos())] = end
            yield run(vocab, "infill", [], ids, logits)


def main() -> None:
    model = lc.Llama(sys.argv[1], vocab_only=True, verbose=False)
    vocab = model._model.vocab
    rng = random.Random(SEED)
    cases = [
        *plain_cases(vocab, rng),
        *learning_cases(vocab, rng),
        *dry_cases(model, vocab, rng),
        *infill_cases(model, vocab, rng),
    ]
    print("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]")


if __name__ == "__main__":
    main()
