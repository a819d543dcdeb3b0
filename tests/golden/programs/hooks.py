"""A processor that forbids a token, a criterion that ends, and the end put off."""

from llama_cpp import Llama, LogitsProcessorList, StoppingCriteriaList


def main(path):
    llm = Llama(model_path=path, verbose=False)
    little = llm.tokenize(b" little", add_bos=False)[-1]

    def forbid(input_ids, scores):
        scores[little] = -float("inf")
        return scores

    def long_enough(input_ids, logits):
        return len(input_ids) >= 12

    options = {"max_tokens": 32, "temperature": 0.0}
    forbidden = llm("Once upon a time", logits_processor=LogitsProcessorList([forbid]), **options)
    ended = llm("Once upon a time", stopping_criteria=StoppingCriteriaList([long_enough]), **options)
    return [forbidden["choices"], ended["choices"]]
