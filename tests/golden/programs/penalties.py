"""Options of the samplers that leave one choice only."""

from llama_cpp import Llama


def main(path):
    llm = Llama(model_path=path, verbose=False)
    comma = llm.tokenize(b",", add_bos=False)[-1]
    options = [
        {"repeat_penalty": 1.3},
        {"frequency_penalty": 1.0, "presence_penalty": 0.5},
        {"logit_bias": {comma: -100.0}},
        {"top_k": 1, "temperature": 1.0, "seed": 3},
    ]
    greedy = {"max_tokens": 24, "temperature": 0.0}
    return [llm("Once upon a time", **greedy | given)["choices"] for given in options]
