"""Two prompts in turn, their contexts kept in memory."""

from llama_cpp import Llama, LlamaRAMCache


def main(path):
    llm = Llama(model_path=path, verbose=False)
    llm.set_cache(LlamaRAMCache(capacity_bytes=1 << 24))
    prompts = ["Once upon a time", "The big dog", "Once upon a time"]
    return [llm(prompt, max_tokens=8, temperature=0.0)["choices"] for prompt in prompts]
