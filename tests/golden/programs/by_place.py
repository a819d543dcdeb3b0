"""Options by their places, without names."""

from llama_cpp import Llama


def main(path):
    llm = Llama(path, type_k=0, type_v=0, logits_all=True, verbose=False)
    tokens = llm.tokenize(b"Once upon a time", True, False)
    answers = [
        llm("Once upon a time", None, 6, 0.0),
        llm.create_completion(
            "Once upon a time", None, 6, 0.0, 0.9, 0.05, 1.0, 2, False, ["was"], 0.1, 0.1, 1.1
        ),
    ]
    generated = []
    for token in llm.generate(tokens, 1, 0.95, 0.05, 1.0, 0.0, 1.0, True):
        generated.append(int(token))
        if len(generated) == 6:
            break
    llm.reset()
    llm.eval(tokens)
    chosen = int(llm.sample(1, 0.95, 0.05, 1.0, 0.0))
    return {
        "answers": answers,
        "generated": generated,
        "chosen": chosen,
        "text": llm.detokenize(generated, None, False).decode(),
    }
