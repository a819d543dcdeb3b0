"""`Llama.scores` where not every token's logits are kept: those that are, found by their tokens' places.

Without `logits_all` a `Llama` keeps the logits after the last token alone, and a completion leaves none. A
program asks for them by their tokens' places, `llm.scores[llm.n_tokens - 1]`, so the array has a row for every
token; rows that nobody computed are an error and no numbers. Numpy's rows may be written to.
"""

from typing import Any, NoReturn

from puna._native import core
from puna.arguments import short, wrong_type
from puna.errors import ContextError, UnsupportedError

READ_ONLY = "scores cannot be written to without numpy, expected logit_bias or a logits_processor of sample()"


class Scores:
    """Logits f32 `[n_tokens, n_vocab]`, of which the rows from `first` on are there, and those before are not:
    a loop over all of them, and numpy's array of them, are a `ContextError`.

    `rows` are those: a numpy array, or a `puna.Array` where there is no numpy; `remedy` is what keeps more. An
    index answers what the whole array's would; one that takes a row before `first` is a `ContextError`.
    """

    def __init__(self, rows: Any, first: int, remedy: str) -> None:
        self._rows = rows
        self._first = first
        self._remedy = remedy
        self.shape = (first + len(rows), rows.shape[1])
        self.ndim = 2
        self.dtype = rows.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        place, *rest = self._found(key)
        if not isinstance(self._rows, core.Array):
            return self._rows[(place, *rest)]
        if isinstance(place, slice):
            return [within(row, rest) for row in self._rows[place]]
        return within(self._rows[place], rest)

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(self._rows, core.Array):
            raise UnsupportedError(READ_ONLY)
        self._rows[self._found(key)] = value

    def __iter__(self) -> NoReturn:
        raise self._not_kept(0)

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise self._not_kept(0)

    def __repr__(self) -> str:
        return f"<scores of {len(self)} tokens, kept from token {self._first} on>"

    def copy(self) -> "Scores":
        rows = self._rows
        return Scores(rows.copy() if hasattr(rows, "copy") else rows, self._first, self._remedy)

    def _found(self, key: Any) -> tuple[Any, ...]:
        """The index of the kept rows that an index of all of them means."""
        place, *rest = key if isinstance(key, tuple) else (key,)
        if isinstance(place, slice):
            wanted = range(len(self))[place]
            kept = [self._kept(i) for i in wanted]
            behind = wanted.stop - self._first
            found = slice(kept[0], None if behind < 0 else behind, wanted.step) if kept else slice(0)
            return (found, *rest)
        if not hasattr(place, "__index__"):
            raise wrong_type("scores[…]", place, "the place of a token, or a slice")
        return (self._kept(place.__index__()), *rest)

    def _kept(self, place: int) -> int:
        """Which of the kept rows is that of a token."""
        n = len(self)
        if not -n <= place < n:
            raise IndexError(f"scores[{short(place)}], expected {-n} to {n - 1}: {n} tokens are evaluated")
        if place % n < self._first:
            raise self._not_kept(place)
        return place % n - self._first

    def _not_kept(self, place: int) -> ContextError:
        expected = f"{self._first} or more, or {self._remedy}"
        return ContextError(f"scores[{place}]: this token's logits are not kept, expected {expected}")


def within(row: core.Array, rest: list[Any]) -> Any:
    """A part of a row: numbers and lists of them."""
    if not rest:
        return row
    if len(rest) > 1:  # as numpy has it
        raise IndexError(f"scores[…] of {1 + len(rest)} places, expected a token's and a logit's")
    part = row[rest[0]]
    return part.tolist() if isinstance(part, core.Array) else part
