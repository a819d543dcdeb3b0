"""From events to llama-cpp-python's dictionaries, which are OpenAI's."""

import codecs
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from typing import Any

from puna._native import core
from puna.tokenizer import Tokenizer


@dataclass
class Timings:
    """Where the time of a completion went."""

    n_prompt: int = 0  # tokens of the prompt that were evaluated
    n_reused: int = 0  # those that were in the context already
    prompt_s: float = 0.0
    n_generated: int = 0  # tokens after the first, which the prompt brought
    generated_s: float = 0.0
    n_tokens: int = 0


@dataclass
class Completion:
    """One completion under way: `chunks` as events come, `whole` at the end."""

    tokenizer: Tokenizer
    model: str
    prompt: list[int]
    prompt_text: str
    echo: bool = False
    wants_logprobs: bool = False
    text: str = ""
    tokens: list[int] = field(default_factory=list)
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    finish_reason: str | None = None
    timings: Timings = field(default_factory=Timings)
    seq: int | None = None  # the sequence it works on
    id: str = field(default_factory=lambda: f"cmpl-{uuid.uuid4()}")
    created: int = field(default_factory=lambda: int(time.time()))
    _started: float = field(default_factory=time.perf_counter)
    _clocked: bool = False

    def collect(self, events: Iterator[core.Event]) -> dict[str, Any]:
        self._begin()
        with closing(events):  # type: ignore[type-var]
            for event in events:
                self.take(event)
        return self.whole()

    async def acollect(self, events: AsyncIterator[core.Event]) -> dict[str, Any]:
        self._begin()
        async with aclosing(events):  # type: ignore[type-var]
            async for event in events:
                self.take(event)
        return self.whole()

    def stream(self, events: Iterator[core.Event]) -> Iterator[dict[str, Any]]:
        with closing(events):  # type: ignore[type-var]
            yield from self.opening()
            for event in events:
                yield from self.chunks(event)

    async def astream(self, events: AsyncIterator[core.Event]) -> AsyncIterator[dict[str, Any]]:
        async with aclosing(events):  # type: ignore[type-var]
            for chunk in self.opening():
                yield chunk
            async for event in events:
                for chunk in self.chunks(event):
                    yield chunk

    def take(self, event: core.Event) -> dict[str, Any] | None:
        """Adds what an event brought; answers its token's log-probabilities, where they are wanted."""
        self.seq = event.seq
        if event.error is not None:
            raise event.error
        if event.of_prompt:
            self._take_prompt(event)
            return None
        self._clock(event)
        offset = len(self.prompt_text) + len(self.text)
        self.text += self._text_of(event)
        self.finish_reason = event.finish
        if event.token is None or (event.finish == "stop" and self.tokenizer.is_eog(event.token)):
            return None
        self.tokens.append(event.token)
        self.timings.n_tokens += 1
        if event.logprobs is None:
            return None
        logprobs = self._logprobs(event.token, event.logprobs, offset)
        self.logprobs.append(logprobs)
        return logprobs

    def _text_of(self, event: core.Event) -> str:
        """The text of an event; the start of a character of which the completion ends before the rest is left
        out, which the core shows as U+FFFD."""
        if event.finish is None or not event.text.endswith("\ufffd"):
            return event.text
        tokens = self.tokens if event.token is None else [*self.tokens, event.token]
        return event.text[:-1] if ends_within(self.tokenizer.join(tokens)) else event.text

    def _begin(self) -> None:
        """The prompt's first token, which no event tells: nothing comes before it. BOS is left out."""
        if self.echo and self.wants_logprobs and self.prompt[0] != self.tokenizer.bos:
            self.logprobs.append(self._first(self.prompt[0]))

    def _take_prompt(self, event: core.Event) -> None:
        """Log-probabilities of a token of the prompt. As OpenAI has it, the first has none."""
        assert event.token is not None and event.logprobs is not None
        if not self.logprobs:  # the first behind BOS
            self.logprobs.append(self._first(event.token))
            return
        offset = sum(len(part["tokens"][0]) for part in self.logprobs)
        self.logprobs.append(self._logprobs(event.token, event.logprobs, offset))

    def _first(self, token: int) -> dict[str, Any]:
        piece = self.tokenizer.join([*self._before(), token]).decode(errors="ignore")
        return {"tokens": [piece], "text_offset": [0], "token_logprobs": [None], "top_logprobs": [None]}

    def _before(self) -> list[int]:
        return [] if self.tokenizer.bos is None else [self.tokenizer.bos]

    def chunks(self, event: core.Event) -> Iterator[dict[str, Any]]:
        """What an event means to a stream: none, one or two chunks."""
        n_before = len(self.text)
        logprobs = self.take(event)
        text = self.text[n_before:]
        if text or logprobs:
            yield self.chunk(text, logprobs, None)
        if event.finish is not None:
            yield self.chunk("", None, event.finish)

    def opening(self) -> Iterator[dict[str, Any]]:
        """Chunks before the first event."""
        if self.echo:
            yield self.chunk(self.prompt_text, None, None)

    def chunk(self, text: str, logprobs: dict[str, Any] | None, finish_reason: str | None) -> dict[str, Any]:
        choice = {"text": text, "index": 0, "logprobs": logprobs, "finish_reason": finish_reason}
        return self._envelope("text_completion", choice)

    def whole(self) -> dict[str, Any]:
        text = self.prompt_text + self.text if self.echo else self.text
        logprobs = joined(self.logprobs) if self.wants_logprobs else None
        choice = {"text": text, "index": 0, "logprobs": logprobs, "finish_reason": self.finish_reason}
        return self._envelope("text_completion", choice) | {"usage": self.usage()}

    def usage(self) -> dict[str, int]:
        n_prompt, n_completion = len(self.prompt), len(self.tokens)
        return {
            "prompt_tokens": n_prompt,
            "completion_tokens": n_completion,
            "total_tokens": n_prompt + n_completion,
        }

    def _envelope(self, kind: str, choice: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": [choice],
        }

    def _logprobs(
        self, token: int, found: tuple[float, list[tuple[int, float]]], offset: int
    ) -> dict[str, Any]:
        piece = self.tokenizer.piece(token)
        top = {self.tokenizer.piece(id_): logprob for id_, logprob in found[1]}
        return {
            "tokens": [piece],
            "text_offset": [offset],
            "token_logprobs": [found[0]],
            "top_logprobs": [top | {piece: found[0]}],
        }

    def _clock(self, event: core.Event) -> None:
        """The first event ends the prompt's time; the time of the others is the generation's."""
        now = time.perf_counter()
        if self._clocked:
            self.timings.n_generated += 1
            self.timings.generated_s = now - self._started - self.timings.prompt_s
            return
        self._clocked = True
        self.timings.n_reused = event.n_reused
        self.timings.n_prompt = len(self.prompt) - event.n_reused
        self.timings.prompt_s = now - self._started


class ChatCompletion(Completion):
    """The same as an assistant's message."""

    def opening(self) -> Iterator[dict[str, Any]]:
        yield self._chat_chunk({"role": "assistant"}, None, None)

    def chunk(self, text: str, logprobs: dict[str, Any] | None, finish_reason: str | None) -> dict[str, Any]:
        delta = {"content": text} if finish_reason is None else {}
        return self._chat_chunk(delta, logprobs, finish_reason)

    def whole(self) -> dict[str, Any]:
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": self.text},
            "logprobs": self._all_logprobs() if self.wants_logprobs else None,
            "finish_reason": self.finish_reason,
        }
        return self._envelope("chat.completion", choice) | {"usage": self.usage()}

    def _chat_chunk(
        self, delta: dict[str, str], logprobs: dict[str, Any] | None, finish_reason: str | None
    ) -> dict[str, Any]:
        choice = {
            "index": 0,
            "delta": delta,
            "logprobs": logprobs,
            "finish_reason": finish_reason,
        }
        return self._envelope("chat.completion.chunk", choice)

    def _all_logprobs(self) -> dict[str, Any]:
        return {"content": [entry for part in self.logprobs for entry in part["content"]], "refusal": None}

    def _logprobs(
        self, token: int, found: tuple[float, list[tuple[int, float]]], offset: int
    ) -> dict[str, Any]:
        chosen, top = self._entry(token, found[0]), dict(found[1]) | {token: found[0]}
        return {
            "content": [chosen | {"top_logprobs": [self._entry(*pair) for pair in top.items()]}],
            "refusal": None,
        }

    def _entry(self, token: int, logprob: float) -> dict[str, Any]:
        """A token, whose bytes may be a part of a character that has no text alone."""
        data = self.tokenizer.join([token])
        return {"token": data.decode(errors="ignore"), "logprob": logprob, "bytes": list(data)}

    def _envelope(self, kind: str, choice: dict[str, Any]) -> dict[str, Any]:
        return super()._envelope(kind, choice) | {"id": f"chat{self.id}"}


def ends_within(data: bytes) -> bool:
    """Whether `data` ends within a character of UTF-8, of which nothing is wrong so far."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(data)
    return bool(decoder.getstate()[0])


def joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Log-probabilities of single tokens as those of a text."""
    keys = ("tokens", "text_offset", "token_logprobs", "top_logprobs")
    return {key: [value for part in parts for value in part[key]] for key in keys}
