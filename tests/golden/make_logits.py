"""Make the golden logits: tiny seeded models as GGUF F32, and what `transformers` says about them.

    python make_logits.py [CASE...]        needs torch, transformers, gguf

Every case of `oracle/cases.py` becomes `logits/<case>.gguf` and `logits/<case>.json` (token ids, and one row
of logits a position, or of the last state where the model is an encoder). The weights are drawn so that
each feature under test changes the logits by far more than rounding: the script runs the model again with
the feature ignored and refuses a case that would not notice. `check_logits.py` holds the same files against
llama.cpp, so that the tensor order, the permutations and the metadata are proven by a second reader.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from oracle.archs import ARCHS, hidden_states
from oracle.cases import CASES
from oracle.file import write

HERE = Path(__file__).parent / "logits"
N_TOKENS = 28
# A feature that moves no logit by this much would not be noticed by a test with a tolerance of 1e-3.
MIN_EFFECT = 0.05


def build(case, overrides=None):
    """The transformers model of `case`, without weights of its own yet."""
    overrides = dict(overrides or {})
    overrides.pop("biases", None)
    model_class = ARCHS[case.arch].model
    config = model_class.config_class(**case.config | overrides)
    config._attn_implementation = "eager"  # the only one that applies soft caps
    return model_class(config).eval()


def spread(name, x, arch, n_layer):
    """`x` of unit variance made a weight: attention is peaked, soft caps bite, norms are near 1."""
    gemma = arch.startswith("gemma")  # Gemma keeps the weights of norms minus 1
    if gemma and name.split(".")[-2] in ("post_attention_layernorm", "post_feedforward_layernorm"):
        # Branches as small as the depth asks, or 46 random layers would amplify rounding.
        return (0.2 * x + 1.0) / math.sqrt(n_layer) - 1.0
    if name.endswith("bias"):
        return x * 0.5
    if "norm" in name.lower() or ".ln_" in name:
        return 0.2 * x + (0.0 if gemma else 1.0)
    if any(word in name for word in ("embed", ".wte.", ".wpe.")):
        return x * 0.5
    n_in = x.shape[0] if arch == "gpt2" else x.shape[-1]
    peaked = ("q_proj", "k_proj", ".query.", ".key.", "mlp.gate.weight")
    return x * ((2.0 if any(word in name for word in peaked) else 1.0) / math.sqrt(n_in))


def draw_weights(model, arch, seed):
    """Seeded weights, by name."""
    rng, weights = np.random.default_rng(seed), {}
    for name, parameter in sorted(model.named_parameters()):
        x = rng.standard_normal(tuple(parameter.shape)).astype(np.float32)
        weights[name] = spread(name, x, arch, model.config.num_hidden_layers).astype(np.float32)
    return weights


def rows_of(arch, model, weights, tokens):
    """Logits [n_tokens, n_vocab], or last states [n_tokens, n_embd], in f32."""
    tensors = {name: torch.from_numpy(x) for name, x in weights.items()}
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert not unexpected and all(n == "lm_head.weight" for n in missing), (missing, unexpected)
    model.tie_weights()
    with torch.no_grad():
        return ARCHS[arch].run(model, torch.tensor([tokens])).float().numpy()


def effect_of_ignoring(case, weights, tokens, expected):
    """The largest change of a logit when the feature under test is left out; None without one."""
    if not case.ignoring:
        return None
    if "biases" in case.ignoring:
        weights = {n: np.zeros_like(x) if n.endswith("bias") else x for n, x in weights.items()}
    other = rows_of(case.arch, build(case, case.ignoring), weights, tokens)
    return float(np.abs(other - expected).max())


def make(name, seed):
    case = CASES[name]
    arch, model = ARCHS[case.arch], build(case)
    weights, n_vocab = draw_weights(model, case.arch, seed), case.config["vocab_size"]
    tokens = [1] + np.random.default_rng(seed + 1000).integers(3, n_vocab, N_TOKENS - 1).tolist()
    expected = rows_of(case.arch, model, weights, tokens)
    effect = effect_of_ignoring(case, weights, tokens, expected)
    assert effect is None or effect > MIN_EFFECT, (
        f"{name}: ignoring {case.ignoring} changes logits by only {effect}"
    )
    write(HERE / f"{name}.gguf", case.what, arch, model.config, weights)
    record = {"what": case.what, "n_vocab": n_vocab, "tokens": tokens}
    rows = ",\n".join("[" + ",".join(f"{v:.7g}" for v in row) + "]" for row in expected)
    key = "hidden" if arch.run is hidden_states else "logits"
    (HERE / f"{name}.json").write_text(json.dumps(record)[:-1] + f', "{key}": [\n{rows}]}}\n')
    size = (HERE / f"{name}.gguf").stat().st_size
    print(
        f"{name:20} {size / 1000:6.0f} kB  {key} {expected.min():6.2f} .. {expected.max():5.2f}  effect {effect}"
    )


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    HERE.mkdir(exist_ok=True)
    for seed, name in enumerate(CASES):
        if not sys.argv[1:] or name in sys.argv[1:]:
            make(name, seed)
