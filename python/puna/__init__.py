"""Puna runs language models from GGUF files: on a CPU, on a GPU, and in a browser tab.

    from puna import Llama

    with Llama("model.gguf") as llm:
        print(llm.create_completion("Once upon a time")["choices"][0]["text"])

| name | what |
|---|---|
| `Llama` | a model with llama-cpp-python's names |
| `Tokenizer` | text to token ids and back |
| `bundled` | the path of the tiny model that comes with the package |
| `Model`, `Session` | a file; several sequences in one batch, logits, states |
| `Sampler` | chooses a token by logits and a history |
| `chat.render` | a conversation as text, by a chat template |
| `gguf` | `Reader` and `Writer` of model files |
| `quantize`, `dequantize`, `quantize_file` | tensor types |
| `devices` | what there is to compute on |
| `bench.run` | tokens a second (`import puna.bench`) |
| `LlamaRAMCache`, `LogitsProcessorList`, … | what llama-cpp-python has beside its `Llama` |
| `errors` | every exception, below `PunaError` |
"""

from typing import TYPE_CHECKING, Any

from puna import _command, chat, compat, errors, gguf  # noqa: F401 the first one comes first: see there
from puna._native import core as _core
from puna.caches import BaseLlamaCache, LlamaCache, LlamaDiskCache, LlamaRAMCache, LlamaState
from puna.device import Device, devices
from puna.errors import PunaError
from puna.hooks import (
    LogitsProcessor,
    LogitsProcessorList,
    MinTokensLogitsProcessor,
    StoppingCriteria,
    StoppingCriteriaList,
)
from puna.llama import Llama
from puna.quant import dequantize, quantize, quantize_file
from puna.sampler import Sampler
from puna.session import Model, Session
from puna.sources import bundled
from puna.tokenizer import LlamaTokenizer, Tokenizer

Array = _core.Array
__version__ = _core.version()

if not TYPE_CHECKING:  # a type checker should go on finding names that are wrong

    def __getattr__(name: str) -> Any:
        """Other names of llama-cpp-python's: types of its dictionaries, numbers, what Puna has not."""
        return compat.named(name)


__all__ = [
    "Array",
    "BaseLlamaCache",
    "Device",
    "Llama",
    "LlamaCache",
    "LlamaDiskCache",
    "LlamaRAMCache",
    "LlamaState",
    "LlamaTokenizer",
    "LogitsProcessor",
    "LogitsProcessorList",
    "MinTokensLogitsProcessor",
    "Model",
    "PunaError",
    "Sampler",
    "Session",
    "StoppingCriteria",
    "StoppingCriteriaList",
    "Tokenizer",
    "bundled",
    "chat",
    "dequantize",
    "devices",
    "errors",
    "gguf",
    "quantize",
    "quantize_file",
]
