"""Trains small unigram models and runs llama.cpp's UGM tokenizer over them: the oracle for
src/tokenizer/ugm.rs.

    python make_ugm.py > ugm.json            the golden file: few texts
    python make_ugm.py --many 3000 > x.json  more texts, SentencePiece's own map of characters

Needs `pip install sentencepiece protobuf gguf llama-cpp-python`. Prints a list of models: what
`tokenizer.ggml.*` says of each, and its texts with their tokens, no special ones added.
"""

import base64
import io
import json
import pathlib
import random
import sys
import tempfile

import gguf
import llama_cpp
import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as proto

HERE = pathlib.Path(__file__).parent
SEED = 5

# A map small enough for the golden file: code points and what they become. `a` with a ring has two
# spellings, one of which starts with a character that is its own piece; the tab is a blank; the soft
# hyphen is nothing.
RULES = {
    "Å": "AA",
    "A\u030a": "AA",
    "A\u0301": "Á",
    "ﬁ": "fi",
    "Ａ": "A",
    "，": ",",
    "\t": " ",
    "\n": " ",
    "\u3000": " ",
    "\u00ad": "",
    "½": " 1/2 ",
}
# None begins with a character that the map changes: llama.cpp would then leave the latter as it is.
USER_DEFINED = ["<sep>", "half life"]

# add_space_prefix, remove_extra_whitespaces
FLAGS = [(True, True), (True, False), (False, True), (False, False)]

ALPHABET = [
    *"  aeinorst.,'AÅ",
    "A\u030a", "A\u0301", "A", "ﬁ", "ﬁx", "Ａ", "，", "\t", "\n", "\u3000", "\u00ad", "½", "ö", "語", "😀",
    "<sep>", "half life", "half", "▁", " the", "The ", "token", "message", "function", "\x00", "\x7f",
]  # fmt: skip


def corpus() -> str:
    return (HERE / "conversations.json").read_text() + (HERE / "make_sample.py").read_text()


def train(many: bool) -> proto.ModelProto:
    with tempfile.TemporaryDirectory() as folder:
        rules = pathlib.Path(folder) / "rules.tsv"
        codes = lambda text: " ".join(f"{ord(c):X}" for c in text)  # noqa: E731
        rules.write_text("".join(f"{codes(a)}\t{codes(b)}\n" for a, b in RULES.items()))
        normalizer = {} if many else {"normalization_rule_tsv": str(rules)}
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(corpus().splitlines()),
            model_writer=model,
            model_type="unigram",
            vocab_size=400,
            character_coverage=0.99,
            user_defined_symbols=USER_DEFINED,
            pad_id=0,
            eos_id=1,
            unk_id=2,
            bos_id=-1,
            minloglevel=2,
            **normalizer,
        )
    return proto.ModelProto.FromString(model.getvalue())


def write(model: proto.ModelProto, flags: tuple[bool, bool], path: str) -> None:
    writer = gguf.GGUFWriter(path, "t5")
    writer.add_tokenizer_model("t5")
    writer.add_token_list([piece.piece for piece in model.pieces])
    writer.add_token_scores([piece.score for piece in model.pieces])
    writer.add_token_types([int(piece.type) for piece in model.pieces])
    writer.add_add_space_prefix(flags[0])
    writer.add_remove_extra_whitespaces(flags[1])
    writer.add_precompiled_charsmap(model.normalizer_spec.precompiled_charsmap)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def texts(rng: random.Random, n: int) -> list[str]:
    lines = [line for line in corpus().splitlines() if line.strip()]
    out = ["", " ", "  a", "a  b ", "Å A\u030a A\u0301 ﬁx ﬁ", "語語 語", "a<sep> b", "\u00ad"]
    while len(out) < n:
        if rng.random() < 0.3:
            line = rng.choice(lines)
            start = rng.randrange(len(line))
            out.append(line[start : start + rng.randrange(60)])
        else:
            out.append("".join(rng.choices(ALPHABET, k=rng.randrange(1, 24))))
    return out


def case(model: proto.ModelProto, flags: tuple[bool, bool], n_texts: int) -> dict:
    with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
        write(model, flags, file.name)
        peer = llama_cpp.Llama(file.name, vocab_only=True, verbose=False)
    rng = random.Random(SEED + FLAGS.index(flags))
    tokens = {t: peer.tokenize(t.encode(), add_bos=False) for t in texts(rng, n_texts)}
    return {
        "add_space_prefix": flags[0],
        "remove_extra_whitespaces": flags[1],
        "texts": [[text, ids] for text, ids in tokens.items()],
    }


def main() -> None:
    many = "--many" in sys.argv
    n_texts = int(sys.argv[-1]) if many else 60
    model = train(many)
    charsmap = base64.b16encode(model.normalizer_spec.precompiled_charsmap).decode()
    out = {
        "tokens": [piece.piece for piece in model.pieces],
        "scores": [piece.score for piece in model.pieces],
        "types": [int(piece.type) for piece in model.pieces],
        "charsmap": charsmap,
        "cases": [case(model, flags, n_texts) for flags in FLAGS],
    }
    json.dump(out, sys.stdout, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
