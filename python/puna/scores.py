"""`Llama.scores` where not every token's logits are kept: those that are, found by their tokens' places.

Without `logits_all` a `Llama` keeps the logits after the last token alone. A program asks for them by that
token's place, `llm.scores[llm.n_tokens - 1]`, so the array has a row for every token; rows that nobody
computed are an error and no numbers.
"""

from typing import Any, NoReturn

from puna._native import core
from puna.arguments import short, wrong_type
from puna.errors import ContextError


class Scores:
    """Logits f32 `[n_tokens, n_vocab]`, of which the rows from `first` on are there, and those before are not:
    a loop over all of them, and numpy's array of them, are a `ContextError`.

    `rows` are those: a numpy array, or a `puna.Array` where there is no numpy. An index answers what the
    whole array's would; one that takes a row before `first` is a `ContextError`.
    """

    def __init__(self, rows: Any, first: int) -> None:
        self._rows = rows
        self._first = first
        self.shape = (first + len(rows), rows.shape[1])
        self.ndim = 2
        self.dtype = rows.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        place, rest = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        if isinstance(place, slice):
            return self._slice(place, rest)
        if not hasattr(place, "__index__"):
            raise wrong_type("scores[…]", place, "the place of a token, or a slice")
        return self._within(self._rows[self._kept(place.__index__())], rest)

    def __iter__(self) -> NoReturn:
        raise self._not_kept(0)

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise self._not_kept(0)

    def __repr__(self) -> str:
        return f"<scores of {len(self)} tokens, kept from token {self._first} on>"

    def copy(self) -> "Scores":
        rows = self._rows
        return Scores(rows.copy() if hasattr(rows, "copy") else rows, self._first)

    def _slice(self, places: slice, rest: tuple[Any, ...]) -> Any:
        wanted = [self._kept(i) for i in range(len(self))[places]]
        if isinstance(self._rows, core.Array):
            return [self._within(self._rows[i], rest) for i in wanted]
        rows = self._rows[wanted]
        return rows[(slice(None), *rest)] if rest else rows

    def _within(self, row: Any, rest: tuple[Any, ...]) -> Any:
        """A part of a row; of a `puna.Array` numbers and lists of them."""
        if not rest or not isinstance(row, core.Array):
            return row[rest] if rest else row
        if len(rest) > 1:  # as numpy has it
            raise IndexError(f"scores[…] of {1 + len(rest)} places, expected a token's and a logit's")
        part = row[rest[0]]
        return part.tolist() if isinstance(part, core.Array) else part

    def _kept(self, place: int) -> int:
        """Which of the kept rows is that of a token."""
        n = len(self)
        if not -n <= place < n:
            raise IndexError(f"scores[{short(place)}], expected {-n} to {n - 1}: {n} tokens are evaluated")
        if place % n < self._first:
            raise self._not_kept(place)
        return place % n - self._first

    def _not_kept(self, place: int) -> ContextError:
        expected = f"{self._first} or more, or a Llama with logits_all = True"
        return ContextError(f"scores[{place}]: this token's logits are not kept, expected {expected}")
