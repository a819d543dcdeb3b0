"""A saved context, and caches of such for prompts that come again: in memory, in a folder."""

import hashlib
import os
import threading
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from puna.arguments import integer
from puna.errors import FileError, refused
from puna.hooks import token_array

# How far apart the uses of two states are at least: a browser tab keeps a file's time in milliseconds.
TICK_NS = 1_000_000


@dataclass
class LlamaState:
    """A context: its tokens, and their keys and values as `puna.Session.save` writes them.

    Only a model of the same file, with the same `type_k`, `type_v`, `n_gpu_layers` and rope frequencies,
    takes it back. It is pickled as it is; `llama_state` alone, bytes, is enough for `load_state` too.
    """

    # i32 [n_tokens]: numpy's where numpy is, else `array.array`. Arrays have no one answer to ==, and the
    # bytes below have the tokens too.
    input_ids: Any = field(compare=False, repr=False)
    # Logits of the last tokens, as many as are kept: f32 [n_rows, n_vocab], a row behind another in an
    # `array.array` where there is no numpy; `None` where there are none.
    scores: Any = field(compare=False, repr=False)
    n_tokens: int
    llama_state: bytes = field(repr=False)
    llama_state_size: int
    seed: int | None = None


class BaseLlamaCache(ABC):
    """States by their tokens; the one that shares the longest beginning with a prompt serves it."""

    def __init__(self, capacity_bytes: int = 2 << 30) -> None:
        self.capacity_bytes = integer("capacity_bytes", capacity_bytes, 0, 2**62)

    @property
    @abstractmethod
    def cache_size(self) -> int:
        """Bytes of all states."""

    @abstractmethod
    def __getitem__(self, key: Sequence[int]) -> LlamaState:
        """The state that shares the longest beginning with `key`; `KeyError` where none shares any."""

    @abstractmethod
    def __contains__(self, key: Sequence[int]) -> bool: ...

    @abstractmethod
    def __setitem__(self, key: Sequence[int], value: LlamaState) -> None: ...


class Cache(BaseLlamaCache):
    """A cache that knows its keys."""

    @abstractmethod
    def keys(self) -> list[tuple[int, ...]]:
        """The tokens of each state, the longest unused first."""

    def __contains__(self, key: Sequence[int]) -> bool:
        return best(self.keys(), key) is not None


class LlamaRAMCache(Cache):
    """States in memory; those longest unused go when they take more than `capacity_bytes`.

    Threads may share it: asynchronous completions use it in threads.
    """

    def __init__(self, capacity_bytes: int = 2 << 30) -> None:
        super().__init__(capacity_bytes)
        self._states: OrderedDict[tuple[int, ...], LlamaState] = OrderedDict()
        self._lock = threading.RLock()

    @property
    def cache_size(self) -> int:
        with self._lock:
            return sum(state.llama_state_size for state in self._states.values())

    def keys(self) -> list[tuple[int, ...]]:
        with self._lock:
            return list(self._states)

    def __getitem__(self, key: Sequence[int]) -> LlamaState:
        with self._lock:
            if (found := best(self.keys(), key)) is None:
                raise KeyError("no state begins as these tokens do")
            self._states.move_to_end(found)
            return self._states[found]

    def __setitem__(self, key: Sequence[int], value: LlamaState) -> None:
        with self._lock:
            self._states[tuple(key)] = value
            self._states.move_to_end(tuple(key))
            while self.cache_size > self.capacity_bytes and self._states:
                self._states.popitem(last=False)

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:  # which is not pickled
            return {**self.__dict__, "_states": self._states.copy(), "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.RLock())


LlamaCache = LlamaRAMCache


class LlamaDiskCache(Cache):
    """States in a folder, a file each: they are there for the next process too, and for others at once.

    What the system refuses (a full disk, a folder that may not be written) is a `FileError` here. A `Llama`
    warns of it once, and answers without the cache.
    """

    def __init__(
        self, cache_dir: str | os.PathLike[str] = ".cache/llama_cache", capacity_bytes: int = 2 << 30
    ) -> None:
        super().__init__(capacity_bytes)
        self._folder = Path(cache_dir)
        self._last_ns = 0  # when a state was used last
        with system_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)

    @property
    def cache_size(self) -> int:
        return sum(n_bytes for _, _, n_bytes in self._files())

    def keys(self) -> list[tuple[int, ...]]:
        return list(self._keys())

    def __getitem__(self, key: Sequence[int]) -> LlamaState:
        paths = self._keys()
        found = best(paths, key)
        if found is None:
            raise KeyError("no state begins as these tokens do")
        try:
            data = paths[found].read_bytes()[8 + 4 * len(found) :]
        except FileNotFoundError as error:
            raise KeyError("another process made room for its own state just now") from error
        except OSError as error:
            raise refused(error, paths[found]) from error
        self._stamp(paths[found])
        return LlamaState(token_array(found), None, len(found), data, len(data))

    def __setitem__(self, key: Sequence[int], value: LlamaState) -> None:
        head = len(key).to_bytes(8, "little") + b"".join(int(t).to_bytes(4, "little") for t in key)
        path = self._folder / (hashlib.sha256(head).hexdigest() + ".state")
        beside = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        with system_errors(path):
            try:
                beside.write_bytes(head + value.llama_state)
                self._stamp(beside)
                beside.replace(path)
            finally:
                beside.unlink(missing_ok=True)  # half of it, where the disk is full
            self._make_room()

    def _stamp(self, path: Path) -> None:
        """Makes a file the one used last. The system's own times of files may stand still for some uses."""
        self._last_ns = max(self._last_ns + TICK_NS, time.time_ns())
        with suppress(OSError):  # that it was used counts for less than the state
            os.utime(path, ns=(self._last_ns, self._last_ns))

    def _make_room(self) -> None:
        files = self._files()
        n_bytes = sum(n for _, _, n in files)
        for _, path, n in files:
            if n_bytes > self.capacity_bytes:
                path.unlink(missing_ok=True)
                n_bytes -= n

    def _files(self) -> list[tuple[int, Path, int]]:
        """When each file was last used, its path and its bytes, the longest unused first."""
        found = []
        with system_errors(self._folder):
            for path in self._folder.glob("*.state"):
                with suppress(FileNotFoundError):  # another process makes room
                    stat = path.stat()
                    found.append((stat.st_mtime_ns, path, stat.st_size))
        return sorted(found, key=lambda file: file[0])

    def _keys(self) -> dict[tuple[int, ...], Path]:
        keys = {}
        with system_errors(self._folder):
            for _, path, _ in self._files():
                with suppress(FileNotFoundError):
                    keys[tokens_of(path)] = path
        return keys


@contextmanager
def system_errors(path: Path) -> Iterator[None]:
    """What the system refuses, as an exception of Puna; `path` is what is used."""
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        raise refused(error, path) from error


def tokens_of(path: Path) -> tuple[int, ...]:
    with path.open("rb") as file:
        n = min(int.from_bytes(file.read(8), "little"), path.stat().st_size // 4)
        data = file.read(4 * n)
    return tuple(int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4))


def best(keys: Iterable[tuple[int, ...]], key: Sequence[int]) -> tuple[int, ...] | None:
    """That of `keys` with the longest beginning in common with `key`; `None` where none has any."""
    found = max(keys, key=lambda other: common(other, key), default=())
    return found if common(found, key) else None


def common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two texts begin with in common."""
    pairs = enumerate(zip(a, b))
    return next((i for i, (x, y) in pairs if x != y), min(len(a), len(b)))
