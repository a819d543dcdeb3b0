"""Trains the model on the rows of make_data.py. Seeded, resumable, made for two CPU cores.

    python train.py --data work --out work --steps 4000

Hidden matrices learn with Muon, the embedding and the norms with AdamW; the learning rate warms up
and falls along a cosine. The first
part is short talk, the last runs on rows of 1024 tokens, so that late positions are learnt. `checkpoint.pt` is written every 100 steps; a second call goes on from there.
"""

import argparse
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
from model import Config, TinyLlama
from torch import Tensor


class Rows:
    """Batches of packed rows: ids, targets (-1: not learnt) and the mask of who sees whom."""

    def __init__(self, path: Path, n_tokens: int, seed: int):
        file = np.load(path)
        self.ids, self.doc, self.learnt = file["ids"], file["doc"], file["learnt"]
        self.length = self.ids.shape[1]
        self.n = n_tokens // self.length
        self.order = np.random.default_rng(seed).permutation(len(self.ids))

    def batch(self, i: int) -> tuple[Tensor, Tensor, Tensor]:
        """Batch `i`; after the last row it starts over."""
        pick = self.order[np.arange(i * self.n, (i + 1) * self.n) % len(self.order)]
        ids = torch.from_numpy(self.ids[pick].astype(np.int64))  # [n_row, n_tokens]
        doc = torch.from_numpy(self.doc[pick].astype(np.int64))
        good = torch.from_numpy(self.learnt[pick])[:, 1:] & (doc[:, 1:] == doc[:, :-1])
        target = torch.full_like(ids, -1)
        target[:, :-1] = torch.where(good, ids[:, 1:], -1)
        causal = torch.ones(self.length, self.length, dtype=torch.bool).tril()
        mask = (doc[:, None, :, None] == doc[:, None, None, :]) & causal
        return ids, target, mask  # mask [n_row, 1, n_tokens, n_tokens]


def optimizers(net: TinyLlama, lr: float) -> list[torch.optim.Optimizer]:
    matrices = [p for n, p in net.named_parameters() if n.startswith("blk") and p.ndim == 2]
    rest = [p for n, p in net.named_parameters() if not (n.startswith("blk") and p.ndim == 2)]
    muon = torch.optim.Muon(matrices, lr=lr, momentum=0.95, weight_decay=0.01, ns_steps=3)
    adam = torch.optim.AdamW(rest, lr=lr / 4, betas=(0.9, 0.98), weight_decay=0.0)
    for opt in (muon, adam):
        for group in opt.param_groups:
            group["peak"] = group["lr"]
    return [muon, adam]


def rate(step: int, n_step: int, warm: int = 50) -> float:
    """Share of the peak learning rate: linear up, cosine down to 2 %."""
    if step < warm:
        return (step + 1) / warm
    x = min(1.0, (step - warm) / max(1, n_step - warm))
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * x))


def save(path: Path, net: TinyLlama, opts: list, step: int) -> None:
    """Write beside, then rename, so that a stop in between loses nothing."""
    state = {"step": step, "config": net.cfg.to_dict(), "model": net.state_dict(),
             "opts": [o.state_dict() for o in opts]}  # fmt: skip
    torch.save(state, path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)


def one_step(net: TinyLlama, opts: list, batch: tuple[Tensor, Tensor, Tensor], share: float) -> float:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = net.loss(*batch)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    for opt in opts:
        for group in opt.param_groups:
            group["lr"] = group["peak"] * share
        opt.step()
        opt.zero_grad(set_to_none=True)
    return loss.item()


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--data", type=Path, default=Path("work"))
    p.add_argument("--out", type=Path, default=Path("work"))
    p.add_argument("--steps", type=int, default=4000)
    p.add_argument("--tokens", type=int, default=2048, help="tokens a step")
    p.add_argument("--early", type=float, default=0.15, help="share of steps on short talk, at first")
    p.add_argument("--late", type=float, default=0.1, help="share of steps on 1024-token rows, at last")
    p.add_argument("--lr", type=float, default=0.02)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=1)
    a = p.parse_args()
    torch.manual_seed(a.seed)
    torch.set_num_threads(a.threads)
    a.out.mkdir(parents=True, exist_ok=True)
    stages = [Rows(a.data / f"{n}.npz", a.tokens, a.seed) for n in ("early", "main", "long")]
    ends = [int(a.steps * share) for share in (a.early, 1 - a.late, 1.0)]
    net = TinyLlama(Config())
    opts = optimizers(net, a.lr)
    path, first = a.out / "checkpoint.pt", 0
    if path.exists():
        state = torch.load(path)
        net.load_state_dict(state["model"])
        for opt, kept in zip(opts, state["opts"], strict=True):
            opt.load_state_dict(kept)
        first = state["step"]
        print(f"goes on from step {first}", flush=True)
    print(f"{sum(q.numel() for q in net.parameters()):,} parameters", flush=True)
    mean, start = None, time.time()
    for step in range(first, a.steps):
        stage = next(i for i, end in enumerate(ends) if step < end)
        batch = stages[stage].batch(step - (ends[stage - 1] if stage else 0))
        loss = one_step(net, opts, batch, rate(step, a.steps))
        mean = loss if mean is None else 0.95 * mean + 0.05 * loss
        if (step + 1) % 20 == 0:
            per = (time.time() - start) / (step + 1 - first)
            print(f"step {step + 1} loss {mean:.4f} {per:.2f} s/step", flush=True)
        if (step + 1) % 100 == 0 or step + 1 == a.steps:
            save(path, net, opts, step + 1)


if __name__ == "__main__":
    main()
