"""Arguments by llama-cpp-python's names: which are taken, which are refused, and how.

Nothing is ignored. A name that llama-cpp-python has and Puna does not is accepted only with the
value that asks for nothing; any other name is answered with the one that may have been meant.
"""

import difflib
from collections.abc import Collection, Mapping

from puna.errors import ArgumentError, UnknownArgumentError, UnsupportedError

# Arguments of `llama_cpp.Llama` that Puna does not have, each with the values that ask for nothing.
LLAMA: dict[str, tuple[object, ...]] = {
    "split_mode": (1,),
    "main_gpu": (0,),
    "tensor_split": (None,),
    "use_mlock": (False,),
    "kv_overrides": (None,),
    "rope_scaling_type": (-1, None),
    "pooling_type": (-1,),
    "attention_type": (-1,),
    "yarn_ext_factor": (-1.0,),
    "yarn_attn_factor": (1.0,),
    "yarn_beta_fast": (32.0,),
    "yarn_beta_slow": (1.0,),
    "yarn_orig_ctx": (0,),
    "embedding": (False,),
    "offload_kqv": (True,),
    "flash_attn": (False,),
    "op_offload": (None,),
    "swa_full": (None,),
    "no_perf": (False,),
    "lora_base": (None,),
    "lora_scale": (1.0,),
    "lora_path": (None,),
    "numa": (False, 0),
    "chat_handler": (None,),
    "draft_model": (None,),
    "tokenizer": (None,),
    "spm_infill": (False,),
}

# Those of its create_completion.
COMPLETION: dict[str, tuple[object, ...]] = {
    "suffix": (None,),
    "typical_p": (1.0,),
    "tfs_z": (1.0,),
    "mirostat_mode": (0,),
    "mirostat_tau": (5.0,),
    "mirostat_eta": (0.1,),
    "stopping_criteria": (None,),
    "logits_processor": (None,),
    "grammar": (None,),
}

# Those of its create_chat_completion.
CHAT: dict[str, tuple[object, ...]] = {
    "functions": (None,),
    "function_call": (None,),
    "tools": (None,),
    "tool_choice": (None, "none"),
    "response_format": (None, {"type": "text"}),
    "typical_p": (1.0,),
    "tfs_z": (1.0,),
    "mirostat_mode": (0,),
    "mirostat_tau": (5.0,),
    "mirostat_eta": (0.1,),
    "logits_processor": (None,),
    "grammar": (None,),
}

# What its Llama can do besides; said when such an attribute is asked for.
METHODS = (
    "create_chat_completion_openai_v1",
    "create_embedding",
    "embed",
    "from_pretrained",
    "load_state",
    "save_state",
    "set_cache",
)


def refuse(
    title: str,
    known: Collection[str],
    others: Mapping[str, object],
    refused: Mapping[str, tuple[object, ...]],
) -> None:
    """Refuses every one of `others` that asks for something; `known` are the names that `title` takes."""
    for name, value in others.items():
        if name not in refused:
            close = difflib.get_close_matches(name, [*known, *refused], n=1)
            meant = f"; did you mean {close[0]!r}?" if close else ""
            raise UnknownArgumentError(f"{title}() has no argument {name!r}{meant}")
        if not any(asks_nothing(value, neutral) for neutral in refused[name]):
            expected = " or ".join(repr(v) for v in refused[name])
            raise UnsupportedError(f"{name} = {short(value)} is not supported, expected {expected}")


# What tokens alone do not have: a text to end, repeat, stream or put into a dictionary.
OF_TEXT = ("stop", "echo", "stream", "model", "logprobs", "max_tokens")


def only_sampling(title: str, options: Mapping[str, object]) -> None:
    """Refuses options of a completion that choosing tokens has no use for."""
    for name in OF_TEXT:
        if options.get(name):
            expected = f"no {name}: {title}() gives token ids"
            raise UnsupportedError(f"{name} = {short(options[name])} is not supported, expected {expected}")


def asks_nothing(value: object, neutral: object) -> bool:
    return value is neutral or (type(value) is not bool and value == neutral)


def integer(name: str, value: object, least: int, most: int = 2**31 - 1) -> int:
    """`value` as a whole number of a range."""
    number = value.__index__() if hasattr(value, "__index__") and not isinstance(value, bool) else None
    if number is None or not least <= number <= most:
        upper = f"{most}" if most < 2**31 - 1 else "…"
        raise ArgumentError(f"{name} = {short(value)}, expected a whole number, {least} to {upper}")
    return int(number)


def number(name: str, value: object) -> float:
    """`value` as a number; what its range is, the core knows."""
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise ArgumentError(f"{name} = {short(value)}, expected a number")
    return float(value)


def texts(name: str, value: object) -> list[str]:
    """One text, a list of them, or `None` for none."""
    if value is None:
        return []
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, (list, tuple)) or not all(isinstance(text, str) for text in found):
        raise ArgumentError(f"{name} = {short(value)}, expected a str or a list of str")
    return list(found)


def short(value: object) -> str:
    """`repr` for a message."""
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
