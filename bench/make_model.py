"""Write random-weight Llama models of real shapes as GGUF, in the types that are timed.

    python make_model.py FOLDER 1b|100m|tiny TYPE...       TYPE: F16 Q4_0 Q8_0 Q6_K Q4_K_M

needs numpy and gguf. Quantized blocks are drawn as random bytes with scales that give each weight a
spread of 1/sqrt(n_in), so nothing is quantized and a 1b model takes seconds. Speed does not depend on
the weights' values as long as they stay finite. The mix of types follows llama.cpp's `quantize`.
"""

import string
import sys
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import LlamaFileType as F

import puna


@dataclass
class Shape:
    n_embd: int
    n_layer: int
    n_ff: int
    n_head: int
    n_head_kv: int
    n_vocab: int
    n_ctx: int


SHAPES = {
    "1b": Shape(2048, 16, 8192, 32, 8, 32000, 4096),
    "100m": Shape(768, 12, 2048, 12, 4, 32000, 4096),
    "tiny": Shape(256, 4, 768, 8, 4, 1024, 1024),
}
# File type: its id, the type of most tensors, the type of `output` and of the tensors it favours.
FILES = {
    "F16": (F.MOSTLY_F16, T.F16, T.F16),
    "Q4_0": (F.MOSTLY_Q4_0, T.Q4_0, T.Q6_K),
    "Q8_0": (F.MOSTLY_Q8_0, T.Q8_0, T.Q8_0),
    "Q6_K": (F.MOSTLY_Q6_K, T.Q6_K, T.Q6_K),
    "Q4_K_M": (F.MOSTLY_Q4_K_M, T.Q4_K, T.Q6_K),
}
N_SPECIAL = 3 + 256  # <unk>, <s>, </s>, then the bytes
# Spread of a weight for a scale of 1 when its quants (and 6-bit scales) are uniform.
SPREAD = {T.Q4_0: 4.6, T.Q8_0: 74.0, T.Q6_K: 18.5 * 66, T.Q4_K: 258.0}


def random_rows(rng, kind, n_out, n_in):
    """`n_out` rows of `n_in` weights of type `kind`, as the bytes of the file [n_out, bytes a row]."""
    if kind == T.F16:
        return (rng.standard_normal((n_out, n_in), np.float32) / np.sqrt(n_in)).astype(np.float16)
    block, n_bytes = gguf.GGML_QUANT_SIZES[kind]
    blocks = np.frombuffer(rng.bytes(n_out * n_in // block * n_bytes), np.uint8).reshape(-1, n_bytes).copy()
    d = np.full(len(blocks), 1 / np.sqrt(n_in) / SPREAD[kind], np.float16).view(np.uint8).reshape(-1, 2)
    if kind == T.Q6_K:
        blocks[:, 192:208] = 32 + blocks[:, 192:208] % 68  # ql 128, qh 64, then int8 scales of 32 … 99
        blocks[:, 208:210] = d
    else:
        blocks[:, 0:2] = d
    if kind == T.Q4_K:  # dmin: what the mean quant, 7.5, must be lowered by
        blocks[:, 2:4] = (d.view(np.float16) * np.float16(7.5)).view(np.uint8)
    return blocks.reshape(n_out, -1)


def favoured(name, layer, n_layer):
    """llama.cpp gives V and the down projection of these layers the better type in the _M mixes."""
    use_more_bits = layer < n_layer // 8 or layer >= 7 * n_layer // 8 or (layer - n_layer // 8) % 3 == 2
    return use_more_bits and name in ("attn_v", "ffn_down")


def tensors(s, size_type, out_type, mixed):
    """(name, type, n_out, n_in) of every matrix."""
    n_kv = s.n_embd // s.n_head * s.n_head_kv
    yield "token_embd", size_type, s.n_vocab, s.n_embd
    yield "output", out_type, s.n_vocab, s.n_embd
    layer_shapes = {
        "attn_q": (s.n_embd, s.n_embd),
        "attn_k": (n_kv, s.n_embd),
        "attn_v": (n_kv, s.n_embd),
        "attn_output": (s.n_embd, s.n_embd),
        "ffn_gate": (s.n_ff, s.n_embd),
        "ffn_up": (s.n_ff, s.n_embd),
        "ffn_down": (s.n_embd, s.n_ff),
    }
    for i in range(s.n_layer):
        for name, (n_out, n_in) in layer_shapes.items():
            better = mixed and favoured(name, i, s.n_layer)
            yield f"blk.{i}.{name}", out_type if better else size_type, n_out, n_in


def add_vocabulary(w, n_vocab):
    """SentencePiece pieces in which every word of one or two letters, with its space, is one token."""
    letters = string.ascii_lowercase
    words = ["".join(p) for n in (1, 2) for p in product(letters, repeat=n)]
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
    pieces += ["\u2581"] + words[:26] + ["\u2581" + x for x in words] + words[26:]
    longer = ("".join(p) for n in (3, 4) for p in product(letters, repeat=n))
    pieces = (pieces + list(islice(longer, max(0, n_vocab - len(pieces)))))[:n_vocab]
    w.add_tokenizer_model("llama")
    w.add_token_list(pieces)
    w.add_token_scores([0.0] * N_SPECIAL + [-float(i) for i in range(n_vocab - N_SPECIAL)])
    w.add_token_types([2, 3, 3] + [6] * 256 + [1] * (n_vocab - N_SPECIAL))
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)


def write(path, size, kind):
    s = SHAPES[size]
    file_type, most, best = FILES[kind]
    unfinished = path.with_suffix(".part")
    w = gguf.GGUFWriter(unfinished, "llama")
    w.add_name(path.stem)
    w.add_file_type(file_type)
    w.add_vocab_size(s.n_vocab)
    w.add_context_length(s.n_ctx)
    w.add_embedding_length(s.n_embd)
    w.add_block_count(s.n_layer)
    w.add_feed_forward_length(s.n_ff)
    w.add_head_count(s.n_head)
    w.add_head_count_kv(s.n_head_kv)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_dimension_count(s.n_embd // s.n_head)
    add_vocabulary(w, s.n_vocab)
    rng = np.random.default_rng(1)
    for name, t, n_out, n_in in tensors(s, most, best, kind.endswith("_M")):
        rows = random_rows(rng, t, n_out, n_in)
        if name == "output":
            rows[:N_SPECIAL] = (
                0  # zero logits never win: no early end, and wllama dies of bytes that are not UTF-8
            )
        w.add_tensor(name + ".weight", rows, raw_dtype=t)
    norms = [f"blk.{i}.{n}_norm" for i in range(s.n_layer) for n in ("attn", "ffn")]
    for name in [*norms, "output_norm"]:
        w.add_tensor(name + ".weight", np.ones(s.n_embd, np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    unfinished.rename(path)


def ensure(folder, size, kind):
    """The path of the model, made if it is not there yet: drawn in its type, or quantized from the one in F16."""
    path = Path(folder) / f"bench{size}-{kind}.gguf"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        print(f"making {path}", file=sys.stderr)
        if kind in FILES:
            write(path, size, kind)
        else:
            puna.quantize_file(ensure(folder, size, "F16"), path, kind)
    return path


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[2] not in SHAPES or set(sys.argv[3:]) - set(FILES):
        sys.exit(f"usage: make_model.py FOLDER {'|'.join(SHAPES)} TYPE...   TYPE: {' '.join(FILES)}")
    for kind in sys.argv[3:]:
        print(ensure(sys.argv[1], sys.argv[2], kind))
