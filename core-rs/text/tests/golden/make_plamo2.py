"""Runs llama.cpp's PLaMo 2 tokenizer over a random vocabulary: the oracle for
src/tokenizer/plamo2.rs.

    python make_plamo2.py > plamo2.json

Needs `pip install gguf llama-cpp-python`. Prints the tokens with scores and types, and texts with
their ids, no special ones added.
"""

import json
import random
import sys
import tempfile

import gguf
import llama_cpp

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
# Few letters, so that tokens overlap in many ways; some characters have no token of their own.
LETTERS = ["a", "b", "c", " ", "ä", "語", "▁"]
STRANGERS = ["z", "é", "漢", "😀", "\ufeff", "\n"]


def vocabulary(rng: random.Random) -> list[tuple[str, float, int]]:
    special = [("<|plamo:unk|>", UNKNOWN), ("<|plamo:bos|>", CONTROL), ("<|plamo:eos|>", CONTROL)]
    tokens = [(text, 0.0, kind) for text, kind in [*special, ("<|plamo:pad|>", CONTROL)]]
    tokens += [(f"<0x{b:02X}>", 0.0, BYTE) for b in range(256)]
    words = {"".join(rng.choices(LETTERS, k=rng.randrange(1, 6))) for _ in range(300)}
    # Whole scores make ways that are as good as others.
    tokens += [(word, float(rng.randrange(-30, -1)), NORMAL) for word in sorted(words)]
    return [*tokens, ("cab", -3000.0, NORMAL), ("bac", -0.00004, NORMAL)]


def main() -> None:
    rng = random.Random(11)
    tokens = vocabulary(rng)
    with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
        writer = gguf.GGUFWriter(file.name, "plamo2")
        writer.add_tokenizer_model("plamo2")
        writer.add_token_list([text for text, _, _ in tokens])
        writer.add_token_scores([score for _, score, _ in tokens])
        writer.add_token_types([kind for _, _, kind in tokens])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        peer = llama_cpp.Llama(file.name, vocab_only=True, verbose=False)
    alphabet = LETTERS * 3 + STRANGERS
    texts = ["", *("".join(rng.choices(alphabet, k=rng.randrange(1, 30))) for _ in range(300))]
    cases = [[text, peer.tokenize(text.encode(), add_bos=False)] for text in texts]
    json.dump({"tokens": tokens, "cases": cases}, sys.stdout, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
