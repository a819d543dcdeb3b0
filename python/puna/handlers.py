"""Chats answered by code of the user's own, by the names of llama-cpp-python's `llama_chat_format`.

A *formatter* makes a prompt of messages, and the model answers it; a *handler* gets the `Llama` and the
messages and answers itself. Both go by a name that `chat_format=` takes, or a handler to `chat_handler=`:

    @register_chat_format("mine")
    def mine(messages, **options):
        return ChatFormatterResponse(prompt=…, stop="<|end|>")
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from puna._native import core
from puna.arguments import flag, refuse, short, text, texts, token_list, wrong_type
from puna.chat import listed, rendered_text
from puna.completion import Completion
from puna.errors import ArgumentError
from puna.formats import FORMATS
from puna.request import ChatRequest

if TYPE_CHECKING:
    from puna.generation import Generation

F = TypeVar("F", bound=Callable[..., Any])

# What a formatter gets besides the messages; it may write tools into its prompt, and that is all.
TOOLS = ("functions", "function_call", "tools", "tool_choice")
CHOICES = {"function_call": (None, "none", "auto"), "tool_choice": (None, "none", "auto")}


class LlamaChatCompletionHandlerNotFoundException(ArgumentError):
    """No handler or format has that name."""


class LlamaChatCompletionHandler(Protocol):
    """Answers a chat: gets `llama`, `messages` and every option of `create_chat_completion` by name, and
    answers its dictionary, or with `stream` its chunks."""

    def __call__(self, *, llama: Any, messages: Any, **options: Any) -> Any: ...


@dataclass
class ChatFormatterResponse:
    """A prompt, and what ends the answer to it. With `added_special` BOS is in the prompt already."""

    prompt: str
    stop: str | list[str] | None = None
    stopping_criteria: Any = None
    added_special: bool = False


class ChatFormatter(Protocol):
    """Makes a prompt of messages; gets `functions`, `function_call`, `tools` and `tool_choice` besides."""

    def __call__(self, *, messages: Any, **options: Any) -> ChatFormatterResponse: ...


class Jinja2ChatFormatter(ChatFormatter):
    """A formatter by a chat template, which is Jinja as `transformers` has it."""

    def __init__(
        self,
        template: str,
        eos_token: str,
        bos_token: str,
        add_generation_prompt: bool = True,
        stop_token_ids: Sequence[int] | None = None,
    ) -> None:
        for name, value in (("template", template), ("eos_token", eos_token), ("bos_token", bos_token)):
            text(name, value)
        self.template, self.eos_token, self.bos_token = template, eos_token, bos_token
        self.add_generation_prompt = flag("add_generation_prompt", add_generation_prompt)
        given = None if stop_token_ids is None else token_list("stop_token_ids", stop_token_ids)
        self.stop_token_ids = None if given is None else set(given)
        self._compiled = core.ChatTemplate(template, bos=bos_token, eos=eos_token)

    def __call__(self, *, messages: Any, **options: Any) -> ChatFormatterResponse:
        variables = dict.fromkeys(TOOLS) | options
        prompt = rendered_text(self._compiled, listed(messages), self.add_generation_prompt, variables)
        ends = None if self.stop_token_ids is None else [self._ends]
        stop = [self.eos_token] if self.eos_token else []
        return ChatFormatterResponse(prompt, stop=stop, stopping_criteria=ends, added_special=True)

    def to_chat_handler(self) -> "Formatted":
        """The handler of this formatter, for `chat_handler=`."""
        return Formatted(self)

    def _ends(self, input_ids: Any, logits: Any) -> bool:
        return int(input_ids[-1]) in (self.stop_token_ids or ())


class Handler(ABC):
    """A handler of which Puna runs the completion itself, and so may await it."""

    def __call__(self, *, llama: "Generation", messages: Any, **options: Any) -> Any:
        return llama._run(*self.completion(llama, messages, options))

    @abstractmethod
    def completion(
        self, llama: "Generation", messages: Any, options: Mapping[str, Any]
    ) -> tuple[Completion, ChatRequest]:
        """The completion of a conversation, not begun yet."""


class Formatted(Handler):
    """The handler of a formatter."""

    def __init__(self, formatter: Callable[..., ChatFormatterResponse]) -> None:
        if not callable(formatter):
            raise wrong_type("chat_formatter", formatter, "a function")
        self.formatter = formatter

    def completion(
        self, llama: "Generation", messages: Any, options: Mapping[str, Any]
    ) -> tuple[Completion, ChatRequest]:
        """The completion of the formatter's prompt, not begun yet."""
        for_prompt = {name: options.get(name) for name in TOOLS}
        refuse("a chat format", (), {name: for_prompt[name] for name in CHOICES}, CHOICES)
        answer = self.formatter(messages=messages, **for_prompt)
        prompt = getattr(answer, "prompt", None)
        if not isinstance(prompt, str):
            raise wrong_type(
                "what the chat formatter answered", answer, "a ChatFormatterResponse with a prompt"
            )
        request = ChatRequest.parse({k: v for k, v in options.items() if k not in TOOLS})
        # Any record with a prompt will do, such as llama-cpp-python's; what else it has not is as by default.
        stop, criteria = getattr(answer, "stop", None), getattr(answer, "stopping_criteria", None)
        request.stop = [*texts("stop", request.stop), *texts("the chat formatter's stop", stop)]
        request.stopping_criteria = both(request.stopping_criteria, criteria)
        tokenizer = llama._tokenizer
        bos = tokenizer.text(tokenizer.bos)
        has_bos = getattr(answer, "added_special", False) or (bool(bos) and prompt.startswith(bos))
        tokens = tokenizer.encode(prompt, add_bos=not has_bos, special=True)
        return llama._chat_of(tokens, request), request


class Named(Handler):
    """The handler of a format that Puna knows by name (`puna.chat`)."""

    def __init__(self, name: str) -> None:
        self.name = name

    def completion(
        self, llama: "Generation", messages: Any, options: Mapping[str, Any]
    ) -> tuple[Completion, ChatRequest]:
        """The completion of the template's prompt, not begun yet."""
        request = ChatRequest.parse(options)
        return llama._chat_completion(messages, request, self.name), request


class LlamaChatCompletionHandlerRegistry:
    """Handlers by name, the same ones in every registry; Puna's formats are there from the start."""

    _chat_handlers: ClassVar[dict[str, Callable[..., Any]]] = {name: Named(name) for name in FORMATS}

    def register_chat_completion_handler(
        self, name: str, chat_handler: Callable[..., Any], overwrite: bool = False
    ) -> None:
        """Registers a handler; in the place of another with `overwrite` alone."""
        text("name", name)
        if not callable(chat_handler):
            raise wrong_type("chat_handler", chat_handler, "a function")
        if not overwrite and name in self._chat_handlers:
            expected = "a new name, or overwrite = True"
            raise ArgumentError(f"name = {name!r}: a handler has this name already, expected {expected}")
        self._chat_handlers[name] = chat_handler

    def unregister_chat_handler(self, name: str) -> None:
        """Forgets the handler of that name."""
        self.get_chat_completion_handler_by_name(name)
        del self._chat_handlers[name]

    def get_chat_completion_handler_by_name(self, name: str) -> Callable[..., Any]:
        """The handler of that name."""
        if name not in self._chat_handlers:
            expected = f"one of {', '.join(map(repr, self._chat_handlers))}"
            raise LlamaChatCompletionHandlerNotFoundException(f"name = {short(name)}, expected {expected}")
        return self._chat_handlers[name]


def get_chat_completion_handler(name: str) -> Callable[..., Any]:
    """The handler of that name."""
    return LlamaChatCompletionHandlerRegistry().get_chat_completion_handler_by_name(name)


def register_chat_completion_handler(name: str) -> Callable[[F], F]:
    """Registers the handler that it decorates."""

    def register(handler: F) -> F:
        LlamaChatCompletionHandlerRegistry().register_chat_completion_handler(name, handler)
        return handler

    return register


def register_chat_format(name: str) -> Callable[[F], F]:
    """Registers the formatter that it decorates."""

    def register(formatter: F) -> F:
        LlamaChatCompletionHandlerRegistry().register_chat_completion_handler(name, Formatted(formatter))
        return formatter

    return register


def chat_formatter_to_chat_completion_handler(chat_formatter: Callable[..., Any]) -> Formatted:
    """The handler of a formatter."""
    return Formatted(chat_formatter)


def hf_tokenizer_config_to_chat_formatter(
    tokenizer_config: Mapping[str, Any], add_generation_prompt: bool = True
) -> Jinja2ChatFormatter:
    """The formatter of what stands in a model's `tokenizer_config.json`."""
    found: dict[str, Any] = dict(tokenizer_config)
    template, eos, bos = (found.get(name) for name in ("chat_template", "eos_token", "bos_token"))
    return Jinja2ChatFormatter(template, eos, bos, add_generation_prompt)  # type: ignore[arg-type]


def hf_tokenizer_config_to_chat_completion_handler(
    tokenizer_config: Mapping[str, Any], add_generation_prompt: bool = True
) -> Formatted:
    """The handler of the same."""
    return Formatted(hf_tokenizer_config_to_chat_formatter(tokenizer_config, add_generation_prompt))


def of_user(name: object) -> Callable[..., Any] | None:
    """The handler registered by that name, unless it is a format of Puna's."""
    found = LlamaChatCompletionHandlerRegistry._chat_handlers.get(name) if isinstance(name, str) else None
    return None if isinstance(found, Named) else found


def both(given: Any, more: Any) -> Any:
    """Stopping criteria of two sources, each one, several or none."""
    lists = [each if isinstance(each, list) else [each] for each in (given, more) if each]
    return [criterion for each in lists for criterion in each] or None
