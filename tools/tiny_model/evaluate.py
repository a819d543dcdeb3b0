"""Asks the held-out questions with an independent engine (llama-cpp-python) and counts.

    python evaluate.py MODEL.gguf work/held_out.jsonl [--show 20] [--system "You are ..."]

An answer is right when it holds one of the key words, and when the model stopped by itself.
"""

import argparse
import json
import re
from collections import Counter
from pathlib import Path

from llama_cpp import Llama


def right(answer: str, key: str) -> bool:
    """Whether one of the keys stands in the answer, not inside another word."""
    low = answer.lower()
    return any(
        re.search(rf"(?<!\w){re.escape(k)}(?!\w)", low) or k == "?" and k in low for k in key.split("|")
    )


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("model", type=Path)
    p.add_argument("questions", type=Path)
    p.add_argument("--show", type=int, default=20, help="how many wrong answers to print")
    p.add_argument("--system", help="a system prompt before each question")
    p.add_argument("--threads", type=int, default=1)
    a = p.parse_args()
    llm = Llama(str(a.model), n_ctx=1024, n_threads=a.threads, verbose=False)
    asked, good, unstopped, wrong = Counter(), Counter(), 0, []
    for line in a.questions.read_text(encoding="utf-8").splitlines():
        q = json.loads(line)
        messages = [{"role": "system", "content": a.system}] if a.system else []
        messages.append({"role": "user", "content": q["user"]})
        out = llm.create_chat_completion(messages, max_tokens=200, temperature=0)["choices"][0]
        answer, stopped = out["message"]["content"], out["finish_reason"] == "stop"
        ok = right(answer, q["key"]) and stopped
        asked[q["family"]] += 1
        good[q["family"]] += ok
        unstopped += not stopped
        if not ok:
            wrong.append((q["family"], q["user"], answer, q["key"][:50]))
    for family, user, answer, key in wrong[: a.show]:
        print(f"{family}: {user}\n    {answer}\n    wanted: {key}")
    worst = sorted(asked, key=lambda f: good[f] / asked[f])[:12]
    print("weakest:", ", ".join(f"{f} {good[f]}/{asked[f]}" for f in worst))
    total = sum(asked.values())
    print(
        f"{sum(good.values())} of {total} right ({sum(good.values()) / total:.1%}), {unstopped} did not stop"
    )


if __name__ == "__main__":
    main()
