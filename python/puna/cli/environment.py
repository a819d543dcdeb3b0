"""llama.cpp's environment variables: what a flag is where the command line does not say."""

import argparse
import os
from collections.abc import Iterator, Sequence
from typing import Any

# Of `HF_TOKEN` and the like the package huggingface_hub takes care.
VARIABLES = {
    "--model": "LLAMA_ARG_MODEL",
    "--hf-repo": "LLAMA_ARG_HF_REPO",
    "--hf-file": "LLAMA_ARG_HF_FILE",
    "--offline": "LLAMA_ARG_OFFLINE",
    "--threads": "LLAMA_ARG_THREADS",
    "--n-gpu-layers": "LLAMA_ARG_N_GPU_LAYERS",
    "--ctx-size": "LLAMA_ARG_CTX_SIZE",
    "--predict": "LLAMA_ARG_N_PREDICT",
    "--batch-size": "LLAMA_ARG_BATCH",
    "--ubatch-size": "LLAMA_ARG_UBATCH",
    "--cache-type-k": "LLAMA_ARG_CACHE_TYPE_K",
    "--cache-type-v": "LLAMA_ARG_CACHE_TYPE_V",
    "--flash-attn": "LLAMA_ARG_FLASH_ATTN",
    "--mmap": "LLAMA_ARG_MMAP",
    "--swa-full": "LLAMA_ARG_SWA_FULL",
    "--rope-freq-base": "LLAMA_ARG_ROPE_FREQ_BASE",
    "--rope-freq-scale": "LLAMA_ARG_ROPE_FREQ_SCALE",
    "--rope-scale": "LLAMA_ARG_ROPE_SCALE",
    "--temp": "LLAMA_ARG_TEMPERATURE",
    "--top-k": "LLAMA_ARG_TOP_K",
    "--top-p": "LLAMA_ARG_TOP_P",
    "--min-p": "LLAMA_ARG_MIN_P",
    "--repeat-penalty": "LLAMA_ARG_REPEAT_PENALTY",
    "--presence-penalty": "LLAMA_ARG_PRESENCE_PENALTY",
    "--frequency-penalty": "LLAMA_ARG_FREQUENCY_PENALTY",
    "--pooling": "LLAMA_ARG_POOLING",
    "--chat-template": "LLAMA_ARG_CHAT_TEMPLATE",
    "--chat-template-file": "LLAMA_ARG_CHAT_TEMPLATE_FILE",
    "--show-timings": "LLAMA_ARG_SHOW_TIMINGS",
}
# Of what names a model: a word of the command line may name another, which only the command knows.
MODELS = {"model", "hf_repo"}
YES, NO = ("on", "enabled", "true", "1"), ("off", "disabled", "false", "0")


def variable_of(action: argparse.Action) -> str:
    """The variable of a flag; empty where it has none."""
    return next((VARIABLES[flag] for flag in action.option_strings if flag in VARIABLES), "")


def defaults(parser: argparse.ArgumentParser, words: Sequence[str]) -> dict[str, Any]:
    """What the variables say, by the names that the flags have in a namespace, `default_` before that of a
    model. A flag of `words` goes before its variable, and so does one that excludes it. Two variables
    that exclude each other end the program."""
    given = {word.partition("=")[0] for word in words}
    single = [[action] for action in parser._actions]
    groups = [*single, *(group._group_actions for group in parser._mutually_exclusive_groups)]
    said = {
        id(action)
        for members in groups
        if any(given.intersection(member.option_strings) for member in members)
        for action in members
    }
    found: dict[str, Any] = {}
    read: dict[int, str] = {}  # the variables that said something, by their actions
    for action in parser._actions:
        variable = variable_of(action)
        if variable and id(action) not in said:
            name = f"default_{action.dest}" if action.dest in MODELS else action.dest
            for value in values(parser, action, variable):
                found[name] = value
                read[id(action)] = variable
    for group in parser._mutually_exclusive_groups:
        both = [read[id(action)] for action in group._group_actions if id(action) in read]
        if len(both) > 1:
            parser.error(f"{' and '.join(both)} exclude each other, expected one of them")
    return found


def values(parser: argparse.ArgumentParser, action: argparse.Action, variable: str) -> Iterator[Any]:
    """What a variable says of a flag, where it says something; a wrong value ends the program."""
    if action.nargs == 0 and variable.replace("_ARG_", "_ARG_NO_") in os.environ:
        yield False  # llama.cpp's old way to say no, whatever the value
        return
    text = os.environ.get(variable)
    if text is None:
        return
    expected = ", ".join(action.choices or (*YES, *NO))
    if action.nargs == 0 and text in (*YES, *NO):
        yield text in YES
    elif action.nargs == 0 or (action.choices and text not in action.choices):
        parser.error(f"{variable}: {text!r}, expected one of {expected}")
    else:
        try:
            yield action.type(text) if callable(action.type) else text
        except argparse.ArgumentTypeError as error:
            parser.error(f"{variable}: {error}")
