"""Text and tokens, and what a model tells about itself."""

from llama_cpp import Llama


def main(path):
    llm = Llama(model_path=path, verbose=False)
    text = b"Once upon a time, there was a fox.</s>"
    ids = llm.tokenize(text)
    return {
        "ids": ids,
        "special": llm.tokenize(text, special=True),
        "bare": llm.tokenize(text, add_bos=False),
        "empty": llm.tokenize(b""),
        "text": llm.detokenize(ids).decode(),
        "rest": llm.detokenize(ids[4:], prev_tokens=ids[:4]).decode(),
        "tokens": [llm.token_bos(), llm.token_eos(), llm.token_nl()],
        "sizes": [llm.n_vocab(), llm.n_embd()],
        "metadata": {key: llm.metadata[key] for key in ("general.architecture", "llama.block_count")},
    }
