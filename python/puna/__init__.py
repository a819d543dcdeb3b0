"""Puna runs language models from GGUF files: on a CPU, on a GPU, and in a browser tab.

    from puna import Llama

    with Llama("model.gguf") as llm:
        print(llm.create_completion("Once upon a time")["choices"][0]["text"])

| name | what |
|---|---|
| `Llama` | a model with llama-cpp-python's names |
| `Tokenizer` | text to token ids and back |
| `Model`, `Session` | what `Llama` is made of |
| `gguf` | `Reader` and `Writer` of model files |
| `quantize`, `dequantize`, `quantize_file` | tensor types |
| `devices` | what there is to compute on |
| `bench.run` | tokens a second |
| `errors` | every exception, below `PunaError` |
"""

from puna import errors, gguf
from puna._native import core as _core
from puna.device import Device, devices
from puna.errors import PunaError
from puna.llama import Llama
from puna.quant import dequantize, quantize, quantize_file
from puna.sources import bundled
from puna.tokenizer import Tokenizer

Array = _core.Array
Model = _core.Model
Session = _core.Session
__version__ = _core.version()

__all__ = [
    "Array",
    "Device",
    "Llama",
    "Model",
    "PunaError",
    "Session",
    "Tokenizer",
    "bundled",
    "dequantize",
    "devices",
    "errors",
    "gguf",
    "quantize",
    "quantize_file",
]
