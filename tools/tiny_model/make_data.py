"""Writes the training rows, the tokenizer and the held-out questions. Seeded; needs no download.

    python make_data.py --out work

A row is 256 (or, in the second set, 1024) tokens: whole documents one after another, which must not
see each other. Beside the ids stands, for each token, the number of its document in the row and
whether it is learnt: answers and plain text are, questions are not.
"""

import argparse
import json
from pathlib import Path
from random import Random

import numpy as np
from dialogs import conversation, mixed, plain, reading, repeat, story_talk
from library import Library, Talk, single
from memory import introduce, remember
from stories import tell
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
END, START, STOP = range(3)
# The `qwen2` pre-tokenizer of llama.cpp: single digits, words with their leading space.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SHARE = (("talk", 85), ("story", 9), ("facts", 6))


def render(talk: Talk) -> str:
    """The chat template, as in export.py."""
    return "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in talk)


def document(lib: Library, rng: Random) -> Talk | str:
    kind = rng.choices([k for k, _ in SHARE], [w for _, w in SHARE])[0]
    return {"talk": conversation, "facts": plain}[kind](lib, rng) if kind != "story" else tell(rng).text


def early_document(lib: Library, rng: Random) -> Talk:
    """Short conversations, many of which take words over: attention learns that first."""
    return rng.choices((single, reading, repeat, introduce), (60, 14, 12, 14))[0](lib, rng)


def long_document(lib: Library, rng: Random) -> Talk | str:
    """Several conversations in a row, so that late positions are learnt as well."""
    if rng.random() < 0.15:
        return tell(rng).text
    talk: Talk = []
    for _ in range(rng.randint(2, 18)):
        part = rng.choice((mixed, mixed, remember, story_talk, conversation))(lib, rng)
        if any(role == "system" for role, _ in part) or "name" in str(part) and "name" in str(talk):
            continue
        talk += part
    return talk or conversation(lib, rng)


def train_tokenizer(lib: Library, n_vocab: int, seed: int) -> Tokenizer:
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(False, False, False)]
    )
    tok.decoder = decoders.ByteLevel()
    rng = Random(seed)

    def texts():
        for _ in range(60000):
            doc = document(lib, rng)
            yield doc if isinstance(doc, str) else "\n".join(text for _, text in doc)

    trainer = trainers.BpeTrainer(
        vocab_size=n_vocab, special_tokens=SPECIAL, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tok.train_from_iterator(texts(), trainer)
    return tok


def encode(tok: Tokenizer, doc: Talk | str) -> tuple[list[int], list[bool]]:
    """Ids of one document, and which of them are learnt."""
    if isinstance(doc, str):
        ids = [*tok.encode(doc, add_special_tokens=False).ids, STOP]
        return ids, [True] * len(ids)
    ids, learnt = [], []
    for role, text in doc:
        head = [START, *tok.encode(f"{role}\n", add_special_tokens=False).ids]
        body = [*tok.encode(text, add_special_tokens=False).ids, STOP]
        tail = tok.encode("\n", add_special_tokens=False).ids
        ids += head + body + tail
        learnt += [False] * len(head) + [role == "assistant"] * len(body) + [False] * len(tail)
    return ids, learnt


class Packer:
    """First-fit packing of documents into rows of one length."""

    def __init__(self, n_row: int, length: int):
        self.ids = np.zeros((n_row, length), np.uint16)
        self.doc = np.zeros((n_row, length), np.uint8)
        self.learnt = np.zeros((n_row, length), bool)
        self.open: list[list[int]] = []  # [row, used, documents]
        self.n_row, self.length, self.next = n_row, length, 0

    def add(self, ids: list[int], learnt: list[bool]) -> bool:
        """False when all rows are full."""
        slot = next((s for s in self.open if s[1] + len(ids) <= self.length), None)
        if slot is None:
            if self.next == self.n_row:
                return False
            slot = [self.next, 0, 0]
            self.next += 1
            self.open = [*self.open[-40:], slot]
        row, at, n = slot
        end = at + len(ids)
        self.ids[row, at:end], self.doc[row, at:end], self.learnt[row, at:end] = ids, n + 1, learnt
        slot[1:] = end, n + 1
        return True


def fill(tok: Tokenizer, lib: Library, make, n_row: int, length: int, seed: int) -> Packer:
    pack, rng = Packer(n_row, length), Random(seed)
    while True:
        ids, learnt = encode(tok, make(lib, rng))
        if len(ids) <= length and not pack.add(ids, learnt):
            return pack


def held_out(lib: Library, seed: int) -> list[dict[str, str]]:
    """Up to 12 questions of each family, in wordings that training never shows."""
    rng, found = Random(seed), []
    for family in lib.families:
        if family.held:
            some = rng.sample(family.rows, min(12, len(family.rows)))
            for row in some if len(some) > 1 else some * len(family.held):
                e = family.draw(rng, held=True, row=row)
                found.append({"family": family.name, "user": e.user, "key": e.key})
    return found


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--out", type=Path, default=Path("work"))
    p.add_argument("--early-rows", type=int, default=6000, help="rows of 256 tokens, short talk")
    p.add_argument("--rows", type=int, default=24000, help="rows of 256 tokens, everything")
    p.add_argument("--long-rows", type=int, default=800, help="rows of 1024 tokens, for the end")
    p.add_argument("--vocab", type=int, default=3072)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    lib = Library()
    tok = train_tokenizer(lib, a.vocab, a.seed)
    tok.save(str(a.out / "tokenizer.json"))
    sets = (
        ("early", early_document, a.early_rows, 256),
        ("main", document, a.rows, 256),
        ("long", long_document, a.long_rows, 1024),
    )
    for i, (name, make, n_row, length) in enumerate(sets):
        pack = fill(tok, lib, make, n_row, length, a.seed + 10 + i)
        np.savez(a.out / f"{name}.npz", ids=pack.ids, doc=pack.doc, learnt=pack.learnt)
        print(f"{name}: {n_row} rows, {(pack.doc > 0).mean():.1%} full, {pack.learnt.mean():.1%} learnt")
    questions = held_out(lib, a.seed + 20)
    (a.out / "held_out.jsonl").write_text(
        "".join(json.dumps(q, ensure_ascii=False) + "\n" for q in questions)
    )
    print(f"{len(questions)} held-out questions, {tok.get_vocab_size()} tokens")


if __name__ == "__main__":
    main()
