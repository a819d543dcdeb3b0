"""`Llama`: a model with llama-cpp-python's names, so that a script changes one import."""

import asyncio
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from puna import arguments, sources
from puna._native import core
from puna.attributes import Attributes
from puna.chat import key_of
from puna.completion import Timings
from puna.device import warn_of_software, warn_of_threads
from puna.embedding import Embeddings, pooling_of
from puna.errors import ArgumentError, ModelError, UnknownArgumentError
from puna.generation import Generation
from puna.gguf import type_of
from puna.options import CONTEXT, RANDOM_SEED, Seeds, session_options
from puna.request import CHAT_ORDER, COMPLETION_ORDER
from puna.sources import Progress, Source
from puna.steps import Steps
from puna.tokenizer import LlamaTokenizer, Tokenizer


class Llama(Generation, Embeddings, Attributes):
    """A language model from a GGUF file.

    Arguments, results and defaults are those of `llama_cpp.Llama`; what it has and Puna has not is
    refused by name. Different: `verbose` is off by default; `n_threads=None` (or 0) takes
    every processor, and prompts run on as many (`n_threads_batch` counts where it alone is given; where the
    two differ, a `RuntimeWarning` says which does).
    Beyond it: `model_path` may be bytes or a file object, and is the bundled tiny model where it is left
    out; `n_seq_max` completions run at once (by default 1), or so many texts are embedded (by default 64),
    more wait; with `swa_full=False` layers with a sliding window keep no more than it (on the CPU), and what
    has slid out is evaluated again where it is gone back to;
    `progress(bytes done, bytes in all)` hears how far loading is, and may answer `False` to stop.

    Threads and tasks may share a `Llama`. It is freed by `close()`, or at the end of `with`.
    """

    def __init__(
        self,
        model_path: Source | None = None,
        *,
        n_gpu_layers: int = 0,
        vocab_only: bool = False,
        use_mmap: bool = True,
        seed: int = RANDOM_SEED,
        n_ctx: int = 512,
        n_batch: int = 512,
        n_ubatch: int | None = None,
        n_threads: int | None = None,
        n_threads_batch: int | None = None,
        rope_freq_base: float = 0.0,
        rope_freq_scale: float = 0.0,
        logits_all: bool = False,
        last_n_tokens_size: int = 64,
        chat_format: str | None = None,
        type_k: int | str | None = None,
        type_v: int | str | None = None,
        swa_full: bool | None = None,
        verbose: bool = False,
        embedding: bool = False,
        pooling_type: int | str = -1,
        kv_overrides: Mapping[str, bool | int | float | str] | None = None,
        chat_handler: Callable[..., Any] | None = None,
        spm_infill: bool = False,
        n_seq_max: int | None = None,
        progress: Progress | None = None,
        **others: Any,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in NOT_GIVEN} | others
        started = time.perf_counter()
        host = others.pop("_host", None)  # the GPU that `aload` opened
        options = self._settled(given, host) | {"progress": arguments.function("progress", progress)}
        model = self._open(sources.bundled() if model_path is None else model_path, use_mmap, kv_overrides)
        self._check(chat_format, pooling_type)
        session = None if arguments.flag("vocab_only", vocab_only) else model.session(**options, host=host)
        if session is not None:
            warn_of_software(session)
            warn_of_threads(n_threads, n_threads_batch)
        super().__init__(session, host)
        self._begin(options)
        self.load_s = time.perf_counter() - started
        self._say(f"{self.model_path}: loaded in {self.load_s * 1000:.0f} ms, {self.device}")

    def _settled(self, given: dict[str, Any], host: Any) -> dict[str, Any]:
        """Arguments that say how the model runs, as the core takes them; the others become attributes."""
        self._arguments = {name: value for name, value in given.items() if name != "_host"}
        known = {*NAMES, *arguments.OLD}
        others = {name: value for name, value in self._arguments.items() if name not in known}
        for name in others:
            if name in (*COMPLETION_ORDER, *CHAT_ORDER) and name not in arguments.LLAMA:
                raise UnknownArgumentError(
                    f"Llama() has no argument {name!r}, expected it with each completion"
                )
        arguments.refuse("Llama", NAMES, others, arguments.LLAMA)
        self._arguments |= arguments.renewed({name: given[name] for name in CONTEXT}, given)
        options = session_options(**{name: self._arguments[name] for name in CONTEXT})
        if sources.IN_BROWSER and given["n_gpu_layers"] and host is None:
            expected = "0, or WebGPU opened by: await puna.Llama.aload(…)"
            raise ArgumentError(f"n_gpu_layers = {given['n_gpu_layers']}, expected {expected}")
        self.chat_handler = arguments.function("chat_handler", given["chat_handler"])
        self.spm_infill = arguments.flag("spm_infill", given["spm_infill"])
        self.verbose = arguments.flag("verbose", given["verbose"])
        self._seeds = Seeds(given["seed"])
        self.last_n_tokens_size = arguments.integer("last_n_tokens_size", given["last_n_tokens_size"], -1)
        return options

    def _open(self, source: Source, use_mmap: bool, kv_overrides: object) -> core.Model:
        """The file without its weights."""
        given = arguments.mapping("kv_overrides", kv_overrides)
        overrides = [(key, value, type_of(key, value)) for key, value in given.items()]
        sources.checked("model_path", source)
        model = core.Model(source, mmap=arguments.flag("use_mmap", use_mmap), overrides=overrides)
        self.model_path = sources.name_of(source)
        self._file, self._tokenizer = model.file, Tokenizer(model.tokenizer)
        return model

    def _check(self, chat_format: str | None, pooling_type: int | str) -> None:
        """What the file is needed for. A wrong name of a format is an error now, unless a `chat_handler` answers
        in its place; a model without a template only when it is asked to chat."""
        key_of(chat_format)  # which refuses what is no name
        self.chat_format = chat_format
        self._chats = {}
        if chat_format is not None and self._handler() is None:
            self._chat_format(chat_format)
        self._pooling = self._pooling_of(pooling_type)

    def _begin(self, options: dict[str, Any]) -> None:
        """What is about a session: a `Llama` with `vocab_only` has none."""
        session = self._open_session
        self._embeds = options["embedding"]
        self.n_threads = self.n_threads_batch = options["n_threads"] or core.cpu()["threads"]
        self.n_batch = options["n_batch"] if session is None else session.n_batch
        self._steps = None if session is None else Steps(session, self._host)
        self.timings = Timings()

    def _pooling_of(self, wanted: int | str) -> int:
        return pooling_of(
            wanted, self._file.value(f"{self._file.value('general.architecture')}.pooling_type")
        )

    @classmethod
    async def aload(
        cls, model_path: Any = None, *, progress: Progress | None = None, **options: Any
    ) -> "Llama":
        """Opens a model without blocking the event loop.

        Natively loading runs in a thread. In a browser tab `model_path` may also be a URL, a `Blob` or an
        `ArrayBuffer`, and `n_gpu_layers` opens WebGPU.
        """
        source = await sources.open_async(model_path, progress)
        if not sources.IN_BROWSER:
            return await asyncio.to_thread(cls, source, progress=progress, **options)
        if options.get("n_gpu_layers"):
            from puna import browser

            options["_host"] = await browser.open_gpu()
        llm = cls(source, progress=progress if source is model_path else None, **options)
        if source is not model_path and hasattr(source, "close"):
            source.close()  # the weights are in the session now
        return llm

    @classmethod
    def from_pretrained(
        cls,
        repo_id: str,
        filename: str | None = None,
        additional_files: Sequence[str] | None = None,
        local_dir: str | PathLike[str] | None = None,
        local_dir_use_symlinks: bool | str = "auto",
        cache_dir: str | PathLike[str] | None = None,
        **options: Any,
    ) -> "Llama":
        """Opens a model of huggingface.co, downloading it where it is not in the cache yet.

        `filename` is a file of the repository `repo_id` or a pattern (`*Q4_0.gguf`) that one file matches;
        of a split model the first part. `options` are those of `Llama`. Needs the package
        huggingface_hub, whose folders have no links any more: `local_dir_use_symlinks` decides nothing.
        """
        from puna import hub

        path = hub.download(repo_id, filename, additional_files or (), local_dir, cache_dir)
        return cls(path, **options)

    @classmethod
    async def afrom_pretrained(cls, repo_id: str, filename: str | None = None, **options: Any) -> "Llama":
        """The same, awaited."""
        return await asyncio.to_thread(cls.from_pretrained, repo_id, filename, **options)

    def tokenize(self, text: bytes | str, add_bos: bool = True, special: bool = False) -> list[int]:
        """The tokens of `text`; `special` reads the texts of control tokens as those tokens."""
        return self._tokenizer.tokenize(text, add_bos, special)

    def detokenize(
        self, tokens: Sequence[int], prev_tokens: Sequence[int] | None = None, special: bool = False
    ) -> bytes:
        """The bytes of `tokens`, as they stand after `prev_tokens`. As in llama-cpp-python, the blank that
        a vocabulary puts before a text is taken off after BOS only."""
        return self._tokenizer.detokenize(tokens, prev_tokens, special)

    def n_embd(self) -> int:
        """Width of a token's embedding; known without weights."""
        key = f"{self._file.value('general.architecture')}.embedding_length"
        width = self._file.value(key)
        if not isinstance(width, int):
            raise ModelError(f"{key} = {arguments.short(width)}, expected a whole number")
        return width

    def set_seed(self, seed: int) -> None:
        """The seed from which the seeds of completions are drawn."""
        self._seeds = Seeds(seed)

    def token_bos(self) -> int:
        """The token that begins a text; -1 where there is none."""
        return -1 if self._tokenizer.bos is None else self._tokenizer.bos

    def token_eos(self) -> int:
        """The token that ends a text; -1 where there is none."""
        return -1 if self._tokenizer.eos is None else self._tokenizer.eos

    def token_nl(self) -> int:
        """The token of a line's end."""
        return self._tokenizer.encode("\n", add_bos=False)[-1]

    def tokenizer(self) -> LlamaTokenizer:
        return LlamaTokenizer(self)

    def __reduce__(self) -> Any:
        """Pickled as the arguments it was opened with: the file is opened again."""
        return _reopen, (self._arguments,)

    def __repr__(self) -> str:
        return f"<puna.Llama {self.model_path!r} on {self.device}>"

    def _say(self, line: str) -> None:
        if self.verbose:
            print(f"puna: {line}", file=sys.stderr)


# Of the names within `Llama.__init__` those that are no arguments, or die with the process.
NOT_GIVEN = ("self", "others", "progress", "__class__")
NAMES = arguments.names(Llama.__init__)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """What else llama-cpp-python's module of this name has: `from puna.llama import LlamaGrammar`."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(sys.modules["puna"], name)


def _reopen(given: dict[str, Any]) -> Llama:
    return Llama(**given)
