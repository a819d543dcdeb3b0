"""Each architecture as llama.cpp's converter writes it: hyper-parameters, and what happens to weights.

One more architecture is one row of `ARCHS`: the class of transformers that is its oracle, the keys it has
besides `sizes`, and the re-ordering of its tensors. Names of tensors are the converter's own table, which
the `gguf` package carries.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import gguf
import numpy as np
import torch
import transformers as T

Weights = dict[str, np.ndarray]


def sizes(c) -> dict:
    """The keys that every architecture has, from a transformers configuration."""
    n_head = c.num_attention_heads
    keys = {
        "context_length": getattr(c, "max_position_embeddings", None) or getattr(c, "seq_length", 128),
        "embedding_length": c.hidden_size,
        "block_count": c.num_hidden_layers,
        "feed_forward_length": getattr(c, "intermediate_size", None) or 4 * c.hidden_size,
        "attention.head_count": n_head,
        "attention.head_count_kv": getattr(c, "num_key_value_heads", None) or n_head,
    }
    if head_dim := c.to_dict().get("head_dim"):
        keys |= {"attention.key_length": head_dim, "attention.value_length": head_dim}
    if rms_eps := getattr(c, "rms_norm_eps", None):
        keys["attention.layer_norm_rms_epsilon"] = rms_eps
    else:
        names = ("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon")
        keys["attention.layer_norm_epsilon"] = next(getattr(c, n) for n in names if hasattr(c, n))
    return keys | {"vocab_size": c.vocab_size}


def rope(c, parameters=None) -> dict:
    p = parameters or c.rope_parameters
    head_dim = c.to_dict().get("head_dim") or c.hidden_size // c.num_attention_heads
    keys = {
        "rope.dimension_count": int(head_dim * p.get("partial_rotary_factor", 1.0)),
        "rope.freq_base": p["rope_theta"],
    }
    if p["rope_type"] in ("linear", "yarn"):
        keys |= {"rope.scaling.type": p["rope_type"], "rope.scaling.factor": p["factor"]}
    if p["rope_type"] == "yarn":
        keys["rope.scaling.original_context_length"] = p["original_max_position_embeddings"]
    return keys


def permute(weight, n_head):
    """Rows of each head from halves (transformers) to adjacent pairs (ggml's NORM rope); biases too."""
    rows = weight.reshape(n_head, 2, weight.shape[0] // n_head // 2, *weight.shape[1:])
    return rows.swapaxes(1, 2).reshape(weight.shape)


def permute_qk(w: Weights, c) -> Weights:
    out = dict(w)
    for name, x in w.items():
        if ".q_proj." in name:
            out[name] = permute(x, c.num_attention_heads)
        elif ".k_proj." in name:
            out[name] = permute(x, c.num_key_value_heads)
    return out


def norms_plus_one(w: Weights, c) -> Weights:
    return {name: x + 1.0 if "norm" in name else x for name, x in w.items()}


def split_experts(w: Weights, c) -> Weights:
    """transformers keeps gate and up of all experts in one tensor; GGUF in two."""
    out = {}
    for name, x in w.items():
        if name.endswith("experts.gate_up_proj"):
            stem = name.removesuffix("gate_up_proj")
            gate, up = np.split(x, 2, axis=1)
            out |= {f"{stem}gate_proj.weight": gate, f"{stem}up_proj.weight": up}
        else:
            out[f"{name}.weight" if name.endswith("experts.down_proj") else name] = x
    return out


def per_head_qkv(w: Weights, c) -> Weights:
    """GPT-NeoX and BLOOM: from q, k, v within each head to all q, all k, all v."""

    def regroup(x):
        rows = x.reshape(c.num_attention_heads, 3, -1, *x.shape[1:])
        return rows.swapaxes(0, 1).reshape(x.shape)

    return {name: regroup(x) if "query_key_value" in name else x for name, x in w.items()}


def falcon_qkv(w: Weights, c) -> Weights:
    """From groups of (queries, one key, one value) to all queries, all keys, all values."""
    n_kv = falcon_keys(c)["attention.head_count_kv"]

    def regroup(x):
        groups = x.reshape(n_kv, c.num_attention_heads // n_kv + 2, c.head_dim, c.hidden_size)
        parts = groups[:, :-2], groups[:, -2], groups[:, -1]
        return np.concatenate([part.reshape(-1, c.hidden_size) for part in parts])

    return {name: regroup(x) if "query_key_value" in name else x for name, x in w.items()}


def transposed(w: Weights, c) -> Weights:
    """GPT-2's linears are stored [n_in, n_out]."""
    return {name: x.T if ".c_" in name and x.ndim == 2 else x for name, x in w.items()}


def stacked_head_norms(w: Weights, c) -> Weights:
    """StableLM 2 12B: a norm for each head, as one tensor [n_head, head_dim]."""
    out, heads = {}, {}
    for name, x in w.items():
        if ".norms." in name:
            heads.setdefault(name.split(".norms.")[0], {})[int(name.split(".")[-2])] = x
        else:
            out[name] = x
    # `model.layers.0.self_attn.q_layernorm` has no entry of its own in the converter's table.
    stack = {n.replace("layernorm", "norm"): np.stack([h[i] for i in sorted(h)]) for n, h in heads.items()}
    return out | {f"{n}.weight": x for n, x in stack.items()}


def fused_qkv(w: Weights, c) -> Weights:
    """q, k and v as one tensor, as the original files of ChatGLM and Nomic BERT have them."""
    out = {}
    for name, x in w.items():
        if ".q_proj." in name:
            parts = [w[name.replace("q_proj", p)] for p in ("q_proj", "k_proj", "v_proj")]
            number, kind = re.search(r"\.(\d+)\.", name)[1], name.split(".")[-1]
            out[f"blk.{number}.attn_qkv.{kind}"] = np.concatenate(parts)
        elif ".k_proj." not in name and ".v_proj." not in name:
            out[name] = x
    return out


def bloom_tensors(w: Weights, c) -> Weights:
    return {name.removeprefix("transformer."): x for name, x in per_head_qkv(w, c).items()}


def nomic_tensors(w: Weights, c) -> Weights:
    original = {"post_attention_layernorm": "norm1", "post_mlp_layernorm": "norm2"}
    out = {}
    for name, x in fused_qkv(w, c).items():
        for ours, theirs in original.items():
            if ours in name:
                name = "encoder." + name.replace(ours, theirs)
        out[name] = x
    return out


def causal_logits(model, tokens):
    return model(tokens, use_cache=False).logits[0]


def alibi_logits(model, tokens):
    """Llama with ALiBi in place of rope (Press et al. 2021, arXiv 2108.12409): what Baichuan 13B is."""
    n, n_head = tokens.shape[1], model.config.num_attention_heads
    whole = 2 ** math.floor(math.log2(n_head))
    slopes = [2.0 ** (-8.0 / whole * (h + 1)) for h in range(whole)]
    slopes += [2.0 ** (-4.0 / whole * (2 * h + 1)) for h in range(n_head - whole)]
    behind = torch.arange(n)[None, :] - torch.arange(n)[:, None]  # [query, key], 0 or less where seen
    bias = torch.tensor(slopes)[:, None, None] * behind
    mask = bias.masked_fill(behind > 0, float("-inf"))[None]
    still = torch.zeros((1, n), dtype=torch.long)  # rope at position 0 turns nothing
    return model(tokens, attention_mask=mask, position_ids=still, use_cache=False).logits[0]


def hidden_states(model, tokens):
    return model(tokens).last_hidden_state[0]


@dataclass
class Arch:
    gguf: str
    model: type
    keys: Callable = lambda c: {}
    tensors: Callable = lambda w, c: w
    run: Callable = causal_logits


def gemma2_keys(c):
    caps = {k: getattr(c, k) for k in ("attn_logit_softcapping", "final_logit_softcapping")}
    return caps | {"attention.sliding_window": c.sliding_window} | rope(c)


def falcon_keys(c):
    n_kv = c.num_kv_heads if c.new_decoder_architecture else 1
    return {"attention.head_count_kv": n_kv, "tensor_data_layout": "jploski"}


def experts(c):
    n = getattr(c, "num_experts", None) or c.num_local_experts
    return {"expert_count": n, "expert_used_count": c.num_experts_per_tok}


def phi3_keys(c):
    p = c.rope_parameters
    keys = {"rope.scaling.original_context_length": c.original_max_position_embeddings}
    keys |= rope(c) | {"attention.sliding_window": c.sliding_window or 0}
    if p["rope_type"] == "longrope":
        scale = c.max_position_embeddings / c.original_max_position_embeddings
        spread = math.sqrt(1 + math.log(scale) / math.log(c.original_max_position_embeddings))
        keys["rope.scaling.attn_factor"] = spread
    return keys


def phi3_tensors(w: Weights, c) -> Weights:
    factors = {n: c.rope_parameters.get(f"{n}_factor") for n in ("long", "short")}
    return {f"rope_factors_{n}.weight": np.array(f, np.float32) for n, f in factors.items() if f} | w


def gemma3_keys(c):
    return {"attention.sliding_window": c.sliding_window} | rope(c, c.rope_parameters["full_attention"])


def encoder_keys(c):
    return {"attention.causal": False, "pooling_type": gguf.PoolingType.MEAN.value}


def nomic_keys(c):
    return encoder_keys(c) | rope(c)


def llama3_factors(c):
    """`rope_freqs.weight` [head_dim / 2]: what each frequency is divided by (Llama 3.1, section 3)."""
    p, out = c.rope_parameters, []
    for i in range(0, c.head_dim, 2):
        wavelength = 2 * math.pi * p["rope_theta"] ** (i / c.head_dim)
        turns = p["original_max_position_embeddings"] / wavelength
        smooth = (turns - p["low_freq_factor"]) / (p["high_freq_factor"] - p["low_freq_factor"])
        smooth = min(max(smooth, 0.0), 1.0)
        out.append(1.0 / ((1.0 - smooth) / p["factor"] + smooth))
    return np.array(out, np.float32)


def llama_tensors(w: Weights, c) -> Weights:
    factors = {"rope_freqs.weight": llama3_factors(c)} if c.rope_parameters["rope_type"] == "llama3" else {}
    return factors | permute_qk(w, c)


def mixtral_tensors(w: Weights, c) -> Weights:
    return split_experts(permute_qk(w, c), c)


def without_pooler(w: Weights, c) -> Weights:
    return {name: x for name, x in w.items() if "pooler" not in name}


def parallel_keys(c):
    return rope(c) | {"use_parallel_residual": c.use_parallel_residual}


def mistral_keys(c):
    return rope(c) | {"attention.sliding_window": c.sliding_window}


def mixtral_keys(c):
    return rope(c) | experts(c)


def qwen3moe_keys(c):
    return rope(c) | experts(c) | {"expert_feed_forward_length": c.moe_intermediate_size}


ARCHS = {
    "baichuan": Arch("baichuan", T.LlamaForCausalLM, rope, permute_qk),
    "baichuan-alibi": Arch("baichuan", T.LlamaForCausalLM, rope, permute_qk, alibi_logits),
    "bert": Arch("bert", T.BertModel, encoder_keys, without_pooler, hidden_states),
    "bloom": Arch("bloom", T.BloomForCausalLM, tensors=bloom_tensors),
    "chatglm": Arch("chatglm", T.GlmForCausalLM, rope),
    "chatglm3": Arch("chatglm", T.GlmForCausalLM, rope, fused_qkv),
    "falcon": Arch("falcon", T.FalconForCausalLM, falcon_keys, falcon_qkv),
    "gemma2": Arch("gemma2", T.Gemma2ForCausalLM, gemma2_keys, norms_plus_one),
    "gemma3": Arch("gemma3", T.Gemma3ForCausalLM, gemma3_keys, norms_plus_one),
    "gpt2": Arch("gpt2", T.GPT2LMHeadModel, tensors=transposed),
    "gptneox": Arch("gptneox", T.GPTNeoXForCausalLM, parallel_keys, per_head_qkv),
    "llama": Arch("llama", T.LlamaForCausalLM, rope, llama_tensors),
    "mistral": Arch("llama", T.MistralForCausalLM, mistral_keys, permute_qk),
    "mixtral": Arch("llama", T.MixtralForCausalLM, mixtral_keys, mixtral_tensors),
    "nomic-bert": Arch("nomic-bert", T.NomicBertModel, nomic_keys, nomic_tensors, hidden_states),
    "phi2": Arch("phi2", T.PhiForCausalLM, rope),
    "phi3": Arch("phi3", T.Phi3ForCausalLM, phi3_keys, phi3_tensors),
    "qwen2": Arch("qwen2", T.Qwen2ForCausalLM, rope),
    "qwen3": Arch("qwen3", T.Qwen3ForCausalLM, rope),
    "qwen3moe": Arch("qwen3moe", T.Qwen3MoeForCausalLM, qwen3moe_keys, split_experts),
    "stablelm": Arch("stablelm", T.StableLmForCausalLM, parallel_keys, stacked_head_norms),
    "starcoder2": Arch("starcoder2", T.Starcoder2ForCausalLM, rope),
}
