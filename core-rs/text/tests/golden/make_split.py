"""Writes split.json: texts cut by the pre-tokenizers' regexes, with Python's `regex` package.

    python make_split.py > split.json

The oracle for src/tokenizer/split/*.rs: the hand-written splitters must cut as the regexes do. Texts
are random: characters of every category, drawn so that contractions, digits, line ends and blanks
meet. Characters assigned after Unicode 15 are left out, so that versions of the tables do not matter.
"""

import json
import random
import sys
import unicodedata

import regex

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
STAGES = {
    "gpt-2": [GPT2],
    "llama-bpe": [LLAMA3],
    "qwen2": [LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"],
}
PIECES = (
    "'s 't 'RE 'Ve 'm 'll 'D ' '' 1 12 1234 ½ ٣ Ⅻ a Bc Äé 中 か देव نص ß \u0301 e\u0301 \u200d . , ! ?! "
    "€ $ + <= 、 。 … « 😀 👨\u200d👩 _ - \x00 \x7f \ufeff \ufffd ſ K İ ª ʰ ǅ \U000e0001"
).split(" ")
BLANKS = [" ", "  ", "   ", "\n", "\r\n", "\n\n", "\t", "\u00a0", "\u3000", "\u2028", "\x85", "\x0b", "\r"]


def cut(text: str, stages: list[str]) -> list[str]:
    """Each stage cuts the pieces of the one before; what a regex leaves between is a piece too."""
    pieces = [text]
    for pattern in stages:
        pieces = [part for piece in pieces for part in cut_once(piece, pattern)]
    return pieces


def cut_once(text: str, pattern: str) -> list[str]:
    parts, at = [], 0
    for match in regex.finditer(pattern, text):
        parts += [text[at : match.start()], match.group()]
        at = match.end()
    return [part for part in [*parts, text[at:]] if part]


def random_text(rng: random.Random) -> str:
    out = []
    for _ in range(rng.randint(1, 12)):
        kind = rng.random()
        if kind < 0.6:
            out.append(rng.choice(PIECES))
        elif kind < 0.95:
            out.append(rng.choice(BLANKS))
        else:
            char = chr(rng.choice([rng.randrange(0x300), rng.randrange(0x3000), rng.randrange(0x20000)]))
            if unicodedata.category(char) not in ("Cn", "Cs"):
                out.append(char)
    return "".join(out)


def main() -> None:
    rng = random.Random(20260101)
    texts = [text for text in (random_text(rng) for _ in range(700)) if text]
    lengths = {
        name: [[len(piece) for piece in cut(text, stages)] for text in texts]
        for name, stages in STAGES.items()
    }
    json.dump({"texts": texts, "lengths": lengths}, sys.stdout, separators=(",", ":"))


if __name__ == "__main__":
    main()
