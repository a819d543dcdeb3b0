"""A conversation in a format by name, whole and in chunks."""

from llama_cpp import Llama

MESSAGES = [
    {"role": "system", "content": "You tell stories."},
    {"role": "user", "content": "Tell me about a girl."},
]


def main(path):
    llm = Llama(model_path=path, chat_format="chatml", n_ctx=256, type_k=0, type_v=0, verbose=False)
    whole = llm.create_chat_completion(messages=MESSAGES, max_tokens=8, temperature=0.0)
    chunks = llm.create_chat_completion(messages=MESSAGES, max_tokens=6, temperature=0.0, stream=True)
    return [whole, list(chunks)]
