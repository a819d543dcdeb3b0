"""`Llama`: a model with llama-cpp-python's names, so that a script changes one import."""

import asyncio
import inspect
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, Unpack

from puna import arguments, sources
from puna._native import core
from puna.chat import ChatFormat
from puna.completion import ChatCompletion, Completion, Timings
from puna.errors import ArgumentError, ModelError
from puna.evaluation import Evaluation
from puna.options import RANDOM_SEED, Seeds, session_options
from puna.request import ChatOptions, ChatRequest, CompletionOptions, CompletionRequest, Request
from puna.sources import Progress, Source
from puna.steps import Steps
from puna.tokenizer import Tokenizer

Response: TypeAlias = dict[str, Any]


class Llama(Evaluation):
    """A language model from a GGUF file.

    Arguments, results and defaults are those of `llama_cpp.Llama`; what it has and Puna has not is
    refused by name. Different: `verbose` is off by default; `n_threads=None` takes every core.
    Beyond it: `model_path` may be bytes or a file object, and is the bundled tiny model where it is left
    out; `n_seq_max` completions run at once, more
    wait; `progress(bytes done, bytes in all)` hears how far loading is, and may answer `False` to stop.

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
        verbose: bool = False,
        n_seq_max: int = 1,
        progress: Progress | None = None,
        **others: Any,
    ) -> None:
        host = others.pop("_host", None)  # the GPU that `aload` opened
        names = inspect.signature(Llama.__init__).parameters
        arguments.refuse("Llama", [*names][1:-1], others, arguments.LLAMA)
        options = session_options(
            n_gpu_layers=n_gpu_layers,
            n_ctx=n_ctx,
            n_batch=n_batch,
            n_ubatch=n_ubatch,
            n_seq_max=n_seq_max,
            n_threads=n_threads,
            n_threads_batch=n_threads_batch,
            rope_freq_base=rope_freq_base,
            rope_freq_scale=rope_freq_scale,
            logits_all=logits_all,
            type_k=type_k,
            type_v=type_v,
        )
        if sources.IN_BROWSER and n_gpu_layers and host is None:
            expected = "0, or WebGPU opened by: await puna.Llama.aload(…)"
            raise ArgumentError(f"n_gpu_layers = {n_gpu_layers}, expected {expected}")
        started = time.perf_counter()
        model_path = sources.bundled() if model_path is None else model_path
        self.model_path = sources.name_of(model_path)
        self.chat_format = chat_format
        self.verbose = verbose
        self._seeds = Seeds(seed)
        self._last_n = arguments.integer("last_n_tokens_size", last_n_tokens_size, -1)
        model = core.Model(model_path, mmap=use_mmap)
        self._file = model.file
        self._tokenizer = Tokenizer(model.tokenizer)
        # A wrong name is an error now; a model without a template only when it is asked to chat.
        self._chat = None if chat_format is None else self._chat_format()
        session = None if vocab_only else model.session(**options, progress=progress, host=host)
        super().__init__(session, host)
        self._steps = None if session is None else Steps(session, host)
        self.load_s = time.perf_counter() - started
        self.timings = Timings()
        self._say(f"{self.model_path}: loaded in {self.load_s * 1000:.0f} ms, {self.device}")

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

    def create_completion(
        self, prompt: str | Sequence[int], **options: Unpack[CompletionOptions]
    ) -> Response | Iterator[Response]:
        """Continues `prompt`: text (special tokens in it are read as such) or token ids.

        Options: max_tokens=16 (None: until the context ends), temperature=0.8, top_p=0.95, min_p=0.05,
        top_k=40, repeat_penalty=1.0, frequency_penalty=0.0, presence_penalty=0.0, logit_bias=None,
        seed=None, stop=None, echo=False, logprobs=None, stream=False, model=None.
        With `stream` the answer is an iterator of chunks; closing it ends the completion.
        """
        request = CompletionRequest.parse(options)
        return self._run(self._completion(prompt, request), request)

    __call__ = create_completion

    async def acreate_completion(
        self, prompt: str | Sequence[int], **options: Unpack[CompletionOptions]
    ) -> Response | AsyncIterator[Response]:
        """`create_completion`, awaited; with `stream` an asynchronous iterator."""
        request = CompletionRequest.parse(options)
        return await self._arun(self._completion(prompt, request), request)

    def create_chat_completion(
        self, messages: Sequence[Mapping[str, Any]], **options: Unpack[ChatOptions]
    ) -> Response | Iterator[Response]:
        """The assistant's answer to `messages`, by the model's chat template (or `chat_format`).

        Options as for `create_completion`, but temperature=0.2, max_tokens=None, logprobs=None (True
        wants them, of the `top_logprobs` likeliest tokens too), and no echo.
        """
        request = ChatRequest.parse(options)
        return self._run(self._chat_completion(messages, request), request)

    async def acreate_chat_completion(
        self, messages: Sequence[Mapping[str, Any]], **options: Unpack[ChatOptions]
    ) -> Response | AsyncIterator[Response]:
        """`create_chat_completion`, awaited; with `stream` an asynchronous iterator."""
        request = ChatRequest.parse(options)
        return await self._arun(self._chat_completion(messages, request), request)

    def generate(
        self,
        tokens: Sequence[int],
        *,
        temp: float = 0.8,
        reset: bool = True,
        **options: Unpack[CompletionOptions],
    ) -> Iterator[int]:
        """Token ids after `tokens`, until the context ends or the iterator is closed. With `reset` off
        they come after what is in the context."""
        arguments.only_sampling("generate", options)
        prompt = [*([] if reset else self.eval_tokens), *tokens]
        request = CompletionRequest.parse({"max_tokens": None, "temperature": temp, **options})
        core_options = request.core_options() | {"ignore_eos": True}
        for event in self._started.events(prompt, self._sampling(request), core_options):
            if event.token is not None:
                yield event.token

    def sample(self, *, temp: float = 0.8, **options: Unpack[CompletionOptions]) -> int:
        """A token chosen by the logits of the last one evaluated."""
        arguments.only_sampling("sample", options)
        request = CompletionRequest.parse({"temperature": temp, **options})
        sampler = core.Sampler(self._sampling(request), self.n_vocab())
        sampler.accept(self.eval_tokens)
        return sampler.sample(self._all_rows())

    def tokenize(self, text: bytes | str, add_bos: bool = True, special: bool = False) -> list[int]:
        """The tokens of `text`; `special` reads the texts of control tokens as those tokens."""
        return self._tokenizer.encode(text, add_bos=add_bos, special=special)

    def detokenize(
        self, tokens: Sequence[int], prev_tokens: Sequence[int] | None = None, special: bool = False
    ) -> bytes:
        """The bytes of `tokens`, as they stand after `prev_tokens`. As in llama-cpp-python, the blank that
        a vocabulary puts before a text is taken off after BOS only."""
        before = list(prev_tokens or [])
        text = self._tokenizer.join([*before, *tokens], special=special)
        return text[len(self._tokenizer.join(before, special=special)) :]

    def set_seed(self, seed: int) -> None:
        """The seed from which the seeds of completions are drawn."""
        self._seeds = Seeds(seed)

    def n_vocab(self) -> int:
        return self._tokenizer.n_vocab

    def token_bos(self) -> int:
        """The token that begins a text; -1 where there is none."""
        return -1 if self._tokenizer.bos is None else self._tokenizer.bos

    def token_eos(self) -> int:
        """The token that ends a text; -1 where there is none."""
        return -1 if self._tokenizer.eos is None else self._tokenizer.eos

    def token_nl(self) -> int:
        """The token of a line's end."""
        return self._tokenizer.encode("\n", add_bos=False)[-1]

    def tokenizer(self) -> Tokenizer:
        return self._tokenizer

    @property
    def metadata(self) -> dict[str, str]:
        """The file's metadata as text; of arrays only type and length. `puna.gguf` has them whole."""
        return {key: self._metadata_text(key) for key in list(self._file.keys())}

    def __getattr__(self, name: str) -> Any:
        if name in arguments.METHODS:
            raise AttributeError(f"Llama.{name} of llama-cpp-python is not supported by puna")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"<puna.Llama {self.model_path!r} on {self.device}>"

    @property
    def _started(self) -> Steps:
        if self._steps is None:
            self._session  # noqa: B018 says what is missing
        assert self._steps is not None
        return self._steps

    def _completion(self, prompt: str | Sequence[int], request: CompletionRequest) -> Completion:
        if isinstance(prompt, str):
            tokens, text = self._tokenizer.encode(prompt, special=True), prompt
        elif hasattr(prompt, "__iter__") and not isinstance(prompt, (bytes, bytearray)):
            tokens = list(prompt)
            text = self._tokenizer.decode(tokens)
        else:
            raise ArgumentError(f"prompt = {arguments.short(prompt)}, expected a str or a list of token ids")
        if not tokens and self._tokenizer.bos is not None:
            tokens = [self._tokenizer.bos]
        wants_logprobs = request.n_logprobs() is not None
        return Completion(
            self._tokenizer, request.model or self.model_path, tokens, text, request.echo, wants_logprobs
        )

    def _chat_completion(self, messages: Sequence[Mapping[str, Any]], request: ChatRequest) -> Completion:
        if self._chat is None:
            self._chat = self._chat_format()
        text = self._chat.render(messages)
        tokens = self._chat.encode(text)
        request.stop = [*arguments.texts("stop", request.stop), *self._chat.stop]
        model = request.model or self.model_path
        wants_logprobs = request.n_logprobs() is not None
        return ChatCompletion(self._tokenizer, model, tokens, "", wants_logprobs=wants_logprobs)

    def _chat_format(self) -> ChatFormat:
        template = self._file.value("tokenizer.chat_template")
        if template is not None and not isinstance(template, str):
            raise ModelError(
                f"tokenizer.chat_template is {type(template).__name__}, expected text of valid UTF-8"
            )
        return ChatFormat(self._tokenizer, template, self.chat_format)

    def _sampling(self, request: Request) -> core.SamplerParams:
        return request.sampling(self._last_n, self._seeds.next(request.seed))

    def _run(self, completion: Completion, request: Request) -> Response | Iterator[Response]:
        events = self._started.events(completion.prompt, self._sampling(request), request.core_options())
        self.timings = completion.timings
        return completion.stream(events) if request.stream else completion.collect(events)

    async def _arun(self, completion: Completion, request: Request) -> Response | AsyncIterator[Response]:
        events = await self._started.aevents(
            completion.prompt, self._sampling(request), request.core_options()
        )
        self.timings = completion.timings
        return completion.astream(events) if request.stream else await completion.acollect(events)

    def _metadata_text(self, key: str) -> str:
        kind = self._file.value_type(key) or ""
        if kind.startswith("array"):
            return kind
        value = self._file.value(key)
        return str(value).lower() if isinstance(value, bool) else str(value)

    def _say(self, line: str) -> None:
        if self.verbose:
            print(f"puna: {line}", file=sys.stderr)
