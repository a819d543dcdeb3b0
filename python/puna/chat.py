"""Conversations as the text a model was trained on.

puna.chat.render("chatml", [{"role": "user", "content": "Hello"}])
puna.chat.render(model.metadata["tokenizer.chat_template"], messages, bos_token="<s>", tools=tools)
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from puna._native import core
from puna.arguments import flag, short, text, wrong_type
from puna.errors import ArgumentError, TemplateError, UnsupportedError
from puna.formats import FORMATS
from puna.tokenizer import Tokenizer

# Formats of llama-cpp-python that call functions.
FUNCTIONS = ("functionary", "functionary-v1", "functionary-v2", "chatml-function-calling")
# Those that formats by name know; the template of a file may have others.
ROLES = ("system", "developer", "user", "assistant", "tool")


def render(
    template: str,
    messages: Sequence[Mapping[str, Any]],
    *,
    add_generation_prompt: bool = True,
    bos_token: str = "",
    eos_token: str = "",
    **variables: Any,
) -> str:
    """The text of a conversation by a chat template, as `transformers` renders it.

    `template` is Jinja or the name of a format that `FORMATS` has. Messages go to it as they are: any
    role, and content of any form that JSON has. `variables` are what templates ask for besides them, such
    as `tools`, `documents`, `enable_thinking`.

    Errors: `TemplateError` for a template that is broken, refuses the conversation (`raise_exception`),
    or runs for ever; `ArgumentError` for messages that are none, and for a word that names no format.
    """
    known = FORMATS.get(text("template", template))
    if known is None and "{" not in template and len(template.split()) == 1:
        raise ArgumentError(f"template = {short(template)}, expected Jinja or one of {names()}")
    compiled = core.ChatTemplate(known.template if known else template, bos=bos_token, eos=eos_token)
    for index, message in enumerate(listed(messages)):
        if not isinstance(message, Mapping):
            raise wrong_type(f"messages[{index}]", message, '{"role": …, "content": …}')
    wanted = flag("add_generation_prompt", add_generation_prompt)
    return rendered_text(compiled, [dict(message) for message in messages], wanted, variables)


def rendered_text(
    compiled: core.ChatTemplate,
    messages: list[Any],
    add_generation_prompt: bool,
    variables: Mapping[str, Any],
) -> str:
    """The text of messages that are sound JSON, by a template that is read already."""
    return compiled.render(
        as_json("messages", messages),
        add_generation_prompt=add_generation_prompt,
        extra=as_json("variables", variables),
    )


class ChatFormat:
    """The chat template of a model: that of its file, or a known one by name."""

    def __init__(self, tokenizer: Tokenizer, template: str | None, name: str | None = None) -> None:
        self.stop: list[str] = []
        self._roles: Sequence[str] = ()  # those it knows; none where the template decides
        known = names()
        key = key_of(name)
        if name is not None and key is None:
            expected = f"None (the model's own), {known}"
            if name in FUNCTIONS:
                raise UnsupportedError(f"chat_format = {name!r} calls functions, expected {expected}")
            if name not in FORMATS:
                raise ArgumentError(f"chat_format = {name!r}, expected {expected}")
            template, self.stop = FORMATS[name].template, FORMATS[name].stop
            self._roles = () if FORMATS[name].any_role else ROLES
        if template is None:
            expected = f"chat_format = one of {known}"
            if name is None:
                unasked = "Llama(…, chat_format='llama-2'), which llama-cpp-python takes unasked"
                expected = f"{unasked}, or the format it was trained on: {known}"
            raise TemplateError(f"the model has no {key}; expected {expected}")
        self._bos = tokenizer.text(tokenizer.bos)
        self._tokenizer = tokenizer
        self._template = core.ChatTemplate(template, bos=self._bos, eos=tokenizer.text(tokenizer.eos))

    def render(self, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool = True) -> str:
        """The text of a conversation, ending where the assistant's answer begins."""
        rendered = as_json("messages", [checked(i, m, self._roles) for i, m in enumerate(listed(messages))])
        return self._template.render(rendered, add_generation_prompt=add_generation_prompt)

    def encode(self, text: str) -> list[int]:
        """The tokens of a rendered conversation, with one BOS, whether or not the template wrote it."""
        written = bool(self._bos) and text.startswith(self._bos)
        return self._tokenizer.encode(text, add_bos=not written, special=True)


def key_of(name: object) -> str | None:
    """The metadata key of the template that a `chat_format` stands for; `None` where it is a known format.
    A file may have more than one template, `chat_template.tool_use` for example."""
    if name is not None and not isinstance(name, str):
        raise wrong_type("chat_format", name, f"None (the model's own), {names()}")
    if name in (None, "jinja", "chat_template.default"):
        return "tokenizer.chat_template"
    return f"tokenizer.{name}" if name.startswith("chat_template.") else None


def names() -> str:
    """The known formats, for errors."""
    return ", ".join(repr(name) for name in FORMATS)


def as_json(name: str, value: object) -> str:
    try:
        # Lone surrogates are no text: an error here, and not of the reader.
        return json.dumps(value, allow_nan=False, ensure_ascii=False).encode().decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentError(f"{name}: {error}, expected what JSON has") from error


def listed(messages: object) -> list[object]:
    expected = "a list of at least one message"
    if not isinstance(messages, Sequence) or isinstance(messages, (str, bytes)):
        raise wrong_type("messages", messages, expected)
    if not messages:
        raise ArgumentError(f"messages = {short(messages)}, expected {expected}")
    return list(messages)


def checked(index: int, message: object, roles: Sequence[str] = ()) -> dict[str, Any]:
    """A message as templates expect it: a role, one of `roles` where there are any, and text for content."""
    name = f"messages[{index}]"
    if not isinstance(message, Mapping):
        raise wrong_type(name, message, '{"role": …, "content": …}')
    role = message.get("role")
    if not isinstance(role, str) or not role or (roles and role not in roles):
        expected = f"one of {', '.join(roles)}" if roles else f"a role, such as {', '.join(ROLES)}"
        raise ArgumentError(f"{name}['role'] = {short(role)}, expected {expected}")
    content = message.get("content")
    if isinstance(content, Sequence) and not isinstance(content, str):
        content = "".join(part_text(f"{name}['content'][{i}]", part) for i, part in enumerate(content))
    if content is None and "tool_calls" not in message:
        raise ArgumentError(f"{name}['content'] = None, expected text")
    if content is not None and not isinstance(content, str):
        raise wrong_type(f"{name}['content']", content, "text")
    return {**message, "content": content}


def part_text(name: str, part: object) -> str:
    """The text of a part of a message; pictures and sound are refused."""
    if isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    raise ArgumentError(f'{name} = {short(part)}, expected {{"type": "text", "text": …}}')
