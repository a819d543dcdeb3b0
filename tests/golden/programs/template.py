"""A conversation by Llama 3's format, with text that ends it."""

from llama_cpp import Llama


def main(path):
    llm = Llama(model_path=path, chat_format="llama-3", n_ctx=256, type_k=0, type_v=0, verbose=False)
    messages = [{"role": "user", "content": "Hello"}]
    return llm.create_chat_completion(messages=messages, max_tokens=12, temperature=0.0, stop=["xyz"])
