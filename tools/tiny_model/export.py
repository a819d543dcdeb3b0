"""Turns a checkpoint into the GGUF that the wheel carries: Q8_0 matrices, F32 norms.

    python export.py --data work --checkpoint work/checkpoint.pt --out puna-tiny-q8_0.gguf

The written file is read back and compared with what went in.
"""

import argparse
import hashlib
import json
import os
from pathlib import Path

import gguf
import numpy as np
import torch
from model import Config, TinyLlama

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
ABOUT = (
    "The demo model of Puna: about three million parameters, trained from scratch on text that the"
    " project's own script writes. It chats in simple English, answers easy questions and tells"
    " short stories. It knows little else and makes mistakes."
)
MAX_BYTES = 6_000_000


def add_general(w: gguf.GGUFWriter, cfg: Config, n_param: int) -> None:
    w.add_name("puna-tiny")
    w.add_author("The Puna project")
    w.add_description(ABOUT)
    w.add_license("MIT OR Apache-2.0")
    w.add_languages(["en"])
    w.add_size_label(f"{n_param / 1e6:.1f}M")
    w.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    w.add_vocab_size(cfg.n_vocab)
    w.add_context_length(cfg.n_ctx)
    w.add_embedding_length(cfg.n_embd)
    w.add_block_count(cfg.n_layer)
    w.add_feed_forward_length(cfg.n_ff)
    w.add_head_count(cfg.n_head)
    w.add_head_count_kv(cfg.n_head_kv)
    w.add_rope_dimension_count(cfg.head_dim)
    w.add_rope_freq_base(cfg.rope_base)
    w.add_layer_norm_rms_eps(cfg.norm_eps)


def add_tokenizer(w: gguf.GGUFWriter, path: Path) -> None:
    """A byte-level BPE: `gpt2` with the `qwen2` pre-tokenizer; no token before the text."""
    spec = json.loads(path.read_text(encoding="utf-8"))
    special = {t["id"] for t in spec["added_tokens"]}
    vocab = sorted(spec["model"]["vocab"].items(), key=lambda kv: kv[1])
    merges = [m if isinstance(m, str) else " ".join(m) for m in spec["model"]["merges"]]
    kinds = [gguf.TokenType.CONTROL if i in special else gguf.TokenType.NORMAL for _, i in vocab]
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("qwen2")
    w.add_token_list([t for t, _ in vocab])
    w.add_token_types(kinds)
    w.add_token_merges(merges)
    ids = dict(vocab)
    w.add_bos_token_id(ids["<|endoftext|>"])
    w.add_eos_token_id(ids["<|im_end|>"])
    w.add_eot_token_id(ids["<|im_end|>"])
    w.add_pad_token_id(ids["<|endoftext|>"])
    w.add_add_bos_token(False)
    w.add_chat_template(CHAT_TEMPLATE)


def tensors(net: TinyLlama) -> dict[str, np.ndarray]:
    return {name: p.detach().float().numpy() for name, p in net.state_dict().items()}


def check(path: Path, want: dict[str, np.ndarray]) -> None:
    """Q8_0 keeps each value within half a step of its block of 32."""
    got = {t.name: t for t in gguf.GGUFReader(path).tensors}
    if got.keys() != want.keys():
        raise ValueError(f"{path}: tensors differ: {got.keys() ^ want.keys()}")
    for name, x in want.items():
        y = gguf.quants.dequantize(got[name].data, got[name].tensor_type).reshape(x.shape)
        worst = np.abs(x - y).max() / max(np.abs(x).max(), 1e-9)
        if worst > 1 / 200:
            raise ValueError(f"{path}: {name} is off by {worst:.4f} of its largest value")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--data", type=Path, default=Path("work"))
    p.add_argument("--checkpoint", type=Path, default=Path("work/checkpoint.pt"))
    p.add_argument("--out", type=Path, default=Path("../../python/puna/models/puna-tiny-q8_0.gguf"))
    a = p.parse_args()
    state = torch.load(a.checkpoint)
    net = TinyLlama(Config(**state["config"]))
    net.load_state_dict(state["model"])
    new = a.out.with_suffix(".new")
    w = gguf.GGUFWriter(new, "llama")
    add_general(w, net.cfg, sum(p.numel() for p in net.parameters()))
    add_tokenizer(w, a.data / "tokenizer.json")
    want = tensors(net)
    for name, x in want.items():
        if x.ndim == 1:
            w.add_tensor(name, x.astype(np.float32))
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            w.add_tensor(name, gguf.quants.quantize(x, kind), raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    check(new, want)
    n_bytes = new.stat().st_size
    if n_bytes > MAX_BYTES:
        raise ValueError(f"{new} has {n_bytes} bytes; at most {MAX_BYTES} may go into the wheel")
    os.replace(new, a.out)
    digest = hashlib.sha256(a.out.read_bytes()).hexdigest()
    print(f"{a.out}: {n_bytes} bytes, sha256 {digest}")


if __name__ == "__main__":
    main()
