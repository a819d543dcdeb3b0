"""Writes split.json: texts cut by the pre-tokenizers' regexes, with Python's `regex` package.

    python make_split.py > split.json

The oracle for src/tokenizer/split/*.rs: the hand-written splitters must cut as the regexes do. They
are those llama.cpp has; what it does by hand is said as a regex here. Texts are random: characters
of every category, drawn so that contractions, digits, line ends and blanks meet. Characters assigned
after Unicode 15 are left out, so that versions of the tables do not matter.

The lengths of the pieces of a text are one string, a character chr(32 + length) each.
"""

import json
import random
import sys
import unicodedata

import regex

BLANKS_END = r"\s*[\r\n]+|\s+(?!\S)|\s+"
CONTRACTION = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + BLANKS_END
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
CASED = (  # LL: a letter; as in llama.cpp, one beyond ASCII is both upper and lower case
    r"[^\r\n\p{L}\p{N}]?((?=LL)[^a-z])*((?=LL)[^A-Z])+TAIL|"
    r"[^\r\n\p{L}\p{N}]?((?=LL)[^a-z])+((?=LL)[^A-Z])*TAIL|"
)
REST = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|" + BLANKS_END
GPT4O = CASED.replace("TAIL", CONTRACTION + "?") + r"\p{N}{1,3}|" + REST
TINY_AYA = rf"[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+{CONTRACTION}?|\p{{N}}{{1,3}}|" + REST
DEEPSEEK3_WORDS = r"[!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
DEEPSEEK3 = DEEPSEEK3_WORDS + r" ?[\p{P}\p{S}]+[\r\n]*|" + BLANKS_END
DEEPSEEK_CJK = r"[[一-龥ࠀ-一가-\uD7FF]--\s]+"
CJK = "[一-龥぀-ゟ゠-ヿ]+"
DEEPSEEK_LLM_LETTERS = (
    r"\s?[A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293\u0295-\u02AF\u0370"
    r"-\u0373\u0376\u0377\u037B-\u037D\u037F\u0386\u0388-\u038A\u038C\u038E-\u03A1\u03A3-\u03F5\u03F7-"
    r"\u0481\u048A-\u052F\u0531-\u0556\u10A0-\u10C5\u13A0-\u13F5\u13F8-\u13FD\u1C90-\u1CBA\u1CBD-\u1CBF"
    r"\u1D00-\u1D2B\u1D6B-\u1D77\u1D79-\u1D9A\u1E00-\u1F15\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D\u1F50-"
    r"\u1F57\u1F59\u1F5B\u1F5D\u1F5F-\u1F7D\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE\u1FC2-\u1FC4\u1FC6-\u1FCC"
    r"\u1FD0-\u1FD3\u1FD6-\u1FDB\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC\u2102\u2107\u210A-\u2113\u2115"
    r"\u2119-\u211D\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139\u213C-\u213F\u2145-\u2149\u214E"
    r"\u2183\u2184\u2C00-\u2C7B\u2C7E-\u2CE4\u2CEB-\u2CEE\u2CF2\u2CF3\uA640-\uA66D\uA680-\uA69B\uA722-"
    r"\uA76F\uA771-\uA787\uA78B-\uA78E\uAB70-\uABBF\uFB00-\uFB06\uFB13-\uFB17\uFF21-\uFF3A\uFF41-\uFF5A"
    r"\U00010400-\U0001044F\U000104B0-\U000104D3\U000104D8-\U000104FB\U00010C80-\U00010CB2\U00010CC0-"
    r"\U00010CF2\U000118A0-\U000118DF\U0001E900-\U0001E943]+"
)
HAN = r"[\u3400-\u4DBF\u4E00-\u9FFF\uF900-\uFAFF\U00020000-\U0002A6DF\U0002A700-\U0002EBEF\U0002F800-\U0002FA1F]"
# Of a run of n numbers, the first n mod 3 (or 3) are a piece with the text before them.
GROUPS = r"\P{N}*(?:\p{N}{3}|\p{N}{1,2})(?=(?:\p{N}{3})*(?!\p{N}))"
AFMOE_CJK = r"[[一-鿿㐀-䶿\u8C48-\uFAFF぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿\u0E80-\u0EFFក-៿က-႟ꩠ-ꩿꧠ-꧿가-\uD7AFᄀ-ᇿ]--\s]+"
YOUTU_CJK = r"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|" + CJK
BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"
NEWLINES = r"[^\n]+|[\n]+"
STAGES = {
    "gpt-2": [GPT2],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"],
    "starcoder": [r"\p{N}", GPT2],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"],
    "llama-bpe": [LLAMA3],
    "jais-2": [
        LLAMA3.removesuffix(r"\s+(?!\S)|\s+")
        + "".join(rf"\s{{{2**n}}}(?!\S)|" for n in range(9, 1, -1))
        + r"\s{1,2}(?!\S)|\s{1}"
    ],
    "minicpm5": [r"\p{N}{1,3}", LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}+")],
    "qwen2": [QWEN2],
    "qwen35": [QWEN2.replace(r"?\p{L}+", r"?[\p{L}\p{M}]+").replace(r"\s\p{L}\p{N}", r"\s\p{L}\p{M}\p{N}")],
    "seed-coder": [QWEN2.replace(r"[^\s\p{L}\p{N}]+[\r\n]*", r"[^\s\p{L}\p{N}\r\n]+")],
    "bailingmoe": [
        r"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
        r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
    ],
    "ufakzeka": [QWEN2.removeprefix(CONTRACTION + "|")],
    "laguna": [NEWLINES, QWEN2],
    "exaone-moe": [
        QWEN2.replace(r"?\p{L}+", r"?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+")
        .replace(r"]+[\r\n]*|", r"]+[\r\n/]?|")
        .replace(r"\s*[\r\n]+", r"\s*[\r\n]")
    ],
    "gpt-4o": [GPT4O.replace("LL", r"\p{L}")],
    "granite-embed-multi-97m": [GPT4O.replace("LL", r"[\p{L}\p{M}]")],
    "tekken": [CASED.replace("LL", r"\p{L}").replace("TAIL", "") + r"\p{N}|" + REST],
    "tiny_aya": [GROUPS, TINY_AYA],
    "youtu": [YOUTU_CJK, TINY_AYA.replace(r"\p{N}{1,3}", r"\p{N}")],
    "kimi-k2": [
        rf"{HAN}+|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}--{HAN}]+{CONTRACTION}?|\p{{N}}{{1,3}}|"
        + r" ?[^\s\p{L}\p{N}]+[\r\n]*|"
        + BLANKS_END
    ],
    "deepseek-llm": [
        r"[\r\n]",
        DEEPSEEK_LLM_LETTERS,
        r"\s?[!-/:-~！-／：-～‘-‟、-。]+",
        r"\s+\Z",
        DEEPSEEK_CJK,
        r"\p{N}+",
    ],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", DEEPSEEK_CJK, r"\p{N}"],
    "deepseek-v3": [r"\p{N}{1,3}", CJK, DEEPSEEK3],
    "spark2_5": [
        r"\p{N}{1,3}",
        CJK,
        DEEPSEEK3_WORDS + r" ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+",
        r"\p{N}",
    ],
    "afmoe": [GROUPS, AFMOE_CJK, DEEPSEEK3],
    "superbpe": [r"\p{N}+", r"(?=([0-9]{3})+(?![0-9]))"],
    "bloom": [BLOOM],
    "viking": [BLOOM, r"\p{N}"],
    "chameleon": [
        "<sentinel:[0-9]+>",
        "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
        r"([\t\n]|    |  )",
        r"\p{N}",
        r"[\p{P}!-/:-@\[-`{-~]",
        GPT2,
    ],
    "gemma4": [NEWLINES],
    "whitespace": [r"\S+"],
}
PIECES = (
    "'s 't 'RE 'Ve 'm 'll 'D ' '' 1 12 1234 1234567 ½ ٣ Ⅻ a Bc Äé ÄB HTTPServer éA 中 か カ 가 ㄅ ㄱ देव "
    "ไทย ລາວ ខ្មែ မြန် نص ß \u0301 e\u0301 \u093e \u200d . , ! ?! / // ( ) | ` € $ + <= 、 。 … « 😀 "
    "👨\u200d👩 _ - \x00 \x7f \ufeff \ufffd ſ K İ ª ʰ ǅ Ω \U000e0001 \U00020000 \uf900 <sentinel:12> "
    "<sentinel:> IMGIMGABCDZ IMGIMGABCDEZ IMGIMGZ def foo_bar camelCase \u0378"
).split(" ")
BLANKS = [" ", "  ", "   ", "\n", "\r\n", "\n\n", "\t", "\u00a0", "\u3000", "\u2028", "\x85", "\x0b", "\r"]
LONG = ["12345678901", "x" * 60, " " * 37 + "a", " " * 45, "\n" * 9 + " 1", "! " * 20, "'s" * 9, "٣" * 7]


def cut(text: str, stages: list[str]) -> list[str]:
    """Each stage cuts the pieces of the one before; what a regex leaves between is a piece too."""
    pieces = [text]
    for pattern in stages:
        pieces = [part for piece in pieces for part in cut_once(piece, pattern)]
    return pieces


def cut_once(text: str, pattern: str) -> list[str]:
    parts, at = [], 0
    # Version 1 of the package's syntax knows A--B, sets without others.
    version = "(?V1)" if "]--" in pattern or "}--" in pattern or "--\\s" in pattern else ""
    for match in regex.finditer(version + pattern, text):
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
    texts = LONG + [text for text in (random_text(rng) for _ in range(400)) if text]
    lengths = {
        name: ["".join(chr(32 + len(piece)) for piece in cut(text, stages)) for text in texts]
        for name, stages in STAGES.items()
    }
    json.dump({"texts": texts, "lengths": lengths}, sys.stdout, separators=(",", ":"), ensure_ascii=False)


if __name__ == "__main__":
    main()
