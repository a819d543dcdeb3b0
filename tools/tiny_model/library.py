"""What every conversation is built from: the library of families, and turns out of exchanges."""

from random import Random

from grammar import as_typed, capital, expand
from openended import open_families
from tables import Exchange, blocks
from words import word_families
from world import world_families

Talk = list[tuple[str, str]]


class Library:
    """All families by name, drawn with their weights."""

    def __init__(self) -> None:
        known = blocks("talk.txt", 1.7, wrap=False) + blocks("facts.txt", 0.9)
        known += word_families() + world_families() + open_families()
        self.families = known
        self.by_name = {f.name: f for f in known}
        self.weights = [f.weight for f in known]

    def exchange(self, rng: Random) -> Exchange:
        return rng.choices(self.families, self.weights)[0].draw(rng)

    def named(self, name: str, rng: Random, row: dict[str, str] | None = None) -> Exchange:
        return self.by_name[name].draw(rng, row=row)


def turns(*exchanges: Exchange) -> Talk:
    return [t for e in exchanges for t in (("user", e.user), ("assistant", e.answer))]


def said(rng: Random, user: str, answer: str, keep: str = "", **slots: str) -> Talk:
    """One exchange from patterns."""
    asked = as_typed(expand(user, rng, **slots), rng, keep + " " + " ".join(slots.values()))
    return [("user", asked), ("assistant", capital(expand(answer, rng, **slots)))]


def single(lib: Library, rng: Random) -> Talk:
    return turns(lib.exchange(rng))


def chatter(lib: Library, rng: Random, most: int = 2) -> Talk:
    return [t for _ in range(rng.randint(0, most)) for t in turns(lib.exchange(rng))]
