"""What a program reads of a model besides its answers."""

from llama_cpp import Llama


def main(path):
    llm = Llama(
        path, n_ctx=256, n_batch=64, seed=7, last_n_tokens_size=32, type_k=0, logits_all=True, verbose=False
    )
    params = llm.context_params
    llm.eval(llm.tokenize(b"Once upon"))
    tokenizer = llm.tokenizer()
    return {
        "params": [
            params.n_ctx,
            params.n_batch,
            params.n_ubatch,
            params.type_k,
            params.type_v,
            params.embeddings,
        ],
        "sizes": [
            llm.n_ctx(),
            llm.n_vocab(),
            llm.n_embd(),
            llm.n_batch,
            llm.n_tokens,
            llm.last_n_tokens_size,
        ],
        "tokens": [llm.token_bos(), llm.token_eos(), llm.token_nl()],
        "metadata": [llm.metadata[key] for key in ("general.architecture", "llama.block_count")],
        "pieces": [tokenizer.decode([token]) for token in range(300, 320)],
        "encoded": [
            tokenizer.encode("a tree"),
            tokenizer.tokenize(b"<s>", False),
            llm.tokenizer_.encode("a", False),
        ],
        "ids": [int(token) for token in llm._input_ids[: llm.n_tokens]],
        "eval_tokens": list(llm.eval_tokens),
        "best": [int(llm.scores[llm.n_tokens - 1].argmax()), int(llm._scores[-1, :].argmax())],
        "rows": [len(llm.eval_logits), *llm._scores.shape],
        "nothing": [llm.cache, llm.chat_handler, llm.lora_path, llm.draft_model, llm.kv_overrides],
    }
