"""Conversations as the text a model was trained on."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from puna._native import core
from puna.arguments import short
from puna.errors import ArgumentError, TemplateError
from puna.tokenizer import Tokenizer

# Templates for models whose file has none, by llama-cpp-python's names. `stop` is what ends a turn
# in vocabularies that do not know it as a token.
FORMATS: dict[str, tuple[str, list[str]]] = {
    "chatml": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        ["<|im_end|>"],
    ),
    "llama-2": (
        "{% set system = messages[0].content if messages[0].role == 'system' else none %}"
        "{% for m in messages if m.role != 'system' %}{% if m.role == 'user' %}{{ bos_token }}[INST] "
        "{% if loop.first and system %}<<SYS>>\n{{ system }}\n<</SYS>>\n\n{% endif %}{{ m.content }} [/INST]"
        "{% else %} {{ m.content }} {{ eos_token }}{% endif %}{% endfor %}",
        [],
    ),
    "llama-3": (
        "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
        "{{ m.content | trim }}<|eot_id|>{% endfor %}"
        "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
        ["<|eot_id|>"],
    ),
    "gemma": (
        "{{ bos_token }}{% for m in messages %}<start_of_turn>"
        "{{ 'model' if m.role == 'assistant' else 'user' }}\n{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
        "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
        ["<end_of_turn>"],
    ),
}

ROLES = ("system", "developer", "user", "assistant", "tool")


class ChatFormat:
    """The chat template of a model: that of its file, or a known one by name."""

    def __init__(self, tokenizer: Tokenizer, template: str | None, name: str | None = None) -> None:
        self.stop: list[str] = []
        if name not in (None, "jinja", "chat_template.default"):
            if name not in FORMATS:
                known = ", ".join(repr(k) for k in FORMATS)
                raise ArgumentError(f"chat_format = {name!r}, expected None (the model's own), {known}")
            template, self.stop = FORMATS[name]
        if template is None:
            known = ", ".join(repr(k) for k in FORMATS)
            raise TemplateError(
                f"the model has no tokenizer.chat_template; expected chat_format = one of {known}"
            )
        self._bos = tokenizer.text(tokenizer.bos)
        self._tokenizer = tokenizer
        self._template = core.ChatTemplate(template, bos=self._bos, eos=tokenizer.text(tokenizer.eos))

    def render(self, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool = True) -> str:
        """The text of a conversation, ending where the assistant's answer begins."""
        rendered = json.dumps([checked(i, m) for i, m in enumerate(listed(messages))])
        return self._template.render(rendered, add_generation_prompt=add_generation_prompt)

    def encode(self, text: str) -> list[int]:
        """The tokens of a rendered conversation, with one BOS, whether or not the template wrote it."""
        written = bool(self._bos) and text.startswith(self._bos)
        return self._tokenizer.encode(text, add_bos=not written, special=True)


def listed(messages: object) -> list[object]:
    if not isinstance(messages, Sequence) or isinstance(messages, (str, bytes)) or not messages:
        raise ArgumentError(f"messages = {short(messages)}, expected a list of at least one message")
    return list(messages)


def checked(index: int, message: object) -> dict[str, Any]:
    """A message as templates expect it: a role, and text for content."""
    name = f"messages[{index}]"
    if not isinstance(message, Mapping):
        raise ArgumentError(f'{name} = {short(message)}, expected {{"role": …, "content": …}}')
    if message.get("role") not in ROLES:
        raise ArgumentError(
            f"{name}['role'] = {short(message.get('role'))}, expected one of {', '.join(ROLES)}"
        )
    content = message.get("content")
    if isinstance(content, Sequence) and not isinstance(content, str):
        content = "".join(part_text(f"{name}['content'][{i}]", part) for i, part in enumerate(content))
    if content is None and "tool_calls" not in message:
        raise ArgumentError(f"{name}['content'] = None, expected text")
    if content is not None and not isinstance(content, str):
        raise ArgumentError(f"{name}['content'] = {short(content)}, expected text")
    return {**message, "content": content}


def part_text(name: str, part: object) -> str:
    """The text of a part of a message; pictures and sound are refused."""
    if isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    raise ArgumentError(f'{name} = {short(part)}, expected {{"type": "text", "text": …}}')
