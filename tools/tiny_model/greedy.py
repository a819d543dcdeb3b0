"""Greedy text of a GGUF by llama-cpp-python, with an F32 and a Q8_0 cache: what a test may pin.

python greedy.py MODEL.gguf
"""

import json
import sys

from llama_cpp import Llama

F32, Q8_0 = 0, 8
PROMPTS = (
    "Once upon a time",
    "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|>user\nTell me a story about a fox.<|im_end|>\n<|im_start|>assistant\n",
)


def main() -> None:
    for kind, name in ((F32, "f32"), (Q8_0, "q8_0")):
        llm = Llama(
            sys.argv[1],
            n_ctx=512,
            n_threads=1,
            type_k=kind,
            type_v=kind,
            flash_attn=kind == Q8_0,
            verbose=False,
        )
        for prompt in PROMPTS:
            ids = llm.tokenize(prompt.encode(), add_bos=False, special=True)
            out = []
            for token in llm.generate(ids, temp=0.0, top_k=1, repeat_penalty=1.0):
                if token == llm.token_eos() or len(out) == 200:
                    break
                out.append(token)
            text = llm.detokenize(out).decode()
            print(json.dumps({"cache": name, "prompt": prompt, "ids": out, "text": text}, ensure_ascii=False))


if __name__ == "__main__":
    main()
