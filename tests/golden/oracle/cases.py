"""The models whose logits are golden: what each is there for, and its configuration."""

from dataclasses import dataclass, field


@dataclass
class Case:
    """`config` goes to transformers; `ignoring` is the same model by an engine that lacks the feature."""

    arch: str
    what: str
    config: dict
    ignoring: dict = field(default_factory=dict)


def rope(kind="default", theta=10000.0, **more):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": theta, **more}}


TOKENS = dict(pad_token_id=0, bos_token_id=1, eos_token_id=2)
SMALL = dict(
    hidden_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4, head_dim=8,
    intermediate_size=48, vocab_size=96, max_position_embeddings=128, rms_norm_eps=1e-5,
    tie_word_embeddings=False,
) | TOKENS  # fmt: skip
GEMMA = SMALL | dict(
    num_key_value_heads=2, query_pre_attn_scalar=8, attn_logit_softcapping=5.0, final_logit_softcapping=3.0,
    sliding_window=64, hidden_activation="gelu_pytorch_tanh", tie_word_embeddings=True, rms_norm_eps=1e-6,
)  # fmt: skip
# Three heads of 8, or six of 4 that share two keys and values: head counts are no powers of two.
ODD = dict(
    hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=32, vocab_size=48,
    max_position_embeddings=64, tie_word_embeddings=False,
) | TOKENS  # fmt: skip
# Models whose MLP is four times as wide as they are.
FOURFOLD = {key: value for key, value in ODD.items() if key != "intermediate_size"}
GROUPED = ODD | dict(num_attention_heads=6, num_key_value_heads=2)
GEMMA3 = GROUPED | dict(
    hidden_size=12, num_attention_heads=3, num_key_value_heads=1, head_dim=4, num_hidden_layers=7, sliding_window=8,
    intermediate_size=16, query_pre_attn_scalar=4, tie_word_embeddings=True,
)  # fmt: skip


def gemma3_rope(**more):
    full = {"rope_type": "default", "rope_theta": 100.0} | more
    return {
        "rope_parameters": {
            "full_attention": full,
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
        }
    }


def longrope(original, longest):
    return dict(original_max_position_embeddings=original, max_position_embeddings=longest) | rope(
        "longrope", partial_rotary_factor=0.5, original_max_position_embeddings=original, short_factor=[1.0, 1.7], long_factor=[1.5, 9.0])  # fmt: skip


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
    "qwen2": Case("qwen2", "biases on Q, K and V alone, grouped heads, tied embeddings", GROUPED | dict(tie_word_embeddings=True) | rope(theta=1000.0), dict(biases=False)),
    "llama-window": Case("mistral", "Mistral 7B v0.1: every layer sees 8 tokens", GROUPED | dict(sliding_window=8), dict(sliding_window=64)),
    "qwen3": Case("qwen3", "a norm of each head of Q and K, heads wider than n_embd / n_head", ODD | dict(hidden_size=20, head_dim=10, num_key_value_heads=1)),
    "mixtral": Case("mixtral", "5 experts of which 2 speak, their weights summing to 1", ODD | dict(num_key_value_heads=1, num_local_experts=5, num_experts_per_tok=2, intermediate_size=16), dict(num_experts_per_tok=1)),
    "qwen3moe": Case(
        "qwen3moe", "5 experts of which 3 speak, narrower than the unused dense width; norms of heads",
        GROUPED | dict(head_dim=6, num_experts=5, num_experts_per_tok=3, moe_intermediate_size=12, norm_topk_prob=True, mlp_only_layers=[], decoder_sparse_step=1),
        dict(norm_topk_prob=False)),
    "gemma3": Case(
        "gemma3", "5 local layers with a window of 8 and rope base 10,000 to a global one with its own base, scaled by 4",
        GEMMA3 | gemma3_rope(rope_type="linear", factor=4.0), gemma3_rope()),
    # As with Gemma 2, the layer count stands for query_pre_attn_scalar.
    "gemma3-62-layers": Case(
        "gemma3", "62 layers make it the 27B model: Q scaled by n_embd / n_head, not by the head size",
        GEMMA3 | gemma3_rope() | dict(hidden_size=4, num_hidden_layers=62, num_attention_heads=2, intermediate_size=4, query_pre_attn_scalar=2),
        dict(query_pre_attn_scalar=4)),
    "phi3": Case("phi3", "fused QKV, gate and up in one tensor, a window of 8", GROUPED | dict(sliding_window=8, original_max_position_embeddings=64) | rope(), dict(sliding_window=None)),
    "phi3-longrope-short": Case(
        "phi3", "rope factors for texts of up to 512 tokens, an attention factor, half of each head rotated",
        ODD | dict(sliding_window=None) | longrope(512, 1024), rope(partial_rotary_factor=0.5)),
    "phi3-longrope-long": Case(
        "phi3", "rope factors for texts of more than 16 tokens", ODD | dict(sliding_window=None) | longrope(16, 64), longrope(64, 256)),
    "phi2": Case("phi2", "attention and MLP side by side behind one layer norm, half of each head rotated, biases everywhere", ODD | rope(partial_rotary_factor=0.5), rope(partial_rotary_factor=1.0)),
    "gpt2": Case("gpt2", "learned positions, layer norms with bias, tied embeddings", FOURFOLD | dict(tie_word_embeddings=True)),
    "gptneox": Case("gptneox", "attention and MLP side by side, each with its norm; a quarter of each head rotated; exact GELU", ODD | rope(partial_rotary_factor=0.25), dict(use_parallel_residual=False)),
    "gptneox-sequential": Case("gptneox", "use_parallel_residual false", ODD | dict(use_parallel_residual=False) | rope(partial_rotary_factor=0.5), dict(use_parallel_residual=True)),
    "falcon": Case("falcon", "Falcon 7B: one K/V head, one norm for attention and MLP, exact GELU", FOURFOLD | dict(tie_word_embeddings=True)),
    "falcon-two-norms": Case("falcon", "Falcon 40B: 2 K/V heads, a norm each for attention and MLP", FOURFOLD | dict(num_attention_heads=6, num_kv_heads=2, new_decoder_architecture=True)),
    "starcoder2": Case("starcoder2", "layer norms and biases everywhere, plain GELU MLP, grouped heads, tied embeddings", GROUPED | dict(tie_word_embeddings=True, sliding_window=None), dict(biases=False)),
    "stablelm": Case("stablelm", "layer norms, a quarter of each head rotated, biases on Q, K and V", ODD | dict(num_key_value_heads=1, use_qkv_bias=True) | rope(partial_rotary_factor=0.25), dict(biases=False)),
    "stablelm-parallel": Case(
        "stablelm", "StableLM 2 12B: attention and MLP side by side behind one norm, each head of Q and K with its own norm",
        GROUPED | dict(use_parallel_residual=True, qk_layernorm=True) | rope(partial_rotary_factor=0.5), rope(partial_rotary_factor=1.0)),
    # llama.cpp knows the two Baichuans by their layers: 32 turn, 40 have ALiBi.
    "baichuan-7b": Case("baichuan", "32 layers: rope", ODD | dict(hidden_size=8, num_attention_heads=2, num_key_value_heads=2, num_hidden_layers=32, intermediate_size=8)),
    "baichuan-13b": Case("baichuan-alibi", "40 layers: ALiBi on three heads", ODD | dict(hidden_size=6, num_key_value_heads=3, num_hidden_layers=40, intermediate_size=6)),
    "bloom": Case("bloom", "ALiBi on three heads, a norm of the embeddings, tied embeddings", FOURFOLD | dict(tie_word_embeddings=True)),
    "chatglm": Case("chatglm", "GLM-4: half of each head rotated in neighbours, gate and up in one tensor, biases on Q, K and V", GROUPED | dict(head_dim=4, attention_bias=True) | rope(partial_rotary_factor=0.5), rope(partial_rotary_factor=1.0)),
    "chatglm3": Case("chatglm3", "ChatGLM 3: the same with fused QKV", GROUPED | dict(head_dim=4, attention_bias=True) | rope(theta=500.0, partial_rotary_factor=0.5), dict(biases=False)),
    "bert": Case("bert", "an encoder: every token sees every other, learned positions, norms behind the sums, exact GELU", ODD),
    "nomic-bert": Case("nomic-bert", "an encoder with rope, SwiGLU and no biases but those of its norms", ODD | dict(head_dim=8) | rope(theta=1000.0), rope()),
}  # fmt: skip
