"""Tokens evaluated and chosen one by one, and by the generator."""

from llama_cpp import Llama


def main(path):
    llm = Llama(model_path=path, logits_all=True, verbose=False)
    tokens = llm.tokenize(b"Once upon a time")
    llm.eval(tokens)
    first = [int(row.argmax()) for row in llm.scores[: llm.n_tokens]]
    chosen = []
    for _ in range(8):
        token = llm.sample(temp=0.0)
        chosen.append(int(token))
        llm.eval([token])
    generated = []
    for token in llm.generate(tokens, temp=0.0, reset=True):
        generated.append(int(token))
        if len(generated) == 8:
            break
    return {"first": first, "chosen": chosen, "generated": generated, "n_ctx": llm.n_ctx()}
