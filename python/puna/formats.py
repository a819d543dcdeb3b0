"""Chat formats by llama-cpp-python's names, for models whose file has no template.

Each is what its model was trained on, as the model's card has it. `stop` is what ends a turn in
vocabularies that do not know it as a token.
"""

import json
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Format:
    """A Jinja template, the texts that end an answer, and whether it writes the name of any role."""

    template: str
    stop: list[str] = field(default_factory=list)
    any_role: bool = False


def literal(text: str) -> str:
    """A text as Jinja prints it; raw text would lose line ends behind a block."""
    return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}" if text else ""


def turns(
    system: tuple[str, str],
    user: tuple[str, str],
    assistant: tuple[str, str],
    *,
    default: str = "",
    ask: str | None = None,
    stop: tuple[str, ...] = (),
) -> Format:
    """Each message between two texts of its role; an answer begins behind `ask`, by default the text before
    the assistant's but for trailing blanks. `default` is the system message where there is none."""

    def message(role: tuple[str, str]) -> str:
        return literal(role[0]) + "{{ m.content }}" + literal(role[1])

    first = literal(system[0] + default + system[1])
    begin = (
        "{% if messages[0].role not in ['system', 'developer'] %}" + first + "{% endif %}" if default else ""
    )
    return Format(
        begin
        + "{% for m in messages %}"
        + ("{% if m.role in ['system', 'developer'] %}" + message(system))
        + ("{% elif m.role == 'assistant' %}" + message(assistant))
        + ("{% else %}" + message(user) + "{% endif %}{% endfor %}")
        + (
            "{% if add_generation_prompt %}"
            + literal(assistant[0].rstrip(" ") if ask is None else ask)
            + "{% endif %}"
        ),
        list(stop),
    )


def joined(
    system: tuple[str, str], user: tuple[str, str], assistant: tuple[str, str], ask: str, *stop: str
) -> Format:
    """The same for models that know no system message: it begins the first user's."""
    return Format(
        "{% if messages[0].role in ['system', 'developer'] %}{% set system = "
        + f"{json.dumps(system[0])} + messages[0].content + {json.dumps(system[1])}"
        + "%}{% set rest = messages[1:] %}{% else %}{% set system = '' %}{% set rest = messages %}{% endif %}"
        + ("{% for m in rest %}{% if m.role == 'assistant' %}" + literal(assistant[0]))
        + ("{{ m.content }}" + literal(assistant[1]) + "{% else %}" + literal(user[0]))
        + ("{{ (system if loop.first else '') + m.content }}" + literal(user[1]))
        + ("{% endif %}{% endfor %}{% if add_generation_prompt %}" + literal(ask) + "{% endif %}"),
        list(stop),
    )


def chatml(*stop: str, default: str = "") -> Format:
    end = "<|im_end|>\n"
    roles = [(f"<|im_start|>{role}\n", end) for role in ("system", "user", "assistant")]
    return turns(*roles, default=default, stop=("<|im_end|>", *stop))


def baichuan(user: str, assistant: str) -> Format:
    return turns(("", ""), (user, ""), (assistant, ""), stop=(user,))


VICUNA = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
    "detailed, and polite answers to the user's questions."
)
OPENCHAT = "<|end_of_turn|>"

FORMATS: dict[str, Format] = {
    "chatml": chatml(),
    "llama-2": Format(
        "{% set system = messages[0].content if messages[0].role == 'system' else none %}"
        "{% for m in messages if m.role != 'system' %}{% if m.role == 'user' %}{{ bos_token }}[INST] "
        "{% if loop.first and system %}<<SYS>>\n{{ system }}\n<</SYS>>\n\n{% endif %}{{ m.content }} [/INST]"
        "{% else %} {{ m.content }} {{ eos_token }}{% endif %}{% endfor %}",
    ),
    "llama-3": Format(
        "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
        "{{ m.content | trim }}<|eot_id|>{% endfor %}"
        "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
        ["<|eot_id|>"],
        any_role=True,
    ),
    "gemma": joined(
        ("", "\n\n"),
        ("<start_of_turn>user\n", "<end_of_turn>\n"),
        ("<start_of_turn>model\n", "<end_of_turn>\n"),
        "<start_of_turn>model\n",
        "<end_of_turn>",
    ),
    "mistral-instruct": joined(("", "\n\n"), ("[INST] ", " [/INST]"), ("", "</s>"), "", "</s>"),
    "qwen": chatml("<|endoftext|>", default="You are a helpful assistant."),
    "vicuna": turns(("", " "), ("USER: ", " "), ("ASSISTANT: ", "</s>"), default=VICUNA, stop=("</s>",)),
    "alpaca": turns(
        ("", "\n\n"),
        ("### Instruction:\n", "\n\n"),
        ("### Response:\n", "</s>"),
        stop=("</s>", "### Instruction:"),
    ),
    "zephyr": turns(
        ("<|system|>\n", "</s>\n"), ("<|user|>\n", "</s>\n"), ("<|assistant|>\n", "</s>\n"), stop=("</s>",)
    ),
    "openchat": turns(
        ("", OPENCHAT),
        ("GPT4 Correct User: ", OPENCHAT),
        ("GPT4 Correct Assistant: ", OPENCHAT),
        stop=(OPENCHAT,),
    ),
    "phind": turns(
        ("### System Prompt\n", "\n\n"),
        ("### User Message\n", "\n\n"),
        ("### Assistant\n", "\n\n"),
        default="You are an intelligent programming assistant.",
        stop=("### User Message",),
    ),
    "intel": turns(
        ("### System:\n", "\n"), ("### User:\n", "\n"), ("### Assistant:\n", "\n"), stop=("### User:",)
    ),
    "open-orca": turns(
        ("", f"{OPENCHAT}\n"),
        ("User: ", f"{OPENCHAT}\n"),
        ("Assistant: ", f"{OPENCHAT}\n"),
        stop=(OPENCHAT, "User:"),
    ),
    "openbuddy": turns(("", "\n\n"), ("User: ", "\n"), ("Assistant: ", "\n"), stop=("\nUser:",)),
    "oasst_llama": turns(
        ("[INST] <<SYS>>\n", "\n<</SYS>>\n\n"),
        ("<|prompter|>", "</s>"),
        ("<|assistant|>", "</s>"),
        stop=("</s>",),
    ),
    "mistrallite": turns(
        ("<|system|>", "</s>"), ("<|prompter|>", " </s>\n"), ("<|assistant|>", " "), stop=("</s>",)
    ),
    "pygmalion": turns(("<|system|>", ""), ("<|user|>", ""), ("<|model|>", ""), stop=("<|user|>",)),
    "chatglm3": turns(
        ("<|system|>\n", ""),
        ("<|user|>\n ", ""),
        ("<|assistant|>\n ", ""),
        ask="<|assistant|>",
        stop=("</s>", "<|user|>"),
    ),
    "redpajama-incite": turns(("", "\n"), ("<human>: ", "\n"), ("<bot>: ", "\n"), stop=("<human>",)),
    "snoozy": turns(
        ("", "\n"),
        ("### Prompt: ", "\n"),
        ("### Response: ", "\n"),
        default="The prompt below is a question to answer, a task to complete, or a conversation to respond "
        "to; decide which and write an appropriate response.",
        stop=("###",),
    ),
    "saiga": turns(
        ("<s>system\n", "</s>"), ("<s>user\n", "</s>"), ("<s>bot\n", "</s>"), ask="<s>bot", stop=("</s>",)
    ),
    "baichuan": baichuan("<reserved_102>", "<reserved_103>"),
    "baichuan-2": baichuan("<reserved_106>", "<reserved_107>"),
}
