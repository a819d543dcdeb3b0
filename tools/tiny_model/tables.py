"""Reads the text tables in data/ and knows the one record that every question is made of.

A `Family` is a kind of question: many ways to ask it, a few ways to answer it, and rows that fill
the slots. Ways to ask that are `held` never appear in training; evaluate.py asks only those.
"""

from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from grammar import as_typed, capital, expand, sentence, wrapped

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Exchange:
    """One question as typed, its answer, and the words (`|` between choices) of a right answer."""

    user: str
    answer: str
    key: str


@dataclass(frozen=True)
class Family:
    """Patterns are for grammar.expand; `key` may hold slots. `rows` give the slots."""

    name: str
    ask: tuple[str, ...]
    held: tuple[str, ...]
    answer: tuple[str, ...]
    key: str
    rows: tuple[dict[str, str], ...] = field(default=({},))
    weight: float = 1.0
    wrap: bool = True

    def draw(self, rng: Random, held: bool = False, row: dict[str, str] | None = None) -> Exchange:
        """One exchange; typed roughly in training, cleanly with or without capitals when held."""
        row = rng.choice(self.rows) if row is None else row
        asked = expand(rng.choice(self.held if held else self.ask), rng, **row)
        if held:
            user = rng.choice((sentence(asked), asked.lower().rstrip("?")))
        else:
            user = as_typed(wrapped(asked, rng) if self.wrap else asked, rng, " ".join(row.values()))
        answer = capital(expand(rng.choice(self.answer), rng, **row)).replace("~", "\n")
        return Exchange(user, answer, expand(self.key, rng, **row).lower())


def lines(path: str) -> list[str]:
    text = (DATA / path).read_text(encoding="utf-8")
    return [s for s in text.splitlines() if s and not s.startswith("# ")]


def rows(path: str) -> list[list[str]]:
    """Cells of a `a | b | c` table."""
    return [[cell.strip() for cell in line.split("|")] for line in lines(path)]


def sections(path: str) -> dict[str, list[str]]:
    """Lines under each `[name]` of words.txt."""
    found: dict[str, list[str]] = {}
    for line in lines(path):
        if line.startswith("["):
            found[line.strip("[]")] = current = []
        else:
            current.append(line)
    return found


def blocks(path: str, weight: float, wrap: bool = True) -> list[Family]:
    """Families written out as `= name` with Q, H, A and K lines."""
    families: list[Family] = []
    for text in "\n".join(lines(path)).split("= ")[1:]:
        name, *body = text.strip().splitlines()
        part = {tag: tuple(s[3:] for s in body if s.startswith(tag + ":")) for tag in "QHAK"}
        if not (part["Q"] and part["A"] and part["K"]):
            raise ValueError(f"{path}: block '{name}' needs Q, A and K lines")
        families.append(Family(name, part["Q"], part["H"], part["A"], part["K"][0], weight=weight, wrap=wrap))
    return families
