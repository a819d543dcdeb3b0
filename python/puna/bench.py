"""Speed as llama-bench measures it: `pp` evaluates a prompt, `tg` generates token by token."""

from typing import Any

from puna.arguments import integer
from puna.llama import Llama


def run(llm: Llama, n_prompt: int = 512, n_gen: int = 128, reps: int = 5) -> dict[str, Any]:
    """Tokens a second of a loaded model, without sampling, each from an empty cache, after a warm-up.

    `pp` and `tg` are the best of `reps` repetitions (`None` where that part was 0 tokens long),
    `pp_all` and `tg_all` all of them. The context is empty afterwards.
    """
    for name, n in (("n_prompt", n_prompt), ("n_gen", n_gen)):
        integer(name, n, 0, llm.n_ctx())
    pp, tg = llm._session.bench(n_prompt, n_gen, integer("reps", reps, 1, 1000))
    llm.reset()
    return {
        "model": llm.model_path,
        "device": llm.device,
        "n_prompt": n_prompt,
        "n_gen": n_gen,
        "pp": max(pp, default=None),
        "tg": max(tg, default=None),
        "pp_all": pp,
        "tg_all": tg,
    }
