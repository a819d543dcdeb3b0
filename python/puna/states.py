"""What is in the context, saved and restored, by hand or by a cache."""

import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from puna import hooks
from puna._native import core
from puna.arguments import integer, wrong_type
from puna.arrays import view_of
from puna.caches import BaseLlamaCache, LlamaState, common
from puna.errors import ArgumentError, ContextError, ModelError
from puna.evaluation import Evaluation
from puna.options import Seeds
from puna.tokenizer import Tokenizer

PACKAGE = os.path.dirname(__file__) + os.sep


class States(Evaluation):
    """What `Llama` saves and restores."""

    cache: BaseLlamaCache | None = None
    _cache_failed = False  # and that was said
    _seeds: Seeds
    _tokenizer: Tokenizer

    def save_state(self) -> LlamaState:
        """The context as it is; see `LlamaState`."""
        if (state := self._state_of(0)) is None:
            raise ContextError("the context changed while it was saved, expected no completion meanwhile")
        if self._n_rows():
            scores = hooks.shared(memoryview(self._all_rows()).tobytes(), "f")
            state.scores = scores.reshape(-1, self._tokenizer.n_vocab) if hooks.HAS_NUMPY else scores
        state.seed = self._seeds.seed
        return state

    def load_state(self, state: "LlamaState | bytes") -> None:
        """Puts a saved context in the place of this one; of bytes alone without logits to sample from."""
        data = state.llama_state if isinstance(state, LlamaState) else state
        if not isinstance(data, bytes):
            raise wrong_type("state", state, "a LlamaState or its bytes")
        rows, seeds = [], self._seeds
        if isinstance(state, LlamaState):  # of which nothing is wrong once the context is another
            rows = self._rows_of(state)
            seeds = seeds if state.seed is None else Seeds(state.seed)
        self._session.load(data)
        self._keep_rows(rows)
        self._seeds = seeds

    def set_cache(self, cache: BaseLlamaCache | None) -> None:
        """Completions begin from the best state in `cache`, and leave theirs in it; `None`: no cache."""
        if cache is not None and not isinstance(cache, BaseLlamaCache):
            raise wrong_type("cache", cache, "LlamaRAMCache, LlamaDiskCache or None")
        self.cache = cache
        self._cache_failed = False

    @staticmethod
    def longest_token_prefix(a: Sequence[int], b: Sequence[int]) -> int:
        """How many tokens two texts begin with in common."""
        return common(a, b)

    def _state_of(self, seq: int) -> LlamaState | None:
        """What a sequence holds; `None` where another completion took it meanwhile."""
        session = self._session
        tokens, n_past = session.tokens(seq), session.n_past(seq)
        data = self._waited(lambda: session.save(seq))
        if (tokens, n_past) != (session.tokens(seq), session.n_past(seq)):
            return None
        return LlamaState(hooks.token_array(tokens), None, n_past, data, len(data))

    def _rows_of(self, state: LlamaState) -> list[core.Array]:
        """Logits as rows again, of which a `Llama` without `logits_all` keeps the last."""
        if state.scores is None:
            return []
        n_vocab, n_tokens = self._tokenizer.n_vocab, integer("state.n_tokens", state.n_tokens, 0)
        expected = f"f32 [n, {n_vocab}] of at most n = {n_tokens} tokens"
        view = view_of("state.scores", state.scores, expected)
        n_bytes = 4 * n_vocab
        if view.format.lstrip("@=<") != "f" or view.nbytes % n_bytes or view.nbytes > n_tokens * n_bytes:
            found = f"an array {list(view.shape or ())} of format {view.format!r}"
            raise ArgumentError(f"state.scores = {found}, expected {expected}")
        data = view.tobytes()
        starts = range(0, len(data), n_bytes)[0 if self._session.logits_all else -1 :]
        return [core.concat([core.decode(data[i : i + n_bytes], "F32") for i in starts])] if data else []

    def _recall(self, prompt: Sequence[int]) -> None:
        """Loads the best state of the cache, where it has more of `prompt` than the context."""
        if self.cache is None:
            return
        try:
            state = self.cache[prompt]
        except KeyError:
            return
        except Exception as error:  # a cache of the user's own may raise anything
            return self._note_failure(error)
        session = self._session
        here = max(common(session.tokens(seq), prompt) for seq in range(session.n_seq_max))
        if common(state.input_ids, prompt) > here:
            # A state of another model, a broken file, too little room: the prompt is evaluated instead.
            with suppress(ArgumentError, ContextError, ModelError):
                session.load_idle(state.llama_state)

    def _keep(self, completion: Any) -> None:
        """Puts what a completion left in the context into the cache. The answer is there: whatever fails
        here must not lose it."""
        if self.cache is None or completion.seq is None:
            return
        try:
            if (state := self._state_of(completion.seq)) is not None:
                self.cache[state.input_ids.tolist()] = state
        except Exception as error:
            self._note_failure(error)

    def _note_failure(self, error: Exception) -> None:
        """Says once that the cache does not work; nobody hears it where warnings are made errors."""
        if not self._cache_failed:
            self._cache_failed = True
            message = f"the cache does not work, prompts are evaluated anew: {str(error) or repr(error)}"
            with suppress(RuntimeWarning):
                warnings.warn(message, RuntimeWarning, stacklevel=callers_level())


def callers_level() -> int:
    """The `stacklevel` of a warning that names the line outside this package; in a thread, that of Python's."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame, level = frame.f_back, level + 1
    return level
