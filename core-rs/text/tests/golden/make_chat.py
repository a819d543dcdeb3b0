"""Renders chat templates with jinja2 as `transformers` sets it up: the oracle for src/chat.rs.

    python make_chat.py TEMPLATE_DIR [OUTPUTS.json] > chat.json

Needs `pip install jinja2`. Prints {"template conversation": hash | "refused" | "error"}: FNV-1a (64
bits) of the output; raise_exception; any other Python exception (such as looping over None, which
minijinja lets pass). Only hashes are stored,
because the templates are their models' owners'; to see a difference, have the outputs written to
OUTPUTS.json and run tests/chat.rs with PUNA_CHAT_OUTPUTS naming that file.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = datetime(2025, 2, 3, 4, 5, 6, tzinfo=UTC)


class Generation(Extension):
    """{% generation %}: passed over, as when no assistant mask is asked for."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.Scope(body, lineno=line)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment() -> ImmutableSandboxedEnvironment:
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


def render(source: str, conversation: dict) -> tuple[str, str]:
    """The output and its mark; an empty output where jinja2 raises."""
    variables = {
        "messages": conversation["messages"],
        "tools": conversation.get("tools"),
        "documents": None,
        "add_generation_prompt": conversation["add_generation_prompt"],
        "bos_token": "<s>",
        "eos_token": "</s>",
    } | conversation.get("extra", {})
    try:
        output = environment().from_string(source).render(**variables)
        return output, fnv1a(output)
    except Exception as error:  # noqa: BLE001 - whatever the template does is an answer
        print(f"  {type(error).__name__}: {error}", file=sys.stderr)
        return "", "refused" if type(error) is jinja2.exceptions.TemplateError else "error"


def fnv1a(text: str) -> str:
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def main() -> None:
    conversations = json.loads(Path(__file__).with_name("conversations.json").read_text("utf-8"))
    outputs = {}
    for path in sorted(Path(sys.argv[1]).glob("*.jinja")):
        source = path.read_text("utf-8")
        for name, conversation in conversations.items():
            print(f"{path.name} {name}", file=sys.stderr)
            outputs[f"{path.name} {name}"] = render(source, conversation)
    if len(sys.argv) > 2:
        texts = {key: output for key, (output, _) in outputs.items()}
        Path(sys.argv[2]).write_text(json.dumps(texts), "utf-8")
    json.dump({key: mark for key, (_, mark) in outputs.items()}, sys.stdout, indent=0)


if __name__ == "__main__":
    main()
