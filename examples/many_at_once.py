"""Several completions at once: they share each step of the model, which costs little more than one."""

import asyncio
import sys
import time

import puna

PROMPTS = ["The dog", "The sea", "My mother", "One morning"]


async def main(path: str | None) -> None:
    llm = await puna.Llama.aload(path, n_ctx=1024, n_seq_max=len(PROMPTS))
    started = time.perf_counter()
    jobs = [llm.acreate_completion(prompt, max_tokens=40, seed=1) for prompt in PROMPTS]
    responses = await asyncio.gather(*jobs)
    seconds = time.perf_counter() - started
    for prompt, response in zip(PROMPTS, responses):
        print(prompt + response["choices"][0]["text"].replace("\n", " "))
    n_tokens = sum(response["usage"]["completion_tokens"] for response in responses)
    print(f"{n_tokens} tokens in {seconds:.2f} s")
    llm.close()


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
