"""Vectors of texts: pooled ones, normalised ones, and those of each token."""

from llama_cpp import Llama


def main(path):
    pooled = Llama(model_path=path, embedding=True, pooling_type=1, type_k=0, type_v=0, verbose=False)
    response = pooled.create_embedding(["Hello world!", "Goodbye"])
    normalised = pooled.embed("Hello world!", normalize=True)
    tokens = Llama(model_path=path, embedding=True, type_k=0, type_v=0, verbose=False).embed("Hello")
    return [response, normalised, tokens]
