"""Small tools for writing text by machine: alternatives in braces, and the way people really type.

`expand("{Hi|Hello}, $name", rng, name="Ada")` picks one alternative of each brace (they nest) and
fills the slots. `as_typed` turns a clean question into what a stranger may type: without capitals,
without the question mark, with a slip of the finger.
"""

import re
from random import Random

INNERMOST = re.compile(r"\{([^{}]*)\}")
CHAT = (("you", "u"), ("are", "r"), ("please", "pls"), ("your", "ur"), ("what is", "wats"), ("thanks", "thx"))
BEFORE = (
    "hey, |hi, |ok, |okay |so, |well, |now, |and |please, |Puna, |hello, |hi! |tell me, |can you tell me, |can you tell me |do you know |"
    "i have a question: |quick question: |one question, |another question: |question: |next question: |thanks. |i wonder, |um, |oh, |great! |good. |cool, |just tell me, |answer this: "
).split("|")
BEHIND = " please|, please| thanks|, Puna| for me| now|, do you know|, can you tell me| then| again| my friend|, i want to know".split(
    "|"
)
SLOT = re.compile(r"\$([A-Za-z_]+[0-9]?)")


def expand(pattern: str, rng: Random, **slots: str) -> str:
    """One random sentence of `pattern`; a slot that is not given is a KeyError that names it."""
    while True:
        match = INNERMOST.search(pattern)
        if match is None:
            break
        pick = rng.choice(match.group(1).split("|"))
        pattern = pattern[: match.start()] + pick + pattern[match.end() :]
    text = SLOT.sub(lambda m: slots[m.group(1)], pattern)
    return re.sub(r" +([,.?!])", r"\1", re.sub(r"  +", " ", text)).strip()


def capital(text: str) -> str:
    """Upper-case the first letter only."""
    return text[:1].upper() + text[1:]


def sentence(text: str) -> str:
    """Capital at the start, and `I` wherever it stands alone."""
    return re.sub(r"\bi\b", "I", capital(text))


def article(noun: str) -> str:
    """`an apple`, `a dog`; words that sound otherwise than they look are listed."""
    if noun.startswith(("hour", "honest")):
        return "an " + noun
    if noun.startswith(("uni", "use", "eu", "one")) and not noun.startswith("unin"):
        return "a " + noun
    return ("an " if noun[0].lower() in "aeiou" else "a ") + noun


def join(items: list[str], word: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + f" {word} " + items[-1]


def slip(text: str, rng: Random, keep: set[str]) -> str:
    """One typing mistake in one word of four letters or more that is not in `keep`."""
    words = text.split(" ")
    fit = [i for i, w in enumerate(words) if len(w) >= 4 and w.isalpha() and w.lower() not in keep]
    if not fit:
        return text
    i = rng.choice(fit)
    w = words[i]
    j = rng.randrange(1, len(w) - 1)
    kind = rng.randrange(3)
    if kind == 0:
        words[i] = w[:j] + w[j + 1] + w[j] + w[j + 2 :]
    elif kind == 1:
        words[i] = w[:j] + w[j + 1 :]
    else:
        words[i] = w[:j] + w[j] + w[j:]
    return " ".join(words)


def as_typed(text: str, rng: Random, keep: str = "") -> str:
    """`text` as somebody may type it; words of `keep` are never misspelt."""
    text = sentence(text)
    style = rng.random()
    if style < 0.45:
        return text
    if rng.random() < 0.08:
        text = slip(text, rng, set(keep.lower().split()))
    if rng.random() < 0.75:
        text = text[:1].lower() + text[1:] if rng.random() < 0.2 else text.lower()
    if rng.random() < 0.65:
        text = text.rstrip("?.!") or text
    if rng.random() < 0.5:
        text = text.replace("'", "")
    if rng.random() < 0.15:
        text = text.replace(",", "")
    if rng.random() < 0.06:
        for long, short in CHAT:
            text = re.sub(rf"\b{long}\b", short, text)
    if style > 0.985:
        text = text.upper()
    return text


def wrapped(text: str, rng: Random) -> str:
    """A question with something polite, or something useless, around it."""
    chance = rng.random()
    if chance < 0.10:
        return rng.choice(BEFORE) + text
    if chance < 0.16:
        return text.rstrip("?.") + rng.choice(BEHIND) + ("?" if text.endswith("?") else "")
    return text
