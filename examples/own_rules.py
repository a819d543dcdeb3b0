"""A rule of one's own for the next token: a text without the letter e."""

import sys

import puna

with puna.Llama(sys.argv[1] if len(sys.argv) > 1 else None) as llm:
    with_e = [token for token in range(llm.n_vocab()) if b"e" in llm.detokenize([token]).lower()]

    def no_e(input_ids, scores):
        scores[with_e] = -float("inf")
        return scores

    def two_sentences(input_ids, logits):
        return llm.detokenize(input_ids.tolist()).count(b".") >= 2

    prompt = "My big dog"
    response = llm.create_completion(
        prompt, max_tokens=60, seed=4, logits_processor=[no_e], stopping_criteria=[two_sentences], echo=True
    )
    print(response["choices"][0]["text"])
