"""Puts the conversations of prompts.txt to a GGUF by llama-cpp-python and prints the answers.

    python chat.py MODEL.gguf prompts.txt

One conversation a line; `||` between turns; `[...]` at the start is a system prompt; `>` at the
start is plain text to be continued.
"""

import sys
from pathlib import Path

from llama_cpp import Llama


def main() -> None:
    model, prompts = sys.argv[1:3]
    llm = Llama(model, n_ctx=1024, n_threads=1, verbose=False)
    for line in Path(prompts).read_text(encoding="utf-8").splitlines():
        if line.startswith(">"):
            out = llm.create_completion(line[1:].strip(), max_tokens=200, temperature=0)["choices"][0]
            print(f">>> {line[1:].strip()}{out['text']} ({out['finish_reason']})\n")
            continue
        messages = []
        if line.startswith("["):
            head, line = line[1:].split("]", 1)
            messages.append({"role": "system", "content": head})
            print(f"[{head}]")
        for user in line.split("||"):
            messages.append({"role": "user", "content": user.strip()})
            out = llm.create_chat_completion(messages, max_tokens=220, temperature=0)["choices"][0]
            messages.append(out["message"])
            end = "" if out["finish_reason"] == "stop" else f" ({out['finish_reason']})"
            print(f"- {user.strip()}\n    {out['message']['content']}{end}")


if __name__ == "__main__":
    main()
