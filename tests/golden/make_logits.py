"""Make the golden logits: tiny seeded models as GGUF F32, and what `transformers` says about them.

    python make_logits.py [CASE...]        needs torch, transformers, gguf

Every case of `CASES` becomes `logits/<case>.gguf` and `logits/<case>.json` (token ids, and one row of
logits a position). The weights are drawn so that each feature under test changes the logits by far
more than rounding: the script runs the model again with the feature ignored and refuses a case
that would not notice. `check_logits.py` holds the same files against llama.cpp, so that the
tensor order, the permutations and the metadata are proven by a second reader.
"""

import json
import math
import sys
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, LlamaConfig, LlamaForCausalLM

HERE = Path(__file__).parent / "logits"
N_VOCAB = 96
N_TOKENS = 28
# A feature that moves no logit by this much would not be noticed by a test with a tolerance of 1e-3.
MIN_EFFECT = 0.05


@dataclass
class Case:
    """`config` goes to transformers; `ignoring` is the same model by an engine that lacks the feature."""

    arch: str
    what: str
    config: dict
    ignoring: dict = field(default_factory=dict)


SMALL = dict(
    hidden_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4, head_dim=8,
    intermediate_size=48, vocab_size=N_VOCAB, max_position_embeddings=128, rms_norm_eps=1e-5,
    pad_token_id=0, bos_token_id=1, eos_token_id=2, tie_word_embeddings=False,
)  # fmt: skip
GEMMA = SMALL | dict(
    num_key_value_heads=2, query_pre_attn_scalar=8, attn_logit_softcapping=5.0, final_logit_softcapping=3.0,
    sliding_window=64, hidden_activation="gelu_pytorch_tanh", tie_word_embeddings=True, rms_norm_eps=1e-6,
)  # fmt: skip


def rope(kind="default", theta=10000.0, **more):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": theta, **more}}


CASES = {
    "llama-mha": Case("llama", "plain multi-head attention, large norm epsilon", SMALL | dict(rms_norm_eps=0.1), dict(rms_norm_eps=1e-6)),
    "llama-gqa-tied": Case(
        "llama", "4 heads share 2 K/V heads, tied embeddings, rope base 500",
        SMALL | dict(num_key_value_heads=2, tie_word_embeddings=True) | rope(theta=500.0), rope()),
    "llama-bias": Case("llama", "biases on Q, K, V, output and all of the MLP", SMALL | dict(attention_bias=True, mlp_bias=True), dict(biases=False)),
    "llama-head-dim": Case("llama", "head_dim 16 where n_embd / n_head is 8", SMALL | dict(head_dim=16, num_key_value_heads=2, num_hidden_layers=2)),
    "llama-rope-llama3": Case(
        "llama", "Llama 3.1 rope factors: kept, smoothed and divided frequencies",
        SMALL | dict(head_dim=16, num_attention_heads=2, num_key_value_heads=2)
        | rope("llama3", 100.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64),
        rope(theta=100.0)),
    "llama-rope-linear": Case("llama", "linear rope scaling by 4", SMALL | rope("linear", factor=4.0), rope()),
    "llama-rope-yarn": Case(
        "llama", "YaRN rope scaling by 4, with its attention factor",
        SMALL | dict(head_dim=16, num_attention_heads=2, num_key_value_heads=2)
        | rope("yarn", 100.0, factor=4.0, original_max_position_embeddings=32), rope(theta=100.0)),
    "gemma2-softcap": Case("gemma2", "both soft caps; the window is longer than the text", GEMMA,
                           dict(attn_logit_softcapping=None)),
    "gemma2-window": Case("gemma2", "a window of 8 on layers 0 and 2 of a 28-token text", GEMMA | dict(sliding_window=8),
                          dict(sliding_window=64)),
    "gemma2-head-dim": Case(
        "gemma2", "head_dim 16 where n_embd / n_head is 8; one K/V head; Q scaled by the head size",
        GEMMA | dict(head_dim=16, num_key_value_heads=1, query_pre_attn_scalar=16, sliding_window=8, num_hidden_layers=2),
        dict(query_pre_attn_scalar=8)),
    # GGUF has no key for query_pre_attn_scalar; llama.cpp knows the 27B model by its 46 layers.
    "gemma2-46-layers": Case(
        "gemma2", "46 layers make it the 27B model: Q scaled by n_embd / n_head, not by the head size",
        GEMMA | dict(hidden_size=8, num_hidden_layers=46, num_attention_heads=2, num_key_value_heads=1, head_dim=8,
                     intermediate_size=8, query_pre_attn_scalar=4, sliding_window=8),
        dict(query_pre_attn_scalar=8)),
}  # fmt: skip


def build(case, overrides=None):
    """The transformers model of `case`, without weights of its own yet."""
    overrides = dict(overrides or {})
    overrides.pop("biases", None)
    config_class, model_class = {
        "llama": (LlamaConfig, LlamaForCausalLM),
        "gemma2": (Gemma2Config, Gemma2ForCausalLM),
    }[case.arch]
    config = config_class(**case.config | overrides)
    config._attn_implementation = "eager"  # the only one that applies soft caps
    return model_class(config).eval()


def draw_weights(model, arch, seed):
    """Seeded weights, by name: spread enough that attention is peaked and soft caps bite."""
    rng, weights = np.random.default_rng(seed), {}
    for name, parameter in sorted(model.named_parameters()):
        shape = tuple(parameter.shape)
        x = rng.standard_normal(shape).astype(np.float32)
        if arch == "gemma2" and name.split(".")[-2] in (
            "post_attention_layernorm",
            "post_feedforward_layernorm",
        ):
            # Branches as small as the depth asks, or 46 random layers would amplify rounding.
            x = (0.2 * x + 1.0) / math.sqrt(model.config.num_hidden_layers) - 1.0  # gemma2 keeps weight - 1
        elif "norm" in name:
            x = 0.2 * x + (0.0 if arch == "gemma2" else 1.0)
        elif name.endswith("bias") or "embed_tokens" in name:
            x *= 0.5
        else:
            x *= (2.0 if "q_proj" in name or "k_proj" in name else 1.0) / math.sqrt(shape[1])
        weights[name] = torch.from_numpy(x.astype(np.float32))
    return weights


def logits_of(model, weights, tokens):
    """Logits [n_tokens, n_vocab] in f32."""
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected and all(n == "lm_head.weight" for n in missing), (missing, unexpected)
    model.tie_weights()
    with torch.no_grad():
        return model(torch.tensor([tokens]), use_cache=False).logits[0].float().numpy()


def permute(weight, n_head):
    """Rows of each head from halves (transformers) to adjacent pairs (ggml's NORM rope); biases too."""
    rows = weight.reshape(n_head, 2, weight.shape[0] // n_head // 2, *weight.shape[1:])
    return rows.swapaxes(1, 2).reshape(weight.shape)


def llama3_factors(config):
    """`rope_freqs.weight` [head_dim / 2]: what each frequency is divided by (Llama 3.1, section 3)."""
    p = config.rope_parameters
    out = []
    for i in range(0, config.head_dim, 2):
        wavelength = 2 * math.pi * p["rope_theta"] ** (i / config.head_dim)
        turns = p["original_max_position_embeddings"] / wavelength
        smooth = (turns - p["low_freq_factor"]) / (p["high_freq_factor"] - p["low_freq_factor"])
        smooth = min(max(smooth, 0.0), 1.0)
        out.append(1.0 / ((1.0 - smooth) / p["factor"] + smooth))
    return np.array(out, np.float32)


GGUF_NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip
NORM_NAMES = {
    "llama": {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"},
    "gemma2": {"input_layernorm": "attn_norm", "post_attention_layernorm": "post_attention_norm",
               "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm"},
}  # fmt: skip


def gguf_tensor(name, x, case, config):
    """A transformers parameter as llama.cpp's converter would store it: (GGUF name, f32 array)."""
    stem, _, kind = name.rpartition(".")
    block = ""
    if stem.startswith("model.layers."):
        _, _, number, stem = stem.split(".", 3)
        block = f"blk.{number}."
    x = x.numpy()
    if case.arch == "llama" and stem == "self_attn.q_proj":
        x = permute(x, config.num_attention_heads)
    elif case.arch == "llama" and stem == "self_attn.k_proj":
        x = permute(x, config.num_key_value_heads)
    elif case.arch == "gemma2" and "norm" in stem:
        x = x + 1.0
    return f"{block}{(GGUF_NAMES | NORM_NAMES[case.arch])[stem]}.{kind}", np.ascontiguousarray(x, np.float32)


def add_vocabulary(w):
    """A SentencePiece vocabulary of N_VOCAB pieces: specials, newline, then printable ASCII."""
    pieces = ["<unk>", "<s>", "</s>", "<0x0A>", "\u2581"] + [chr(c) for c in range(33, 127)]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL, gguf.TokenType.BYTE]
    w.add_tokenizer_model("llama")
    w.add_token_list(pieces[:N_VOCAB])
    w.add_token_scores([-float(i) for i in range(N_VOCAB)])
    w.add_token_types(kinds + [gguf.TokenType.NORMAL] * (N_VOCAB - len(kinds)))
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)


def add_rope(w, c):
    p = c.rope_parameters
    w.add_rope_dimension_count(c.head_dim)
    w.add_rope_freq_base(p["rope_theta"])
    if p["rope_type"] in ("linear", "yarn"):
        w.add_rope_scaling_type(gguf.RopeScalingType(p["rope_type"]))
        w.add_rope_scaling_factor(p["factor"])
    if p["rope_type"] == "yarn":
        w.add_rope_scaling_orig_ctx_len(p["original_max_position_embeddings"])
    if p["rope_type"] == "llama3":
        w.add_tensor("rope_freqs.weight", llama3_factors(c))


def write_gguf(path, case, config, weights):
    w = gguf.GGUFWriter(path, case.arch)
    w.add_name(path.stem)
    w.add_description(case.what)
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    w.add_context_length(config.max_position_embeddings)
    w.add_embedding_length(config.hidden_size)
    w.add_block_count(config.num_hidden_layers)
    w.add_feed_forward_length(config.intermediate_size)
    w.add_head_count(config.num_attention_heads)
    w.add_head_count_kv(config.num_key_value_heads)
    w.add_key_length(config.head_dim)
    w.add_value_length(config.head_dim)
    w.add_layer_norm_rms_eps(config.rms_norm_eps)
    w.add_vocab_size(N_VOCAB)
    if case.arch == "gemma2":
        w.add_attn_logit_softcapping(config.attn_logit_softcapping)
        w.add_final_logit_softcapping(config.final_logit_softcapping)
        w.add_sliding_window(config.sliding_window)
    add_rope(w, config)
    add_vocabulary(w)
    for name, x in weights.items():
        w.add_tensor(*gguf_tensor(name, x, case, config))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def effect_of_ignoring(case, weights, tokens, expected):
    """The largest change of a logit when the feature under test is left out; None without one."""
    if not case.ignoring:
        return None
    if "biases" in case.ignoring:
        weights = {n: torch.zeros_like(x) if n.endswith("bias") else x for n, x in weights.items()}
    other = logits_of(build(case, case.ignoring), weights, tokens)
    return float(np.abs(other - expected).max())


def make(name, seed):
    case = CASES[name]
    model = build(case)
    weights = draw_weights(model, case.arch, seed)
    tokens = [1] + np.random.default_rng(seed + 1000).integers(3, N_VOCAB, N_TOKENS - 1).tolist()
    expected = logits_of(model, weights, tokens)
    effect = effect_of_ignoring(case, weights, tokens, expected)
    assert effect is None or effect > MIN_EFFECT, (
        f"{name}: ignoring {case.ignoring} changes logits by only {effect}"
    )
    write_gguf(HERE / f"{name}.gguf", case, model.config, weights)
    record = {"what": case.what, "n_vocab": N_VOCAB, "tokens": tokens}
    rows = ",\n".join("[" + ",".join(f"{v:.7g}" for v in row) + "]" for row in expected)
    (HERE / f"{name}.json").write_text(json.dumps(record)[:-1] + f', "logits": [\n{rows}]}}\n')
    size = (HERE / f"{name}.gguf").stat().st_size
    print(
        f"{name:20} {size / 1000:6.0f} kB  logits {expected.min():6.2f} .. {expected.max():5.2f}  effect {effect}"
    )


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    for seed, name in enumerate(CASES):
        if not sys.argv[1:] or name in sys.argv[1:]:
            make(name, seed)
