"""Log-probabilities of an answer, and with its prompt."""

from llama_cpp import Llama


def main(path):
    llm = Llama(model_path=path, logits_all=True, type_k=0, type_v=0, verbose=False)
    answer = llm("Once upon a time", max_tokens=4, logprobs=3, temperature=0.0)
    both = llm("Once upon a time", max_tokens=3, logprobs=2, temperature=0.0, echo=True)
    # Not the offsets, which there count a blank that the text has not.
    return [answer, both["choices"][0]["logprobs"]["token_logprobs"]]
