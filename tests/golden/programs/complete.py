"""A prompt, text that ends it, and the prompt said again."""

from llama_cpp import Llama


def main(path):
    llm = Llama(model_path=path, verbose=False)
    output = llm("Once upon a time", max_tokens=32, stop=["dog", "\n"], echo=True, temperature=0.0)
    short = llm.create_completion("The sun", max_tokens=4, temperature=0.0, model="mine")
    return [output, short]
