"""Completions: prompts in, llama-cpp-python's dictionaries out, whole or as a stream."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, Unpack

from puna import arguments, handlers
from puna._native import core
from puna.chat import ChatFormat, key_of
from puna.completion import ChatCompletion, Completion, Timings
from puna.errors import ArgumentError, ModelError, UnsupportedError
from puna.infill import Infill
from puna.request import ChatOptions, ChatRequest, CompletionOptions, CompletionRequest, Request
from puna.sources import beside_loop
from puna.tokenwise import Tokenwise

Response: TypeAlias = dict[str, Any]


class Generation(Tokenwise):
    """What `Llama` generates."""

    model_path: str
    chat_format: str | None
    chat_handler: Any
    spm_infill: bool
    timings: Timings
    _file: core.GgufFile
    _chats: dict[str | None, ChatFormat]  # those used, by name

    def create_completion(
        self, prompt: str | Sequence[int], *by_place: Any, **options: Unpack[CompletionOptions]
    ) -> Response | Iterator[Response]:
        """Continues `prompt`: text (special tokens in it are read as such) or token ids.

        With `suffix` it writes what stands between the two texts (models that were trained to). Options:
        max_tokens=16 (None, 0 and less: until the context ends), temperature=0.8, top_p=0.95, min_p=0.05,
        top_k=40, repeat_penalty=1.0, frequency_penalty=0.0, presence_penalty=0.0, logit_bias=None,
        seed=None, stop=None, echo=False, logprobs=None, stream=False, model=None, suffix=None,
        logits_processor=None, stopping_criteria=None, ignore_eos=False, and those of `puna.Sampler`;
        without names in llama-cpp-python's order (suffix, max_tokens, temperature, …, as in `request.py`).
        With `stream` the answer is an iterator of chunks; closing it ends the completion.
        """
        request = CompletionRequest.parse(options, by_place)
        return self._run(self._completion(prompt, request), request)

    __call__ = create_completion

    async def acreate_completion(
        self, prompt: str | Sequence[int], *by_place: Any, **options: Unpack[CompletionOptions]
    ) -> Response | AsyncIterator[Response]:
        """`create_completion`, awaited; with `stream` an asynchronous iterator."""
        request = CompletionRequest.parse(options, by_place)
        return await self._arun(self._completion(prompt, request), request)

    def create_chat_completion(
        self, messages: Sequence[Mapping[str, Any]], *by_place: Any, **options: Any
    ) -> Response | Iterator[Response]:
        """The assistant's answer to `messages`, by the model's chat template (or `chat_format`).

        Options as for `create_completion`, but temperature=0.2, max_tokens=None, logprobs=None (True
        wants them, of the `top_logprobs` likeliest tokens too), no echo and no suffix. A `chat_handler`,
        or one registered by the name of `chat_format` (`puna.handlers`), gets the messages and all options
        of llama-cpp-python's and answers itself.
        """
        if (handler := self._handler()) is not None:
            given = ChatRequest.completed(options, by_place)
            answer: Response | Iterator[Response] = handler(llama=self, messages=messages, **given)
            return answer
        request = ChatRequest.parse(options, by_place)
        return self._run(self._chat_completion(messages, request, self.chat_format), request)

    async def acreate_chat_completion(
        self, messages: Sequence[Mapping[str, Any]], *by_place: Any, **options: Unpack[ChatOptions]
    ) -> Response | AsyncIterator[Response]:
        """`create_chat_completion`, awaited; with `stream` an asynchronous iterator."""
        handler = self._handler()
        if isinstance(handler, handlers.Handler):
            return await self._arun(
                *handler.completion(self, messages, ChatRequest.completed(options, by_place))
            )
        if handler is not None:
            expected = "None or one of a formatter: others answer blocking calls only"
            raise UnsupportedError(f"chat_handler = {handler!r}, expected {expected}")
        request = ChatRequest.parse(options, by_place)
        return await self._arun(self._chat_completion(messages, request, self.chat_format), request)

    def create_chat_completion_openai_v1(
        self, messages: Sequence[Mapping[str, Any]], *by_place: Any, **options: Unpack[ChatOptions]
    ) -> Any:
        """The same as objects of the package `openai`, which must be installed."""
        try:
            from openai.types.chat import ChatCompletion as Whole
            from openai.types.chat import ChatCompletionChunk as Chunk
        except ImportError as error:
            raise UnsupportedError(
                "create_chat_completion_openai_v1 needs the package openai: pip install openai"
            ) from error
        answer = self.create_chat_completion(messages, *by_place, **options)
        return Whole(**answer) if isinstance(answer, dict) else (Chunk(**chunk) for chunk in answer)

    def _completion(self, prompt: str | Sequence[int], request: CompletionRequest) -> Completion:
        if isinstance(prompt, str):
            tokens, text = self._tokenizer.encode(prompt, special=True), prompt
        elif hasattr(prompt, "__iter__") and not isinstance(prompt, (bytes, bytearray)):
            tokens = arguments.token_list("prompt", prompt)
            text = self._tokenizer.decode(tokens)
        else:
            raise arguments.wrong_type("prompt", prompt, "a str or a list of token ids")
        if request.echo and request.logprobs is not None and not self._session.logits_all:
            expected = "True: echo = True wants the logprobs of the prompt too"
            raise ArgumentError(f"logits_all = False, expected {expected}")
        if request.suffix is not None:
            tokens = self._infill(prompt, request.suffix)
        if not tokens and self._tokenizer.bos is not None:
            tokens = [self._tokenizer.bos]
        wants_logprobs = request.n_logprobs() is not None
        name = request.model or self.model_path
        return Completion(self._tokenizer, name, tokens, text, request.echo, wants_logprobs)

    def _infill(self, prompt: str | Sequence[int], suffix: str) -> list[int]:
        if not isinstance(suffix, str):
            raise arguments.wrong_type("suffix", suffix, "a str or None")
        infill = Infill.of(self._tokenizer)
        before = self._tokenizer.encode(prompt, add_bos=False) if isinstance(prompt, str) else [*prompt]
        return infill.prompt(self._tokenizer, before, suffix, self.spm_infill)

    def _chat_completion(
        self, messages: Sequence[Mapping[str, Any]], request: ChatRequest, name: str | None
    ) -> Completion:
        chat_format = self._chat_format(name)
        tokens = chat_format.encode(chat_format.render(messages))
        request.stop = [*arguments.texts("stop", request.stop), *chat_format.stop]
        return self._chat_of(tokens, request)

    def _chat_of(self, tokens: list[int], request: ChatRequest) -> Completion:
        """The completion of a conversation's tokens."""
        model = request.model or self.model_path
        wants_logprobs = request.n_logprobs() is not None
        return ChatCompletion(self._tokenizer, model, tokens, "", wants_logprobs=wants_logprobs)

    def _chat_format(self, name: str | None) -> ChatFormat:
        key = key_of(name)
        if name not in self._chats:
            template = None if key is None else self._file.value(key)
            if template is not None and not isinstance(template, str):
                raise ModelError(f"{key} is {type(template).__name__}, expected text of valid UTF-8")
            self._chats[name] = ChatFormat(self._tokenizer, template, name)
        return self._chats[name]

    def _handler(self) -> Callable[..., Any] | None:
        """What answers chats in the place of a template, if anything does."""
        return self.chat_handler or handlers.of_user(self.chat_format)

    def _run(self, completion: Completion, request: Request) -> Response | Iterator[Response]:
        self._recall(completion.prompt)
        events = self._started.events(completion.prompt, self._sampling(request), request.core_options())
        self.timings = completion.timings
        if request.stream:
            return self._kept_stream(completion, completion.stream(events))
        answer = completion.collect(events)
        self._keep(completion)
        return answer

    async def _arun(self, completion: Completion, request: Request) -> Response | AsyncIterator[Response]:
        await self._beside_loop(self._recall, completion.prompt)
        sampling = self._sampling(request)
        events = await self._started.aevents(completion.prompt, sampling, request.core_options())
        self.timings = completion.timings
        if request.stream:
            return self._kept_astream(completion, completion.astream(events))
        answer = await completion.acollect(events)
        await self._beside_loop(self._keep, completion)
        return answer

    def _kept_stream(self, completion: Completion, chunks: Iterator[Response]) -> Iterator[Response]:
        return chunks if self.cache is None else self._keeping(completion, chunks)

    def _keeping(self, completion: Completion, chunks: Iterator[Response]) -> Iterator[Response]:
        yield from chunks
        self._keep(completion)

    def _kept_astream(
        self, completion: Completion, chunks: AsyncIterator[Response]
    ) -> AsyncIterator[Response]:
        return chunks if self.cache is None else self._akeeping(completion, chunks)

    async def _akeeping(
        self, completion: Completion, chunks: AsyncIterator[Response]
    ) -> AsyncIterator[Response]:
        async for chunk in chunks:
            yield chunk
        await self._beside_loop(self._keep, completion)

    async def _beside_loop(self, call: Callable[[Any], None], given: Any) -> None:
        """What a cache does, with its disk perhaps, while the event loop goes on."""
        if self.cache is not None:
            await beside_loop(call, given)
