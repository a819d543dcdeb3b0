"""What a model is opened with, checked: the arguments of `Llama` as the core takes them."""

import inspect
import random
from typing import Any

from puna.arguments import flag, integer, number, short, wrong_type
from puna.errors import ArgumentError

# llama.cpp's number for "another seed each time".
RANDOM_SEED = 0xFFFFFFFF

# Types of the K/V cache: llama.cpp's names, and ggml's ids as llama-cpp-python takes them.
KV_TYPES = {"f32": 0, "f16": 1, "bf16": 30, "q8_0": 8, "q4_0": 2}


def session_options(
    *,
    n_gpu_layers: int,
    n_ctx: int,
    n_batch: int,
    n_ubatch: int | None,
    n_seq_max: int | None,
    n_threads: int | None,
    n_threads_batch: int | None,
    rope_freq_base: float,
    rope_freq_scale: float,
    logits_all: bool,
    embedding: bool,
    type_k: int | str | None,
    type_v: int | str | None,
    swa_full: bool | None = None,
) -> dict[str, Any]:
    """The arguments of `Llama` as the core takes them."""
    # Prompt and generation run on the same threads: see `warn_of_threads`.
    wanted, of_prompts = threads("n_threads", n_threads), threads("n_threads_batch", n_threads_batch)
    batch = integer("n_batch", n_batch, 1)
    embeds = flag("embedding", embedding)
    if n_ubatch is not None:  # llama.cpp's name for the most tokens that are evaluated at once
        at_once = integer("n_ubatch", n_ubatch, 1)
        # A text to embed is pooled in one run: less than `n_batch` would lose its end.
        batch = batch if embeds else min(batch, at_once)
    return {
        "n_gpu_layers": integer("n_gpu_layers", n_gpu_layers, -1),
        "n_ctx": integer("n_ctx", n_ctx, 0),
        "n_batch": batch,
        # Texts to embed share batches; a sequence costs nothing but its number.
        "n_seq_max": (64 if embeds else 1) if n_seq_max is None else integer("n_seq_max", n_seq_max, 1),
        "n_threads": wanted or of_prompts,
        "rope_freq_base": number("rope_freq_base", rope_freq_base) or None,
        "rope_freq_scale": number("rope_freq_scale", rope_freq_scale) or None,
        "logits_all": flag("logits_all", logits_all),
        "embedding": embeds,
        "type_k": kv_type("type_k", type_k),
        "type_v": kv_type("type_v", type_v),
        "swa_full": swa_full is None or flag("swa_full", swa_full),
    }


# Arguments of a `Llama` and of a `Session` that say how the model runs.
CONTEXT = [*inspect.signature(session_options).parameters]


def threads(name: str, value: int | None) -> int | None:
    """A number of threads; `None`, for which llama-cpp-python takes 0 too, is one a processor."""
    return None if value is None else integer(name, value, 0, 1024) or None


def kv_type(name: str, value: int | str | None) -> str:
    """The name of a type given by name or id; `None` is f16."""
    for known, id_of in KV_TYPES.items():
        if value in (known, id_of):
            return known
    if value is None:
        return "f16"
    expected = "one of " + ", ".join(f"'{known}' ({id_of})" for known, id_of in KV_TYPES.items())
    if not isinstance(value, (int, str)):
        raise wrong_type(name, value, expected)
    raise ArgumentError(f"{name} = {short(value)}, expected {expected}")


class Seeds:
    """Seeds of completions: each drawn from the model's own, or random like it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._random = (
            None if seed in (-1, RANDOM_SEED) else random.Random(integer("seed", seed, 0, RANDOM_SEED))
        )

    def next(self, seed: int | None) -> int | None:
        """The seed of the next completion; `None` = another one each time."""
        if seed is not None:
            return None if seed in (-1, RANDOM_SEED) else integer("seed", seed, 0, RANDOM_SEED)
        return None if self._random is None else self._random.getrandbits(32)
