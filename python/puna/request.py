"""What a completion is asked for, by llama-cpp-python's names and with its defaults, checked."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

from puna import arguments, hooks
from puna._native import core
from puna.errors import ArgumentError
from puna.sampling import Sampling, SamplingOptions


class RequestOptions(SamplingOptions, total=False):
    """What text and chat have in common."""

    max_tokens: int | None
    stop: str | list[str] | None
    stream: bool
    seed: int | None
    model: str | None
    logits_processor: Any
    stopping_criteria: Any
    ignore_eos: bool


class CompletionOptions(RequestOptions, total=False):
    """Keywords of `Llama.create_completion`; `CompletionRequest` says their defaults."""

    suffix: str | None
    logprobs: int | None
    echo: bool


class GenerateOptions(CompletionOptions, total=False):
    """Keywords of `Llama.generate`."""

    temp: float
    reset: bool


class SampleOptions(CompletionOptions, total=False):
    """Keywords of `Llama.sample`."""

    temp: float
    idx: int | None


class ChatOptions(RequestOptions, total=False):
    """Keywords of `Llama.create_chat_completion`; `ChatRequest` says their defaults."""

    logprobs: bool | None
    top_logprobs: int | None


# llama-cpp-python's order of options, for calls that give them by place; behind the prompt, the tokens or
# the messages.
COMPLETION_ORDER = """suffix max_tokens temperature top_p min_p typical_p logprobs echo stop frequency_penalty
presence_penalty repeat_penalty top_k stream seed tfs_z mirostat_mode mirostat_tau mirostat_eta model
stopping_criteria logits_processor grammar logit_bias""".split()
CHAT_ORDER = """functions function_call tools tool_choice temperature top_p top_k min_p typical_p stream stop
seed response_format max_tokens presence_penalty frequency_penalty repeat_penalty tfs_z mirostat_mode
mirostat_tau mirostat_eta model logits_processor grammar logit_bias logprobs top_logprobs""".split()
GENERATE_ORDER = """top_k top_p min_p typical_p temp repeat_penalty reset frequency_penalty presence_penalty
tfs_z mirostat_mode mirostat_tau mirostat_eta penalize_nl logits_processor stopping_criteria grammar""".split()
SAMPLE_ORDER = """top_k top_p min_p typical_p temp repeat_penalty frequency_penalty presence_penalty tfs_z
mirostat_mode mirostat_eta mirostat_tau penalize_nl logits_processor grammar idx""".split()


@dataclass(kw_only=True)
class Request(Sampling, ABC):
    """What text and chat have in common."""

    title: ClassVar[str]
    order: ClassVar[Sequence[str]]
    refused: ClassVar[Mapping[str, tuple[object, ...]]]

    max_tokens: int | None = None  # None, 0 and less: until the context ends
    stop: str | list[str] | None = None
    stream: bool = False
    seed: int | None = None
    model: str | None = None
    logits_processor: Any = None
    stopping_criteria: Any = None
    ignore_eos: bool = False  # go on where the model ends the text

    @classmethod
    def parse(
        cls, options: Mapping[str, Any], by_place: Sequence[Any] = (), title: str | None = None
    ) -> Self:
        """The request of a call's options, `by_place` those that were given without a name."""
        names = [f.name for f in fields(cls)]
        given = arguments.by_place(title or cls.title, cls.order, by_place, options)
        others = {name: value for name, value in given.items() if name not in names}
        arguments.refuse(title or cls.title, names, others, cls.refused)
        known: dict[str, Any] = {name: value for name, value in given.items() if name in names}
        request = cls(**known)
        for name in cls.flags():
            arguments.flag(name, getattr(request, name))
        if request.model is not None and not isinstance(request.model, str):
            raise arguments.wrong_type("model", request.model, "a str or None")
        return request

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """The options of llama-cpp-python's call, in its order, as they are where nobody gives them."""
        own = {f.name: f.default for f in fields(cls)} | {"stop": []}
        return {name: own[name] if name in own else cls.refused[name][0] for name in cls.order}

    @classmethod
    def flags(cls) -> tuple[str, ...]:
        """Options that are true or false."""
        return ("stream", "ignore_eos")

    @abstractmethod
    def n_logprobs(self) -> int | None:
        """Of how many likeliest tokens log-probabilities are wanted; `None` for none at all."""

    def hook(self) -> hooks.Hook | None:
        return hooks.hook(self.logits_processor, self.stopping_criteria)

    def core_options(self) -> dict[str, Any]:
        """What the core is told besides the prompt and the sampling."""
        limit = (
            None if self.max_tokens is None else arguments.integer("max_tokens", self.max_tokens, -(2**31))
        )
        logprobs = self.n_logprobs()
        return {
            "max_tokens": limit if limit and limit > 0 else None,
            "stop": arguments.texts("stop", self.stop),
            "logprobs": None if logprobs is None else arguments.integer("logprobs", logprobs, 0),
            "ignore_eos": self.ignore_eos,
            "hook": self.hook(),
        }

    def sampling(self, penalty_last_n: int, seed: int | None) -> core.SamplerParams:
        return self.params(penalty_last_n, seed)


@dataclass(kw_only=True)
class CompletionRequest(Request):
    """A text to continue."""

    title: ClassVar[str] = "Llama.create_completion"
    order: ClassVar[Sequence[str]] = COMPLETION_ORDER
    refused: ClassVar[Mapping[str, tuple[object, ...]]] = arguments.COMPLETION

    max_tokens: int | None = 16
    suffix: str | None = None
    logprobs: int | None = None
    echo: bool = False

    @classmethod
    def of_tokens(cls, title: str, given: dict[str, Any]) -> Self:
        """That of `generate` or `sample`, which call the temperature `temp`."""
        options = {"temperature" if name == "temp" else name: value for name, value in given.items()}
        return cls.parse({"max_tokens": None} | options, title=title)

    @classmethod
    def flags(cls) -> tuple[str, ...]:
        return (*super().flags(), "echo")

    def n_logprobs(self) -> int | None:
        return self.logprobs

    def core_options(self) -> dict[str, Any]:
        # A stream shows the prompt as it is.
        of_prompt = self.echo and self.logprobs is not None and not self.stream
        return super().core_options() | {"prompt_logprobs": of_prompt}


@dataclass(kw_only=True)
class ChatRequest(Request):
    """A conversation to answer."""

    title: ClassVar[str] = "Llama.create_chat_completion"
    order: ClassVar[Sequence[str]] = CHAT_ORDER
    refused: ClassVar[Mapping[str, tuple[object, ...]]] = arguments.CHAT

    temperature: float = 0.2
    logprobs: bool | None = None
    top_logprobs: int | None = None

    @classmethod
    def flags(cls) -> tuple[str, ...]:
        return (*super().flags(), "logprobs")

    @classmethod
    def completed(cls, options: Mapping[str, Any], by_place: Sequence[Any] = ()) -> dict[str, Any]:
        """All options of llama-cpp-python's call with their defaults, and those of Puna's that were given:
        what a chat handler gets."""
        given = arguments.by_place(cls.title, cls.order, by_place, options)
        known = [*cls.order, *(f.name for f in fields(cls))]
        others = {name: value for name, value in given.items() if name not in known}
        arguments.refuse(cls.title, known, others, {})
        return cls.defaults() | given

    def n_logprobs(self) -> int | None:
        if self.top_logprobs is not None and not self.logprobs:
            raise ArgumentError(f"top_logprobs = {self.top_logprobs}, expected None unless logprobs = True")
        return (self.top_logprobs or 0) if self.logprobs else None
