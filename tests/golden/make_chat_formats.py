"""Make the golden chat formats: what llama-cpp-python writes for a conversation in some of its formats.

    python make_chat_formats.py        needs llama-cpp-python

Formats that it writes otherwise than the models' cards do are left out: it loses the assistant's turns
(saiga), all turns (open-orca), the system message (phind, openbuddy, and so gemma, mistral-instruct and
vicuna, which are asked without one), writes `{system_message}` (intel), or other blanks (the rest).
"""

import json
from pathlib import Path

import llama_cpp
from llama_cpp import llama_chat_format

HERE = Path(__file__).parent
SYSTEM = {"role": "system", "content": "SYS"}
TURNS = [
    {"role": role, "content": text} for role, text in (("user", "U1"), ("assistant", "A1"), ("user", "U2"))
]
FORMATS = {
    "baichuan": "baichuan",
    "baichuan-2": "baichuan2",
    "chatglm3": "chatglm3",
    "chatml": "chatml",
    "llama-3": "llama3",
    "mistrallite": "mistrallite",
    "oasst_llama": "oasst_llama",
    "qwen": "qwen",
    "redpajama-incite": "redpajama_incite",
    "snoozy": "snoozy",
}
WITHOUT_SYSTEM = {"gemma": "gemma", "mistral-instruct": "mistral_instruct"}


def main() -> None:
    rows = []
    for names, messages in ((FORMATS, [SYSTEM, *TURNS]), (WITHOUT_SYSTEM, TURNS)):
        for name, function in names.items():
            text = getattr(llama_chat_format, f"format_{function}")(messages=messages).prompt
            rows.append({"format": name, "messages": messages, "text": text})
    found = {"made_by": f"llama-cpp-python {llama_cpp.__version__}", "cases": rows}
    (HERE / "chat_formats.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
