"""Make the golden signatures: what can be called of llama-cpp-python's classes, and with which arguments.

    python make_signatures.py                   needs llama-cpp-python

`{class: {method: "(self, prompt, suffix=None, …)"}}`; an attribute that cannot be called is `"property"`. Names
with an underscore are nobody's business, but for `__init__` and `__call__`.
"""

import inspect
import json
from pathlib import Path

import llama_cpp
from llama_cpp import llama_chat_format

CLASSES = [
    llama_cpp.Llama,
    llama_cpp.LlamaState,
    llama_cpp.LlamaRAMCache,
    llama_cpp.LlamaDiskCache,
    llama_cpp.LlamaTokenizer,
    llama_cpp.LogitsProcessorList,
    llama_cpp.StoppingCriteriaList,
    llama_cpp.MinTokensLogitsProcessor,
    llama_chat_format.ChatFormatterResponse,
    llama_chat_format.Jinja2ChatFormatter,
    llama_chat_format.LlamaChatCompletionHandlerRegistry,
]
SPECIAL = ("__init__", "__call__")


def members(kind: type) -> dict[str, str]:
    """What a class itself has, by name."""
    names = [name for name in sorted(vars(kind)) if not name.startswith("_") or name in SPECIAL]
    return {name: plain(getattr(kind, name)) for name in names}


def plain(member: object) -> str:
    """The signature of a method without types."""
    if not callable(member):
        return "property"
    signature = inspect.signature(member)
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=signature.empty))


def main() -> None:
    found = {kind.__name__: members(kind) for kind in CLASSES}
    text = json.dumps({"made_by": f"llama-cpp-python {llama_cpp.__version__}"} | found, indent=1)
    (Path(__file__).parent / "signatures.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
