"""Evaluation by hand: tokens in, logits out; what `Llama` has besides completions."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self, TypeVar

from puna import hooks
from puna._native import core
from puna.arguments import integer, token_list
from puna.errors import ContextError, DeviceError, UnsupportedError
from puna.scores import Scores
from puna.sources import IN_BROWSER

T = TypeVar("T")


class Evaluation:
    """The session of a model and the logits of the tokens evaluated in it."""

    def __init__(self, session: core.Session | None, host: Any = None) -> None:
        self._open_session = session
        self._host = host
        self._embeds = False
        # Logits of the last tokens, as they were evaluated; numpy's once somebody may have written to them.
        self._rows: list[Any] = []
        self._rows_behind: list[int] = []  # the context after the last of them
        self._turn = threading.Lock()  # from the start of an evaluation until its results are read

    @property
    def _session(self) -> core.Session:
        if self._open_session is None:
            raise UnsupportedError(
                "vocab_only = True: this model has no weights, expected vocab_only = False"
            )
        return self._open_session

    def eval(self, tokens: Sequence[int]) -> None:
        """Evaluates `tokens` after those that are in the context; `scores` has their logits."""
        self._check_generates()
        with self._evaluating():
            self._evaluate(tokens)

    async def aeval(self, tokens: Sequence[int]) -> None:
        """The same, awaited."""
        self._check_generates()
        for piece in self._pieces(tokens):
            if IN_BROWSER:
                self._session.eval_start(piece)
            else:
                started = asyncio.ensure_future(asyncio.to_thread(self._session.eval_start, piece))
                try:
                    await asyncio.shield(started)
                except asyncio.CancelledError:
                    await asyncio.wait([started])  # its tokens come before whatever is done next
                    raise
            while (rows := self._session.eval_finish()) is None:
                await self._host.ready()
            self._take(rows, len(piece))
            await asyncio.sleep(0)

    @property
    def n_tokens(self) -> int:
        """Tokens in the context. A smaller number may be set: what comes after is forgotten."""
        return self._session.n_past()

    @n_tokens.setter
    def n_tokens(self, n: int) -> None:
        n_now = self._session.n_past()
        wanted = integer("n_tokens", n, 0, n_now)
        # What is forgotten takes its own rows along.
        n_kept = self._n_rows() - (n_now - wanted)
        kept = [parted(self._all_rows(), n_kept)] if n_kept > 0 else []
        self._session.remove(0, wanted, n_now)
        self._keep_rows(kept)

    @property
    def eval_tokens(self) -> list[int]:
        """The tokens in the context."""
        return self._session.tokens()

    @property
    def input_ids(self) -> Any:
        """The same as an array, i32 `[n_tokens]`: numpy's where numpy is installed."""
        return hooks.token_array(self.eval_tokens)

    @property
    def eval_logits(self) -> list[list[float]]:
        """Logits as lists: of all tokens with `logits_all`, else of the last one."""
        return self._all_rows().tolist() if self._n_rows() else []

    @property
    def scores(self) -> Any:
        """Logits of the tokens in the context, f32 `[n_tokens, n_vocab]`: `scores[n_tokens - 1]` is what
        comes next. Without `logits_all` only that row is kept, and the others are an error (`puna.scores`).
        `eval` leaves them, and `generate` with `logits_all`; completions leave none.
        Rows are numpy arrays where numpy is installed (natively it always is), and what is written to them
        is what `sample` and `eval_logits` read; else they are `puna.Array`, which nobody writes to.
        """
        rows = self._all_rows()
        if hooks.HAS_NUMPY and isinstance(rows, core.Array):
            import numpy

            rows = numpy.array(rows)
            self._rows = [rows]
        first = self.n_tokens - len(rows)
        if not first:
            return rows
        if self._session.logits_all:
            return Scores(rows, first, "reset() and eval() of all: a completion before them left none")
        return Scores(rows, first, "a Llama with logits_all = True")

    @staticmethod
    def logits_to_logprobs(logits: Any, axis: int = -1) -> Any:
        """Log-probabilities, f32, of logits of any shape: the logarithm of softmax along `axis`. Needs numpy."""
        import numpy

        values = numpy.asarray(logits, dtype=numpy.single)
        most = numpy.max(values, axis=axis, keepdims=True)
        below = values - numpy.where(numpy.isfinite(most), most, 0)
        return below - numpy.log(numpy.sum(numpy.exp(below), axis=axis, keepdims=True))

    def reset(self) -> None:
        """Empties the context."""
        for seq in range(self._session.n_seq_max):
            self._session.remove(seq, 0, self._session.n_ctx)
        self._keep_rows([])

    def n_ctx(self) -> int:
        """Tokens that the context holds."""
        return self._session.n_ctx

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

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """One evaluation at a time: threads wait for their turn. In a browser tab nobody can: its only thread
        lets other tasks run while it waits for the GPU, and one that waited there would keep it for ever."""
        if not self._turn.acquire(blocking=self._host is None):
            raise UnsupportedError(
                "an evaluation of this model is waited for already, expected it to end first: a tab has one thread"
            )
        try:
            yield
        finally:
            self._turn.release()

    def _evaluate(self, tokens: Sequence[int]) -> None:
        """`eval` by whoever has the turn."""
        for piece in self._pieces(tokens):
            self._session.eval_start(piece)
            self._take(self._finished(), len(piece))

    def _pieces(self, tokens: Sequence[int]) -> Iterator[list[tuple[int, int, bool]]]:
        """Batches of the tokens: each with its sequence, and whether its logits are wanted."""
        session = self._session
        given = token_list("tokens", tokens)
        n_past, n_new = session.n_past(), len(given)
        if n_past + n_new > session.n_ctx:
            raise ContextError(
                f"{n_new} tokens after {n_past} do not fit the context window of n_ctx = {session.n_ctx} tokens"
            )
        for start in range(0, n_new, session.n_batch):
            piece = given[start : start + session.n_batch]
            last = len(piece) - 1
            yield [(token, 0, session.logits_all or i == last) for i, token in enumerate(piece)]

    def _finished(self, hidden: bool = False) -> core.Array:
        """Results of the evaluation that was started, waited for."""
        session = self._session
        return self._waited(lambda: session.eval_finish(hidden=hidden))

    def _waited(self, ask: Callable[[], T | None]) -> T:
        """What `ask` answers once the device has it; only that of a browser tab lets one wait."""
        if (found := ask()) is not None:
            return found
        if self._host is None:
            raise DeviceError(f"{self.device}: no answer, expected one at once")
        from puna.browser import wait_for

        async def wait() -> T:
            while (found := ask()) is None:
                await self._host.ready()
            return found

        return wait_for(wait())

    def _check_generates(self) -> None:
        if self._embeds:
            raise UnsupportedError(
                "embedding = True: this model was opened to embed, expected embedding = False"
            )

    def _row(self, index: int | None) -> Any:
        """The logits of one token of the context, by default the last: f32 `[n_vocab]`."""
        rows = self._all_rows()
        if index is None:
            return rows[-1]
        first = self.n_tokens - len(rows)
        return rows[integer("idx", index, first, self.n_tokens - 1) - first]

    def _all_rows(self) -> Any:
        if not self._n_rows():
            found = "no tokens have been evaluated"
            if n := self.n_tokens:
                found = f"of the {n} tokens in the context no logits are kept"
                found += " (completions leave none, generate() only with logits_all = True)"
            raise ContextError(f"{found}, expected a call of eval first")
        if len(self._rows) > 1:
            self._rows = [joined(self._rows, self._session.n_ctx)]
        return self._rows[0]

    def _n_rows(self) -> int:
        """How many tokens have logits; none any more where a completion changed the context since."""
        if self._rows_behind != self._session.tokens():
            self._rows = []
        return sum(len(rows) for rows in self._rows)

    def _keep_rows(self, rows: list[Any]) -> None:
        self._rows = rows
        self._rows_behind = self._session.tokens() if rows else []

    def _take(self, rows: core.Array, n_tokens: int) -> None:
        """Keeps the rows of the last tokens; before them only rows without a gap are kept."""
        goes_on = self._rows_behind == self._session.tokens()[: self._session.n_past() - n_tokens]
        before = self._rows if self._session.logits_all and goes_on else []
        self._keep_rows([*before, rows])


def joined(rows: list[Any], n_most: int) -> Any:
    """Rows one after another, as numpy's array where some of them are that. A numpy array has room for more
    behind it, up to `n_most` rows: a program that reads the logits after each token copies that token's alone.
    """
    if all(isinstance(each, core.Array) for each in rows):
        return core.concat(rows)
    import numpy

    n = sum(len(each) for each in rows)
    first, whole = rows[0], getattr(rows[0], "base", None)
    if whole is None or len(whole) < n:
        whole = numpy.empty((max(n, min(2 * n, n_most)), first.shape[1]), numpy.single)
        whole[: len(first)] = first
    at = len(first)
    for each in rows[1:]:
        whole[at : at + len(each)] = each
        at += len(each)
    return whole[:n]


def parted(rows: Any, n: int) -> Any:
    """The first rows. What comes behind a numpy array is written over; who has the others keeps them."""
    if n == len(rows) or isinstance(rows, core.Array):
        return rows[:n]
    return rows[:n].copy()
