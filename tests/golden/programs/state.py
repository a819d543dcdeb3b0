"""A context kept, and gone on with twice."""

from llama_cpp import Llama


def main(path):
    llm = Llama(model_path=path, verbose=False)
    llm.eval(llm.tokenize(b"Once upon a time, there"))
    state = llm.save_state()
    texts = []
    for _ in range(2):
        llm.load_state(state)
        llm.eval(llm.tokenize(b" was", add_bos=False))
        tokens = list(choose(llm))
        texts.append(llm.detokenize(tokens).decode())
    return {"n_tokens": state.n_tokens, "texts": texts}


def choose(llm):
    for _ in range(8):
        token = llm.sample(temp=0.0)
        yield token
        llm.eval([token])
