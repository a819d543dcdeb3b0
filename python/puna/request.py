"""What a completion is asked for, by llama-cpp-python's names and with its defaults, checked."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self, TypedDict

from puna import arguments
from puna._native import core
from puna.arguments import integer, number, short, texts
from puna.errors import ArgumentError, UnsupportedError


class CompletionOptions(TypedDict, total=False):
    """Keywords of `Llama.create_completion`; `CompletionRequest` says their defaults."""

    max_tokens: int | None
    temperature: float
    top_p: float
    min_p: float
    top_k: int
    logprobs: int | None
    echo: bool
    stop: str | list[str] | None
    frequency_penalty: float
    presence_penalty: float
    repeat_penalty: float
    stream: bool
    seed: int | None
    model: str | None
    logit_bias: Mapping[int, float] | None


class ChatOptions(TypedDict, total=False):
    """Keywords of `Llama.create_chat_completion`; `ChatRequest` says their defaults."""

    max_tokens: int | None
    temperature: float
    top_p: float
    min_p: float
    top_k: int
    logprobs: bool | None
    top_logprobs: int | None
    stop: str | list[str] | None
    frequency_penalty: float
    presence_penalty: float
    repeat_penalty: float
    stream: bool
    seed: int | None
    model: str | None
    logit_bias: Mapping[int, float] | None


@dataclass(kw_only=True)
class Request:
    """What text and chat have in common."""

    title: ClassVar[str]
    refused: ClassVar[Mapping[str, tuple[object, ...]]]

    max_tokens: int | None = None  # None, 0 and less: until the context ends
    temperature: float = 0.8  # 0: always the likeliest token
    top_p: float = 0.95
    min_p: float = 0.05
    top_k: int = 40  # 0: all
    stop: str | list[str] | None = None
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repeat_penalty: float = 1.0
    stream: bool = False
    seed: int | None = None
    model: str | None = None
    logit_bias: Mapping[int, float] | None = None

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Self:
        """The request of a call's keywords."""
        names = [f.name for f in fields(cls)]
        others = {name: value for name, value in given.items() if name not in names}
        arguments.refuse(cls.title, names, others, cls.refused)
        return cls(**{name: value for name, value in given.items() if name in names})

    def n_logprobs(self) -> int | None:
        raise NotImplementedError

    def core_options(self) -> dict[str, Any]:
        """What the core is told besides the prompt and the sampling."""
        limit = None if self.max_tokens is None else integer("max_tokens", self.max_tokens, -(2**31))
        logprobs = self.n_logprobs()
        return {
            "max_tokens": limit if limit and limit > 0 else None,
            "stop": texts("stop", self.stop),
            "logprobs": None if logprobs is None else integer("logprobs", logprobs, 0),
        }

    def sampling(self, penalty_last_n: int, seed: int | None) -> core.SamplerParams:
        bias = {} if self.logit_bias is None else self.logit_bias
        if not isinstance(bias, Mapping):
            raise ArgumentError(f"logit_bias = {short(bias)}, expected a dict from token id to bias")
        return core.SamplerParams(
            temperature=number("temperature", self.temperature),
            top_k=integer("top_k", self.top_k, -(2**31)),
            top_p=number("top_p", self.top_p),
            min_p=number("min_p", self.min_p),
            frequency_penalty=number("frequency_penalty", self.frequency_penalty),
            presence_penalty=number("presence_penalty", self.presence_penalty),
            repeat_penalty=number("repeat_penalty", self.repeat_penalty),
            logit_bias=[
                (integer("logit_bias: token id", token_id(token), 0), number("logit_bias", value))
                for token, value in bias.items()
            ],
            penalty_last_n=integer("last_n_tokens_size", penalty_last_n, -1),
            seed=seed,
        )


@dataclass(kw_only=True)
class CompletionRequest(Request):
    """A text to continue."""

    title: ClassVar[str] = "Llama.create_completion"
    refused: ClassVar[Mapping[str, tuple[object, ...]]] = arguments.COMPLETION

    max_tokens: int | None = 16
    logprobs: int | None = None
    echo: bool = False

    def n_logprobs(self) -> int | None:
        if self.echo and self.logprobs is not None:
            raise UnsupportedError("logprobs with echo = True is not supported, expected one of them")
        return self.logprobs


@dataclass(kw_only=True)
class ChatRequest(Request):
    """A conversation to answer."""

    title: ClassVar[str] = "Llama.create_chat_completion"
    refused: ClassVar[Mapping[str, tuple[object, ...]]] = arguments.CHAT

    temperature: float = 0.2
    logprobs: bool | None = None
    top_logprobs: int | None = None

    def n_logprobs(self) -> int | None:
        if self.top_logprobs is not None and not self.logprobs:
            raise ArgumentError(f"top_logprobs = {self.top_logprobs}, expected None unless logprobs = True")
        return (self.top_logprobs or 0) if self.logprobs else None


def token_id(key: object) -> object:
    """A key of `logit_bias`: JSON has texts for keys."""
    return int(key) if isinstance(key, str) and key.isdecimal() else key
