"""What is in the context, saved and restored; caches of such states for prompts that come again."""

import array
import hashlib
import os
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from puna._native import core
from puna.arguments import integer, short
from puna.errors import ArgumentError, ContextError, DeviceError, ModelError, refused
from puna.evaluation import Evaluation
from puna.options import Seeds
from puna.tokenizer import Tokenizer


@dataclass
class LlamaState:
    """A context: its tokens, and their keys and values as `puna.Session.save` writes them.

    Only a model of the same file, with the same `type_k`, `type_v`, `n_gpu_layers` and rope frequencies,
    takes it back. It is pickled as it is; `llama_state` alone, bytes, is enough for `load_state` too.
    """

    input_ids: list[int]
    n_tokens: int
    llama_state: bytes
    llama_state_size: int
    seed: int | None = None
    scores: "array.array[float] | None" = None  # logits of the last token, f32 [n_vocab], if it has any


class Cache(ABC):
    """States by their tokens; the one that shares the longest beginning with a prompt serves it."""

    def __init__(self, capacity_bytes: int = 2 << 30) -> None:
        self.capacity_bytes = integer("capacity_bytes", capacity_bytes, 0, 2**62)

    @property
    @abstractmethod
    def cache_size(self) -> int:
        """Bytes of all states."""

    @abstractmethod
    def keys(self) -> list[tuple[int, ...]]:
        """The tokens of each state, the longest unused first."""

    @abstractmethod
    def __getitem__(self, key: Sequence[int]) -> LlamaState:
        """The state that shares the longest beginning with `key`; `KeyError` where none shares any."""

    @abstractmethod
    def __setitem__(self, key: Sequence[int], value: LlamaState) -> None: ...

    def __contains__(self, key: Sequence[int]) -> bool:
        return self._best(key) is not None

    def _best(self, key: Sequence[int]) -> tuple[int, ...] | None:
        """The key with the longest common beginning."""
        found = max(self.keys(), key=lambda other: common(other, key), default=())
        return found if common(found, key) else None


class LlamaRAMCache(Cache):
    """States in memory; those longest unused go when they take more than `capacity_bytes`."""

    def __init__(self, capacity_bytes: int = 2 << 30) -> None:
        super().__init__(capacity_bytes)
        self._states: OrderedDict[tuple[int, ...], LlamaState] = OrderedDict()

    @property
    def cache_size(self) -> int:
        return sum(state.llama_state_size for state in self._states.values())

    def keys(self) -> list[tuple[int, ...]]:
        return list(self._states)

    def __getitem__(self, key: Sequence[int]) -> LlamaState:
        if (found := self._best(key)) is None:
            raise KeyError("no state begins as these tokens do")
        self._states.move_to_end(found)
        return self._states[found]

    def __setitem__(self, key: Sequence[int], value: LlamaState) -> None:
        self._states[tuple(key)] = value
        self._states.move_to_end(tuple(key))
        while self.cache_size > self.capacity_bytes and self._states:
            self._states.popitem(last=False)


LlamaCache = LlamaRAMCache


class LlamaDiskCache(Cache):
    """States in a folder, a file each: they are there for the next process too."""

    def __init__(
        self, cache_dir: str | os.PathLike[str] = ".cache/llama_cache", capacity_bytes: int = 2 << 30
    ) -> None:
        super().__init__(capacity_bytes)
        self._folder = Path(cache_dir)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise refused(error) from error

    @property
    def cache_size(self) -> int:
        return sum(path.stat().st_size for path in self._paths())

    def keys(self) -> list[tuple[int, ...]]:
        return list(self._keys())

    def __getitem__(self, key: Sequence[int]) -> LlamaState:
        paths = self._keys()
        if (found := self._best(key)) is None:
            raise KeyError("no state begins as these tokens do")
        path = paths[found]
        os.utime(path)
        data = path.read_bytes()[8 + 4 * len(found) :]
        return LlamaState(list(found), len(found), data, len(data))

    def __setitem__(self, key: Sequence[int], value: LlamaState) -> None:
        head = len(key).to_bytes(8, "little") + b"".join(int(t).to_bytes(4, "little") for t in key)
        path = self._folder / (hashlib.sha256(head).hexdigest() + ".state")
        beside = path.with_suffix(f".{os.getpid()}")
        beside.write_bytes(head + value.llama_state)
        beside.replace(path)
        paths = self._paths()
        while paths and self.cache_size > self.capacity_bytes:
            paths.pop(0).unlink(missing_ok=True)

    def _paths(self) -> list[Path]:
        """The files, the longest unused first."""
        return sorted(self._folder.glob("*.state"), key=lambda path: path.stat().st_mtime_ns)

    def _keys(self) -> dict[tuple[int, ...], Path]:
        return {tokens_of(path): path for path in self._paths()}


def tokens_of(path: Path) -> tuple[int, ...]:
    with path.open("rb") as file:
        n = min(int.from_bytes(file.read(8), "little"), path.stat().st_size // 4)
        data = file.read(4 * n)
    return tuple(int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4))


def common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two texts begin with in common."""
    pairs = enumerate(zip(a, b))
    return next((i for i, (x, y) in pairs if x != y), min(len(a), len(b)))


class States(Evaluation):
    """What `Llama` saves and restores."""

    cache: Cache | None = None
    _seeds: Seeds
    _tokenizer: Tokenizer

    def save_state(self) -> LlamaState:
        """The context as it is; see `LlamaState`."""
        state = self._state_of(0)
        state.scores = array.array("f", memoryview(self._row(None))) if self._rows else None
        state.seed = self._seeds.seed
        return state

    def load_state(self, state: "LlamaState | bytes") -> None:
        """Puts a saved context in the place of this one; of bytes alone without logits to sample from."""
        data = state.llama_state if isinstance(state, LlamaState) else state
        if not isinstance(data, bytes):
            raise ArgumentError(f"state = {short(state)}, expected a LlamaState or its bytes")
        self._session.load(data)
        self._rows = []
        if isinstance(state, LlamaState):
            self._seeds = self._seeds if state.seed is None else Seeds(state.seed)
            if state.scores is not None:
                self._rows = [core.concat([core.decode(state.scores.tobytes(), "F32")])]

    def set_cache(self, cache: Cache | None) -> None:
        """Completions begin from the best state in `cache`, and leave theirs in it; `None`: no cache."""
        if cache is not None and not isinstance(cache, Cache):
            raise ArgumentError(f"cache = {short(cache)}, expected LlamaRAMCache, LlamaDiskCache or None")
        self.cache = cache

    @staticmethod
    def longest_token_prefix(a: Sequence[int], b: Sequence[int]) -> int:
        """How many tokens two texts begin with in common."""
        return common(a, b)

    def _state_of(self, seq: int) -> LlamaState:
        session = self._session
        data = session.save(seq)
        if data is None:
            self._wait_until(lambda: session.save(seq) is not None)
            data = session.save(seq)
        if data is None:
            raise DeviceError("the context cannot be read back from this device")
        tokens = session.tokens(seq)
        return LlamaState(tokens, session.n_past(seq), data, len(data))

    def _recall(self, prompt: Sequence[int]) -> None:
        """Loads the best state of the cache, where it has more of `prompt` than the context."""
        if self.cache is None or prompt not in self.cache:
            return
        session = self._session
        state = self.cache[prompt]
        here = max(common(session.tokens(seq), prompt) for seq in range(session.n_seq_max))
        if common(state.input_ids, prompt) > here:
            # A state of another model, a broken file, too little room: the prompt is evaluated instead.
            with suppress(ArgumentError, ContextError, ModelError):
                session.load_idle(state.llama_state)

    def _keep(self, completion: Any) -> None:
        """Puts what a completion left in the context into the cache."""
        if self.cache is not None and completion.seq is not None:
            state = self._state_of(completion.seq)
            self.cache[state.input_ids] = state
