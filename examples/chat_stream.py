"""Chat with a model and print its answers as they come."""

import sys

import puna

QUESTIONS = ["Hello! What is your name?", "Can you tell me a story?"]

with puna.Llama(sys.argv[1] if len(sys.argv) > 1 else None, n_ctx=1024) as llm:
    messages = []
    for question in QUESTIONS:
        print(f"> {question}")
        messages.append({"role": "user", "content": question})
        answer = ""
        for chunk in llm.create_chat_completion(messages, max_tokens=80, seed=1, stream=True):
            piece = chunk["choices"][0]["delta"].get("content", "")
            answer += piece
            print(piece, end="", flush=True)
        print()
        # The next answer evaluates only what is new: the rest is still in the context.
        messages.append({"role": "assistant", "content": answer})
