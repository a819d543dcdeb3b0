"""The same in chunks."""

from llama_cpp import Llama


def main(path):
    llm = Llama(model_path=path, verbose=False)
    stream = llm("Once upon a time", max_tokens=12, stream=True, temperature=0.0)
    return list(stream)
