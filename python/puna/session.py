"""`Model` and `Session`: a file, and several sequences evaluated in one batch."""

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Never, Self

from puna import arguments, sources
from puna._native import core
from puna.device import warn_of_software, warn_of_threads
from puna.errors import ArgumentError, ContextError, UnsupportedError, refused
from puna.evaluation import Evaluation
from puna.gguf import Metadata, type_of
from puna.options import CONTEXT, session_options
from puna.sources import Progress, Source
from puna.tokenizer import Tokenizer

# Behind every position.
END = 2**31 - 1


class Model:
    """A model file: metadata, tokenizer, sizes. Weights are read by a `Session`, of which it may have many.

    `source` is a path, bytes, or a file object. Without `mmap` a path is read instead of mapped.
    `kv_overrides` are metadata to use instead of the file's, by key.
    """

    def __init__(
        self,
        source: Source,
        *,
        mmap: bool = True,
        kv_overrides: Mapping[str, Any] | None = None,
        **others: Never,
    ) -> None:
        arguments.refuse("Model", arguments.names(Model.__init__), others, {})
        given = arguments.mapping("kv_overrides", kv_overrides)
        overrides = [(key, value, type_of(key, value)) for key, value in given.items()]
        given_source = sources.checked("source", source)
        self._core = core.Model(given_source, mmap=arguments.flag("mmap", mmap), overrides=overrides)
        self.name = sources.name_of(source)
        self.metadata = Metadata(self._core.file)
        self.tokenizer = Tokenizer(self._core.tokenizer)

    @property
    def hparams(self) -> dict[str, Any]:
        """Sizes by GGUF's names: `n_embd`, `n_layer`, `n_head`, `context_length`, …"""
        return self._core.hparams()

    def __repr__(self) -> str:
        return f"<puna.Model {self.name!r}>"


class Session:
    """Weights and a cache: evaluates tokens of several sequences, each after what it has already.

    `model` is a `Model` or what one is made of. `n_ctx` cells (0: as many as the model was trained for)
    are shared by `n_seq_max` sequences (at most 64), numbered from 0. Up to `n_batch` tokens run at once;
    more are cut into several runs. `logits_all` lets every token of a batch have logits, `hidden` keeps
    the last layer's states beside them; with `embedding` states are all there is. `type_k`, `type_v` are
    the cache's types. With `swa_full=False` layers with a sliding window keep no more than it (on the CPU):
    `remove` and `copy` then refuse to go back to what has slid out. The other options are `Llama`'s. Arrays
    are `puna.Array`: `numpy.asarray(x)` shares their memory.

    Freed by `close()` or at the end of `with`. Threads take turns; `hidden` is then that of any.
    """

    def __init__(
        self,
        model: "Model | Source",
        *,
        n_ctx: int = 512,
        n_batch: int = 512,
        n_ubatch: int | None = None,
        n_seq_max: int = 1,
        n_threads: int | None = None,
        n_threads_batch: int | None = None,
        n_gpu_layers: int = 0,
        logits_all: bool = False,
        hidden: bool = False,
        embedding: bool = False,
        type_k: int | str | None = None,
        type_v: int | str | None = None,
        swa_full: bool | None = None,
        rope_freq_base: float = 0.0,
        rope_freq_scale: float = 0.0,
        progress: Progress | None = None,
        **others: Never,
    ) -> None:
        given = locals()
        arguments.refuse("Session", arguments.names(Session.__init__), others, {})
        if sources.IN_BROWSER and n_gpu_layers:
            expected = "0 in a browser tab; puna.Llama.aload opens WebGPU"
            raise ArgumentError(f"n_gpu_layers = {n_gpu_layers}, expected {expected}")
        options = session_options(**{name: given[name] for name in CONTEXT})
        self.model = model if isinstance(model, Model) else Model(source_of(model))
        heard = arguments.function("progress", progress)
        self._has_hidden, self._embeds = arguments.flag("hidden", hidden), options["embedding"]
        self._core = self.model._core.session(**options, hidden=self._has_hidden, progress=heard)
        warn_of_software(self._core)
        warn_of_threads(n_threads, n_threads_batch)
        self._hidden: Any = None
        self._turn = threading.Lock()  # from the start of an evaluation until its results are read

    def eval(self, batch: "Mapping[int, Sequence[int]] | Sequence[int]", *, all: bool = False) -> Any:
        """Evaluates tokens, each list at the end of its sequence.

        A list of token ids goes to sequence 0 and answers one array; `{sequence: token ids}` answers
        `{sequence: array}`. An array is f32 `[1, n_vocab]`, the logits of the last token, or with `all`
        those of each, `[n_tokens, n_vocab]`; in an `embedding` session the states, `[…, n_embd]`.

        Errors: `ContextError` where the cache is full, `TokenError` for an id that there is not. Then
        none of the tokens is in the context.
        """
        lists = batch if isinstance(batch, Mapping) else {0: batch}
        items = self._items(lists, arguments.flag("all", all))
        with self._turn:
            logits, states = self._run_or_undo(items, lists)
            joined = [{seq: core.concat(rows) for seq, rows in kept.items()} for kept in (logits, states)]
            found, hidden = (each if isinstance(batch, Mapping) else each[0] for each in joined)
            self._hidden = hidden
        return hidden if self._embeds else found

    @property
    def hidden(self) -> Any:
        """The last layer's states (behind the last norm) of the tokens whose logits the last `eval`
        answered, f32 `[…, n_embd]`, in the same form. Needs `hidden=True`."""
        if not (self._has_hidden or self._embeds):
            raise UnsupportedError("hidden = False: no states are kept, expected hidden = True")
        if self._hidden is None:
            raise ContextError("no tokens have been evaluated, expected a call of eval first")
        return self._hidden

    def n_past(self, seq: int = 0) -> int:
        """Where a sequence goes on: one past its last position."""
        return self._core.n_past(number(seq))

    def tokens(self, seq: int = 0) -> list[int]:
        """The tokens at positions 0, 1, … of a sequence, up to the first that was removed or moved."""
        return self._core.tokens(number(seq))

    def copy(self, source: int, target: int, n: int | None = None) -> None:
        """Makes the tokens of `source` (the first `n`) those of `target` too, which must be empty. They
        share cells of the cache: no memory, no time."""
        n_past = self.n_past(source)
        self._core.share(
            number(source), number(target), n_past if n is None else arguments.integer("n", n, 0, n_past)
        )

    def remove(self, seq: int = 0, start: int = 0, stop: int | None = None) -> None:
        """Removes positions `start` to `stop` (by default the end) of a sequence; what comes after stays
        where it is."""
        end = max(self.n_past(seq), 1)
        first = arguments.integer("start", start, 0)
        upper = end if stop is None else arguments.integer("stop", stop, first)
        self._core.remove(number(seq), first, upper)

    def shift(self, seq: int, keep: int, n: int) -> None:
        """Drops `n` tokens after the first `keep` and moves the rest down, to make room at the end. Its
        cells must not be shared (`copy`)."""
        self._core.shift(number(seq), arguments.integer("keep", keep, 0), arguments.integer("n", n, 0))

    def save(self, seq: int = 0, path: "str | os.PathLike[str] | None" = None) -> bytes:
        """A sequence as bytes, written to `path` too where one is given (beside it first, so that nobody
        sees half a file). Only a session of the same model, types and layers on the GPU takes it back."""
        place = None if path is None else arguments.path("path", path)
        data = self._core.save(number(seq))
        assert data is not None, "only a browser tab's GPU is awaited"
        if place is not None:
            beside = Path(f"{place}.{os.getpid()}")
            try:
                beside.write_bytes(data)
                beside.replace(place)
            except OSError as error:
                beside.unlink(missing_ok=True)
                error.filename = None  # the file meant is `path`, and not that beside it
                raise refused(error, place) from error
        return data

    def load(self, data: "bytes | str | os.PathLike[str]", seq: int = 0) -> None:
        """Puts a saved sequence, bytes or a file, in the place of `seq`."""
        try:
            found = data if isinstance(data, bytes) else Path(os.fspath(data)).read_bytes()
        except OSError as error:
            raise refused(error, str(data)) from error
        except TypeError as error:
            raise arguments.wrong_type("data", data, "bytes or a path") from error
        self._core.load(found, number(seq))

    @property
    def n_ctx(self) -> int:
        """Cells of the cache, shared by all sequences."""
        return self._core.n_ctx

    @property
    def n_batch(self) -> int:
        """Most tokens in one run."""
        return self._core.n_batch

    @property
    def n_seq_max(self) -> int:
        return self._core.n_seq_max

    @property
    def n_embd(self) -> int:
        return self._core.n_embd

    @property
    def n_vocab(self) -> int:
        return self.model.tokenizer.n_vocab

    @property
    def n_bytes(self) -> int:
        """Memory held for weights, activations and cache, besides the mapped file."""
        return self._core.n_bytes

    @property
    def device(self) -> str:
        """What runs the model."""
        return self._core.device

    def close(self) -> None:
        """Frees weights and cache."""
        self._hidden = None
        self._core.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run_or_undo(self, items: list[tuple[int, int, bool]], lists: Mapping[int, Sequence[int]]) -> Any:
        """The same as `_run`; after an error nothing of it is in the context."""
        before = {seq: self.n_past(seq) for seq in lists}
        try:
            return self._run(items, lists)
        except BaseException:  # Ctrl-C too
            for seq, n_past in before.items():
                self._core.remove(seq, n_past, END)
            raise

    def _run(
        self, items: list[tuple[int, int, bool]], lists: Mapping[int, Sequence[int]]
    ) -> tuple[dict[int, list[core.Array]], dict[int, list[core.Array]]]:
        """Logits and states of each sequence, run by run."""
        logits: dict[int, list[core.Array]] = {seq: [] for seq in lists}
        states: dict[int, list[core.Array]] = {seq: [] for seq in lists}
        for start in range(0, len(items), self.n_batch):
            piece = items[start : start + self.n_batch]
            self._core.eval_start(piece)
            seqs = [seq for _, seq, wanted in piece if wanted]
            for kept, is_hidden in self._kinds(logits, states):
                rows = self._core.eval_finish(hidden=is_hidden) if seqs else None
                spread(kept, seqs, rows)
        return logits, states

    def _items(self, lists: Mapping[int, Sequence[int]], every: bool) -> list[tuple[int, int, bool]]:
        """Tokens with their sequences, and whether they have an output."""
        if every and not (self._core.logits_all or self._embeds):
            raise ArgumentError("all = True, expected False unless the session has logits_all = True")
        items: list[tuple[int, int, bool]] = []
        for seq, tokens in lists.items():
            given = arguments.token_list("tokens", tokens)
            if not given:
                raise ArgumentError(f"sequence {seq}: no tokens, expected at least one")
            last = len(given) - 1
            items += [(token, number(seq), every or i == last) for i, token in enumerate(given)]
        return items

    def _kinds(self, logits: Any, states: Any) -> list[tuple[Any, bool]]:
        """What is read after a run: logits, states, or both."""
        kinds = [] if self._embeds else [(logits, False)]
        return [*kinds, (states, True)] if self._has_hidden or self._embeds else kinds


def source_of(model: object) -> Any:
    """What a `Model` is made of, given in its place."""
    if isinstance(model, Evaluation):
        expected = "a Model or its file: a Llama has a session already, puna.Model(llm.model_path) is another"
        raise arguments.wrong_type("model", model, expected)
    if model is None:
        raise arguments.wrong_type("model", model, "a Model, a path, bytes, or a file object")
    return sources.checked("model", model)


def number(seq: object) -> int:
    return arguments.integer("seq", seq, 0)


def spread(kept: dict[int, list[core.Array]], seqs: list[int], rows: "core.Array | None") -> None:
    """Puts rows where their sequences are; those of one sequence lie one after another."""
    start = 0
    while rows is not None and start < len(seqs):
        seq = seqs[start]
        stop = next((i for i in range(start, len(seqs)) if seqs[i] != seq), len(seqs))
        kept[seq].append(core.slice_rows(rows, start, stop))
        start = stop
