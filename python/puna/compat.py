"""Names that programs import from llama-cpp-python beside its `Llama`, so that one import changes.

`from puna import CreateCompletionResponse` and `puna.GGML_TYPE_Q8_0` come from here, through
`puna.__getattr__`, and so do those of modules: `from puna.llama_types import …`. What belongs to something
that Puna has not can be imported, since many programs import more than they use; using it is an error that
says what is missing.
"""

import sys
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any, NoReturn

from puna import arguments, handlers, vocabulary
from puna._native import core
from puna.embedding import NAMES as POOLINGS
from puna.errors import UnsupportedError
from puna.options import RANDOM_SEED

# Shapes of dictionaries, for annotations and to be called as `dict` is; Puna's are plain ones.
DICTIONARIES = """
ChatCompletion ChatCompletionChoice ChatCompletionChunk ChatCompletionChunkChoice ChatCompletionChunkDelta
ChatCompletionChunkDeltaEmpty ChatCompletionFunction ChatCompletionFunctionCall
ChatCompletionFunctionCallOption ChatCompletionFunctionParameters ChatCompletionFunctions
ChatCompletionLogprobToken ChatCompletionLogprobs ChatCompletionMessage ChatCompletionMessageToolCall
ChatCompletionMessageToolCallChunk ChatCompletionMessageToolCallChunkFunction
ChatCompletionMessageToolCallFunction ChatCompletionMessageToolCalls ChatCompletionNamedToolChoice
ChatCompletionNamedToolChoiceFunction ChatCompletionRequestAssistantMessage
ChatCompletionRequestAssistantMessageFunctionCall ChatCompletionRequestFunctionCall
ChatCompletionRequestFunctionCallOption ChatCompletionRequestFunctionMessage ChatCompletionRequestMessage
ChatCompletionRequestMessageContentPart ChatCompletionRequestMessageContentPartImage
ChatCompletionRequestMessageContentPartImageImageUrl ChatCompletionRequestMessageContentPartText
ChatCompletionRequestResponseFormat ChatCompletionRequestSystemMessage ChatCompletionRequestToolMessage
ChatCompletionRequestUserMessage ChatCompletionResponseChoice ChatCompletionResponseFunction
ChatCompletionResponseFunctionCall ChatCompletionResponseMessage ChatCompletionStreamResponse
ChatCompletionStreamResponseChoice ChatCompletionStreamResponseDelta ChatCompletionStreamResponseDeltaEmpty
ChatCompletionStreamResponseDeltaFunctionCall ChatCompletionTool ChatCompletionToolChoiceOption
ChatCompletionToolFunction ChatCompletionTopLogprobToken Completion CompletionChoice CompletionChunk
CompletionLogprobs CompletionUsage CreateChatCompletionResponse CreateChatCompletionStreamResponse
CreateCompletionResponse CreateCompletionStreamResponse CreateEmbeddingResponse Embedding EmbeddingData
EmbeddingUsage
""".split()

GRAMMAR = arguments.INSTEAD["grammar"]
DRAFT = f"{arguments.INSTEAD['draft_model']}; leave draft_model out"
TOKENIZER = f"{arguments.INSTEAD['tokenizer']}; leave tokenizer out"
TEMPLATE = "Jinja2ChatFormatter(tokenizer.chat_template, tokenizer.eos_token, tokenizer.bos_token) does it"
PICTURES = "Puna reads text, no pictures; leave chat_handler out"
SEES = "Llava15 Llava16 Moondream NanoLlava Obsidian Llama3VisionAlpha MiniCPMv26 Qwen25VL MTMD Gemma4"
ABSENT = {
    "LlamaGrammar": GRAMMAR,
    "LlamaDraftModel": DRAFT,
    "LlamaPromptLookupDecoding": DRAFT,
    "BaseLlamaTokenizer": TOKENIZER,
    "LlamaHFTokenizer": TOKENIZER,
    "hf_autotokenizer_to_chat_formatter": TEMPLATE,
    "hf_autotokenizer_to_chat_completion_handler": TEMPLATE,
} | {f"{name}ChatHandler": PICTURES for name in SEES.split()}

# Of `llama_chat_format`, in `puna.handlers`.
HANDLERS = """
ChatFormatter ChatFormatterResponse Jinja2ChatFormatter LlamaChatCompletionHandler
LlamaChatCompletionHandlerNotFoundException LlamaChatCompletionHandlerRegistry
chat_formatter_to_chat_completion_handler get_chat_completion_handler
hf_tokenizer_config_to_chat_completion_handler hf_tokenizer_config_to_chat_formatter
register_chat_completion_handler register_chat_format
""".split()

# C functions, in `puna.vocabulary`.
VOCABULARY = """
llama_model_get_vocab llama_token_to_piece llama_vocab_get_text llama_vocab_is_eog llama_vocab_n_tokens
""".split()

# Numbers that arguments of `Llama` take; those of tensor types are `GGML_TYPE_` and the type's name.
NUMBERS = {
    "LLAMA_DEFAULT_SEED": RANDOM_SEED,
    "LLAMA_SPLIT_MODE_NONE": 0,
    "LLAMA_SPLIT_MODE_LAYER": 1,
    "LLAMA_SPLIT_MODE_ROW": 2,
    "LLAMA_ROPE_SCALING_TYPE_UNSPECIFIED": -1,
    "LLAMA_POOLING_TYPE_UNSPECIFIED": -1,
} | {f"LLAMA_POOLING_TYPE_{name.upper()}": number for name, number in POOLINGS.items()}

# Modules of llama-cpp-python whose names programs import; here all of them are `puna`'s.
MODULES = "llama_cache llama_chat_format llama_grammar llama_speculative llama_tokenizer llama_types".split()

# What the names of llama.cpp's own interface begin with.
OF_C = ("llama_", "ggml_", "gguf_", "LLAMA_", "GGML_")


# What there is instead of some of them, by what their names begin with, and of all others.
INSTEAD = {
    "llama_log_": "Puna logs nothing; Llama(…, verbose=False), the default, prints nothing",
    "llama_supports_gpu_offload": "puna.devices() lists what there is to compute on, GPUs too",
    "llama_supports_": "Puna is one build for all machines; puna.devices() lists what there is to compute on",
    "llama_print_system_info": "puna.devices() lists what there is to compute on",
    "llama_backend_": "Puna needs no beginning and no end; a Llama is freed by its close()",
    "llama_model_quantize": "puna.quantize_file writes a file of another type",
    "LLAMA_ROPE_SCALING_TYPE_": "the file says how its positions are scaled; rope_freq_base and "
    "rope_freq_scale change it",
    "LLAMA_FTYPE_": "puna.quantize_file takes a file type by its name, such as 'Q4_K_M'",
    "gguf_": "puna.gguf reads and writes files",
    "llama_cpp": "Puna has no module of llama.cpp's C functions; those of vocabularies are in puna itself",
    "llama_tokenize": "Llama.tokenize does it, without a model's weights puna.Tokenizer",
    "llama_detokenize": "Llama.detokenize does it, without a model's weights puna.Tokenizer",
    "llama_chat_": "Llama.create_chat_completion takes messages, puna.chat.render writes them by a template",
    "llama_model_load": "puna.Model opens a file",
    "llama_model_meta_": "Llama.metadata has the metadata of the file",
    "llama_perf_": "Llama.timings has the times of the last completion",
    "llama_sampler_": "puna.Sampler chooses tokens",
    "llama_state_": "Llama.save_state and puna.Session.save keep what is in the context",
}
NUMBERS_ALONE = "Puna has the numbers of pooling, of splits and of tensor types alone"
FUNCTIONS_ALONE = "Puna has llama.cpp's C functions of vocabularies alone; puna.Session evaluates tokens"


class Absent(type):
    """The type of a class of which there is only the name."""

    def __new__(cls, name: str, bases: tuple[type, ...] = (), namespace: Any = None) -> "Absent":
        for base in bases:
            missing(base.__name__)
        return super().__new__(cls, name, bases, dict(namespace or {}))

    def __init__(cls, name: str, *_: Any) -> None:
        super().__init__(name)

    def __call__(cls, *_: Any, **__: Any) -> NoReturn:
        missing(cls.__name__)

    def __getattr__(cls, name: str) -> NoReturn:
        if name.startswith("__"):  # what Python itself asks every class for
            raise AttributeError(name)
        missing(cls.__name__)


def missing(name: str) -> NoReturn:
    raise UnsupportedError(f"{name} is not supported: {ABSENT[name]}")


def named(name: str) -> Any:
    """What `puna` has by a name of llama-cpp-python's."""
    if name in DICTIONARIES:
        return dict[str, Any]
    if name in HANDLERS:
        return getattr(handlers, name)
    if name in VOCABULARY:
        return getattr(vocabulary, name)
    if name in ABSENT:
        return ABSENT_CLASSES[name]
    if name in NUMBERS:
        return NUMBERS[name]
    if name in MODULES:
        return sys.modules[f"puna.{name}"]
    for dtype, number, *_ in core.dtypes():
        if name == f"GGML_TYPE_{dtype}":
            return number
    reason = f": {instead(name)}" if name.startswith(OF_C) else ""
    raise AttributeError(f"module 'puna' has no attribute {name!r}{reason}")


def instead(name: str) -> str:
    """What there is in the place of a name of llama.cpp's own interface."""
    found = (reason for start, reason in INSTEAD.items() if name.startswith(start))
    return next(found, NUMBERS_ALONE if name.isupper() else FUNCTIONS_ALONE)


class ImportsOfC(MetaPathFinder):
    """Says what there is instead where a program imports a name of llama.cpp's own interface: Python leaves
    out what an `AttributeError` says, and looks for a module of that name before it gives up."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        package, _, name = fullname.rpartition(".")
        if package == "puna" and name.startswith(OF_C):
            raise ImportError(f"cannot import name {name!r} from 'puna': {instead(name)}", name=fullname)


class OfLlamaCpp(ModuleType):
    """A module that has what `puna` has."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(sys.modules["puna"], name)


ABSENT_CLASSES = {name: Absent(name) for name in ABSENT}
for _name in MODULES:
    sys.modules[f"puna.{_name}"] = OfLlamaCpp(f"puna.{_name}")
sys.meta_path.append(ImportsOfC())
sys.modules["puna.llama_types"].__all__ = DICTIONARIES  # type: ignore[attr-defined]
