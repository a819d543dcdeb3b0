"""Continue a text. Run it with the path of a GGUF file, or without one for the bundled tiny model."""

import sys

import puna

with puna.Llama(sys.argv[1] if len(sys.argv) > 1 else None) as llm:
    response = llm.create_completion("Once upon a time", max_tokens=60, temperature=0)
    choice = response["choices"][0]
    print("Once upon a time" + choice["text"])
    print(f"({response['usage']['completion_tokens']} tokens, ended by {choice['finish_reason']})")
