"""The network: a small Llama, in the shape that GGUF's `llama` architecture describes.

Names of sub-modules follow GGUF (`attn_q`, `ffn_gate`, ...), so that export.py is a loop and not a
table. Nothing here is novel: RMS norm, rotary positions, grouped-query attention, SwiGLU, and one
matrix for both the embedding and the output.
"""

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Config:
    """Hyper-parameters; row lengths are multiples of 256 so that every GGUF type applies."""

    n_vocab: int = 3072
    n_embd: int = 256
    n_layer: int = 4
    n_head: int = 4
    n_head_kv: int = 2
    n_ff: int = 512
    n_ctx: int = 1024
    rope_base: float = 10000.0
    norm_eps: float = 1e-5

    @property
    def head_dim(self) -> int:
        return self.n_embd // self.n_head

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


def rope_table(cfg: Config, n_pos: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines, each [n_pos, head_dim / 2]."""
    freq = cfg.rope_base ** (-torch.arange(0, cfg.head_dim, 2).float() / cfg.head_dim)
    angle = torch.arange(n_pos).float()[:, None] * freq[None, :]
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate neighbouring pairs (x0, x1), (x2, x3), ...: the `NORM` rope of GGUF's llama."""
    a, b = x[..., 0::2], x[..., 1::2]  # [n_batch, n_head, n_tokens, head_dim / 2]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2)


class Block(nn.Module):
    """One layer: x += attention(norm(x)); x += mlp(norm(x))."""

    def __init__(self, cfg: Config):
        super().__init__()
        d, kv = cfg.n_embd, cfg.n_head_kv * cfg.head_dim
        self.cfg = cfg
        self.attn_norm = nn.RMSNorm(d, eps=cfg.norm_eps)
        self.attn_q = nn.Linear(d, d, bias=False)
        self.attn_k = nn.Linear(d, kv, bias=False)
        self.attn_v = nn.Linear(d, kv, bias=False)
        self.attn_output = nn.Linear(d, d, bias=False)
        self.ffn_norm = nn.RMSNorm(d, eps=cfg.norm_eps)
        self.ffn_gate = nn.Linear(d, cfg.n_ff, bias=False)
        self.ffn_up = nn.Linear(d, cfg.n_ff, bias=False)
        self.ffn_down = nn.Linear(cfg.n_ff, d, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        b, t, d = x.shape
        h = self.attn_norm(x)
        heads = lambda y: y.view(b, t, -1, self.cfg.head_dim).transpose(1, 2)  # noqa: E731
        q = rotate(heads(self.attn_q(h)), cos, sin)
        k = rotate(heads(self.attn_k(h)), cos, sin)
        v = heads(self.attn_v(h))
        group = self.cfg.n_head // self.cfg.n_head_kv
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        x = x + self.attn_output(y.transpose(1, 2).reshape(b, t, d))
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))


class TinyLlama(nn.Module):
    """Token ids [n_batch, n_tokens] to hidden states; `logits` and `loss` are apart, to save work."""

    def __init__(self, cfg: Config):
        super().__init__()
        self.cfg = cfg
        self.token_embd = nn.Embedding(cfg.n_vocab, cfg.n_embd)
        self.blk = nn.ModuleList(Block(cfg) for _ in range(cfg.n_layer))
        self.output_norm = nn.RMSNorm(cfg.n_embd, eps=cfg.norm_eps)
        cos, sin = rope_table(cfg, cfg.n_ctx)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self._init_weights()

    def _init_weights(self) -> None:
        for name, p in self.named_parameters():
            if p.ndim == 2:
                last = name.endswith(("attn_output.weight", "ffn_down.weight"))
                std = 0.04 / (2 * self.cfg.n_layer) ** 0.5 if last else 0.04
                nn.init.normal_(p, std=std)

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Hidden states [n_batch, n_tokens, n_embd]; `mask` is boolean, true where attended."""
        t = ids.shape[1]
        x = self.token_embd(ids)
        cos, sin = self.cos[:t], self.sin[:t]
        for block in self.blk:
            x = block(x, cos, sin, mask)
        return self.output_norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.token_embd.weight)

    def loss(self, ids: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Mean cross entropy (nats) over positions whose target is >= 0."""
        keep = target >= 0
        return F.cross_entropy(self.logits(self(ids, mask)[keep]).float(), target[keep])
