"""Arguments by llama-cpp-python's names: which are taken, which are refused, and how.

Nothing is ignored. A name that llama-cpp-python has and Puna does not is accepted only with the
value that asks for nothing; any other name is answered with the one that may have been meant.
"""

import difflib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from inspect import Parameter, signature
from operator import index
from typing import Any

from puna.errors import (
    ArgumentError,
    ArgumentTypeError,
    TokenError,
    UnknownArgumentError,
    UnsupportedError,
)

# Arguments of `llama_cpp.Llama` that Puna does not have, each with the values that ask for nothing.
LLAMA: dict[str, tuple[object, ...]] = {
    "split_mode": (1, 0),  # one GPU at most: by layer and not at all are the same
    "main_gpu": (0,),
    "tensor_split": (None,),
    "use_mlock": (False,),
    "rope_scaling_type": (-1, None),
    "attention_type": (-1,),
    "yarn_ext_factor": (-1.0,),
    "yarn_attn_factor": (1.0,),
    "yarn_beta_fast": (32.0,),
    "yarn_beta_slow": (1.0,),
    "yarn_orig_ctx": (0,),
    "offload_kqv": (True,),
    "flash_attn": (False, True),  # attention never writes its scores to memory, either way
    "op_offload": (None,),
    "no_perf": (False, True),  # nothing is printed anyway
    "lora_base": (None,),
    "lora_scale": (1.0,),
    "lora_path": (None,),
    "numa": (False, 0),
    "draft_model": (None,),
    "tokenizer": (None,),
}

# Those that it had once; it takes and ignores them now. `f16_kv` is here what it meant.
OLD = ("f16_kv",)
LLAMA |= {
    "device": (None,),  # of LangChain's embeddings
    "low_vram": (False,),
    "mul_mat_q": (True,),
    "n_gqa": (None,),
    "n_parts": (-1,),
    "rms_norm_eps": (None,),
}

# What to do instead of asking for what is refused.
INSTEAD = {
    "draft_model": "Puna has no draft models and no prompt lookup",
    "grammar": "Puna has no grammars; a logits_processor can say which tokens may come",
    "lora_path": "Puna has no adapters; merge it into the model's file",
    "n_gqa": "the file says it, or kv_overrides of ARCHITECTURE.attention.head_count_kv",
    "response_format": "Puna has no grammars; a logits_processor can say which tokens may come",
    "rms_norm_eps": "the file says it, or kv_overrides of ARCHITECTURE.attention.layer_norm_rms_epsilon",
    "tokenizer": "Puna takes the tokenizer of the model's file",
    "tools": "Puna calls no functions; puna.chat.render(template, messages, tools=…) writes them into a prompt",
    "use_mlock": "use_mmap = False reads the file into memory at once",
}

# Those of its create_completion.
COMPLETION: dict[str, tuple[object, ...]] = {
    "tfs_z": (1.0,),
    "penalize_nl": (True,),
    "grammar": (None,),
}

# Those of its create_chat_completion.
CHAT: dict[str, tuple[object, ...]] = {
    "functions": (None, []),
    "function_call": (None, "none", "auto"),
    "tools": (None, []),
    "tool_choice": (None, "none", "auto"),
    "response_format": (None, {"type": "text"}),
    "tfs_z": (1.0,),
    "grammar": (None,),
}


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
            expected += f": {INSTEAD[name]}" if name in INSTEAD else ""
            raise UnsupportedError(f"{name} = {short(value)} is not supported, expected {expected}")


def names(call: Callable[..., Any]) -> list[str]:
    """The arguments that a function or an `__init__` has, for `refuse`: read from its signature, because a
    list beside it would be forgotten one day, and one of `locals()` has what is no argument."""
    taken = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    found = signature(call).parameters.values()
    return [argument.name for argument in found if argument.kind in taken and argument.name != "self"]


def by_place(
    title: str, order: Sequence[str], given: Sequence[object], options: Mapping[str, object]
) -> dict[str, object]:
    """Arguments by name, where some were given by their places in llama-cpp-python's `order`."""
    if len(given) > len(order):
        expected = f"at most {len(order)}: {', '.join(order)}"
        raise UnknownArgumentError(f"{title}() was given {len(given)} options by place, expected {expected}")
    named = dict(zip(order, given))
    for name in named:
        if name in options:
            raise UnknownArgumentError(f"{title}() has {name!r} by place and by name, expected it once")
    return named | dict(options)


def renewed(options: dict[str, Any], given: Mapping[str, object]) -> dict[str, Any]:
    """`options` with what old arguments of `llama_cpp.Llama` said: without `f16_kv` the cache is f32."""
    if flag("f16_kv", given.get("f16_kv", True)):
        return options
    return {
        name: "f32" if name in ("type_k", "type_v") and value is None else value
        for name, value in options.items()
    }


# What tokens alone do not have: a text to end, repeat, stream or put into a dictionary.
OF_TEXT = ("stop", "echo", "suffix", "stream", "model", "logprobs", "max_tokens")


def only_sampling(title: str, options: Mapping[str, object], others: Mapping[str, str]) -> None:
    """Refuses options of a completion that choosing tokens has no use for; `others` are more of them, each
    with the reason."""
    reasons = dict.fromkeys(OF_TEXT, f"{title}() gives token ids") | dict(others)
    for name, reason in reasons.items():
        if options.get(name):
            expected = f"no {name}: {reason}"
            raise UnsupportedError(f"{name} = {short(options[name])} is not supported, expected {expected}")


def asks_nothing(value: object, neutral: object) -> bool:
    return value is neutral or (type(value) is not bool and value == neutral)


def integer(name: str, value: object, least: int, most: int = 2**31 - 1) -> int:
    """`value` as a whole number of a range."""
    expected = f"a whole number, {least} to {most}"
    if not hasattr(value, "__index__") or isinstance(value, bool):
        raise wrong_type(name, value, expected)
    number = value.__index__()
    if not least <= number <= most:
        raise ArgumentError(f"{name} = {short(value)}, expected {expected}")
    return int(number)


def number(name: str, value: object) -> float:
    """`value` as a number; what its range is, the core knows."""
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise wrong_type(name, value, "a number")
    return float(value)


def flag(name: str, value: object) -> bool:
    """`value` as true or false; a text would be true whatever it says."""
    if value is None or isinstance(value, bool):
        return bool(value)
    if not isinstance(value, int):
        raise wrong_type(name, value, "True or False")
    if value not in (0, 1):
        raise ArgumentError(f"{name} = {short(value)}, expected True or False")
    return bool(value)


def token_list(name: str, value: object) -> list[int]:
    """Token ids: a list, an array, any iterable of whole numbers."""
    if isinstance(value, (str, bytes, bytearray)) or not hasattr(value, "__iter__"):
        raise wrong_type(name, value, "a list of token ids")
    if getattr(value, "ndim", 1) != 1:
        found = f"an array of shape {list(getattr(value, 'shape', ()))}"
        raise ArgumentTypeError(f"{name} = {found}, expected token ids in one dimension")
    return [whole(name, token) for token in value]


def whole(name: str, token: object) -> int:
    """A token id as Python's number."""
    try:
        if isinstance(token, bool):
            raise TypeError("True and False are no token ids")
        found = index(token)  # type: ignore[arg-type]
    except TypeError as error:
        raise wrong_type(f"{name}: token id", token, "a whole number") from error
    if not -(2**63) <= found < 2**63:  # of others the core knows how many there are
        raise TokenError(f"token id {short(token)}, expected one of the vocabulary")
    return found


def utf8(name: str, value: object) -> bytes:
    """A text as bytes; bytes are taken as they are."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if not isinstance(value, str):
        raise wrong_type(name, value, "a str or bytes")
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise ArgumentError(f"{name} = {short(value)}, expected text without lone surrogates") from error


def text(name: str, value: object) -> str:
    """`value` as a text."""
    if not isinstance(value, str):
        raise wrong_type(name, value, "a str")
    return value


def path(name: str, value: object) -> str:
    """`value` as the path of a file."""
    if not isinstance(value, (str, os.PathLike)):
        raise wrong_type(name, value, "a path")
    return os.fsdecode(value)


def function(name: str, value: object) -> Callable[..., Any] | None:
    """A function, or `None`."""
    if value is not None and not callable(value):
        raise wrong_type(name, value, "a function or None")
    return value


def token_id(name: str, value: object) -> int:
    """A token id; how many there are the core knows."""
    return token_list(name, [value])[0]


def mapping(name: str, value: object) -> dict[str, object]:
    """A dict, or `None` for an empty one."""
    if value is not None and not isinstance(value, Mapping):
        raise wrong_type(name, value, "a dict or None")
    return dict(value or {})


def texts(name: str, value: object) -> list[str]:
    """One text, a list of them, or `None` for none."""
    if value is None:
        return []
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, (list, tuple)) or not all(isinstance(text, str) for text in found):
        raise wrong_type(name, value, "a str or a list of str")
    return list(found)


def wrong_type(name: str, value: object, expected: str) -> ArgumentTypeError:
    """The error of a value that is not of the type expected."""
    return ArgumentTypeError(f"{name} = {short(value)}, expected {expected}")


def short(value: object) -> str:
    """`repr` for a message."""
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
