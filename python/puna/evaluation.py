"""Evaluation by hand: tokens in, logits out; what `Llama` has besides completions."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Self

from puna._native import core
from puna.arguments import integer
from puna.errors import ContextError, UnsupportedError
from puna.sources import IN_BROWSER


class Evaluation:
    """The session of a model and the logits of the tokens evaluated in it."""

    def __init__(self, session: core.Session | None, host: Any = None) -> None:
        self._open_session = session
        self._host = host
        self._rows: list[core.Array] = []  # logits, as they were evaluated

    @property
    def _session(self) -> core.Session:
        if self._open_session is None:
            raise UnsupportedError(
                "vocab_only = True: this model has no weights, expected vocab_only = False"
            )
        return self._open_session

    def eval(self, tokens: Sequence[int]) -> None:
        """Evaluates `tokens` after those that are in the context; `scores` has their logits."""
        if self._host is not None:
            from puna.browser import wait_for

            wait_for(self.aeval(tokens))
            return
        for piece in self._pieces(tokens):
            self._session.eval_start(piece)
            self._take(self._session.eval_finish(), len(piece))

    async def aeval(self, tokens: Sequence[int]) -> None:
        """The same, awaited."""
        for piece in self._pieces(tokens):
            if IN_BROWSER:
                self._session.eval_start(piece)
            else:
                await asyncio.to_thread(self._session.eval_start, piece)
            while (rows := self._session.eval_finish()) is None:
                await self._host.ready()
            self._take(rows, len(piece))
            await asyncio.sleep(0)

    @property
    def n_tokens(self) -> int:
        """Tokens in the context. A smaller number may be set: what comes after is forgotten."""
        return self._session.n_tokens

    @n_tokens.setter
    def n_tokens(self, n: int) -> None:
        n_now = self._session.n_tokens
        self._session.truncate(integer("n_tokens", n, 0, n_now))
        self._rows = [] if n == 0 else self._rows

    @property
    def eval_tokens(self) -> list[int]:
        """The tokens in the context."""
        return self._session.tokens

    @property
    def scores(self) -> Any:
        """Logits of the tokens evaluated by `eval`, f32: `[n_tokens, n_vocab]` with `logits_all`, else
        `[1, n_vocab]`, those after the last token. A numpy array where numpy is installed (natively it
        always is), else a `puna.Array`; in both cases without a copy.
        """
        rows = self._all_rows()
        try:
            import numpy
        except ModuleNotFoundError:  # in a browser tab it is optional
            return rows
        return numpy.asarray(rows)

    def reset(self) -> None:
        """Empties the context."""
        self._session.truncate(0)
        self._rows = []

    def n_ctx(self) -> int:
        """Tokens that the context holds."""
        return self._session.n_ctx

    def n_embd(self) -> int:
        return self._session.n_embd

    @property
    def device(self) -> str:
        """What runs the model."""
        return "none" if self._open_session is None else self._open_session.device

    @property
    def n_bytes(self) -> int:
        """Memory held for weights, activations and cache, besides the mapped file."""
        return self._session.n_bytes

    def close(self) -> None:
        """Frees the model. Completions under way are stopped."""
        self._rows = []
        if self._open_session is not None:
            self._open_session.close()
        if self._host is not None:
            self._host.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _pieces(self, tokens: Sequence[int]) -> Iterator[list[int]]:
        session = self._session
        n_past, n_new = session.n_tokens, len(tokens)
        if n_past + n_new > session.n_ctx:
            raise ContextError(
                f"{n_new} tokens after {n_past} do not fit the context window of n_ctx = {session.n_ctx} tokens"
            )
        for start in range(0, n_new, session.n_batch):
            yield [int(token) for token in tokens[start : start + session.n_batch]]

    def _all_rows(self) -> core.Array:
        if not self._rows:
            raise ContextError("no tokens have been evaluated, expected a call of eval first")
        if len(self._rows) > 1:
            self._rows = [core.concat(self._rows)]
        return self._rows[0]

    def _take(self, rows: "core.Array | None", n_tokens: int) -> None:
        """Keeps the rows of the last tokens; before them only rows without a gap are kept."""
        assert rows is not None, "a device that must be awaited has a host"
        if not self._session.logits_all:
            self._rows = [rows]
            return
        n_kept = sum(len(r) for r in self._rows)
        n_before = self._session.n_tokens - n_tokens
        if n_kept != n_before:
            self._rows = [] if n_kept < n_before else [core.concat(self._rows, n_before)]
        self._rows.append(rows)
