"""Names that programs import from llama-cpp-python beside its `Llama`, so that one import changes.

`from puna import CreateCompletionResponse` and `puna.GGML_TYPE_Q8_0` come from here, through
`puna.__getattr__`. What belongs to something that Puna has not can be imported, since many programs import
more than they use; using it is an error that says what is missing.
"""

from typing import Any, NoReturn

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

GRAMMAR = "Puna has no grammars; a logits_processor can say which tokens may come"
DRAFT = "Puna has no draft models and no prompt lookup; leave draft_model out"
TOKENIZER = "Puna takes the tokenizer of the model's file; leave tokenizer out"
ABSENT = {
    "LlamaGrammar": GRAMMAR,
    "LlamaDraftModel": DRAFT,
    "LlamaPromptLookupDecoding": DRAFT,
    "BaseLlamaTokenizer": TOKENIZER,
    "LlamaHFTokenizer": TOKENIZER,
}

# Numbers that arguments of `Llama` take; those of tensor types are `GGML_TYPE_` and the type's name.
NUMBERS = {
    "LLAMA_DEFAULT_SEED": RANDOM_SEED,
    "LLAMA_SPLIT_MODE_NONE": 0,
    "LLAMA_SPLIT_MODE_LAYER": 1,
    "LLAMA_SPLIT_MODE_ROW": 2,
    "LLAMA_ROPE_SCALING_TYPE_UNSPECIFIED": -1,
    "LLAMA_POOLING_TYPE_UNSPECIFIED": -1,
} | {f"LLAMA_POOLING_TYPE_{name.upper()}": number for name, number in POOLINGS.items()}

# What the names of llama.cpp's own interface begin with.
OF_C = ("llama_", "ggml_", "gguf_", "LLAMA_", "GGML_")


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
    if name in ABSENT:
        return ABSENT_CLASSES[name]
    if name in NUMBERS:
        return NUMBERS[name]
    for dtype, number, *_ in core.dtypes():
        if name == f"GGML_TYPE_{dtype}":
            return number
    if name.startswith(OF_C):
        instead = "Puna has none of llama.cpp's C functions; puna.Session evaluates tokens"
        raise AttributeError(f"module 'puna' has no attribute {name!r}: {instead}")
    raise AttributeError(f"module 'puna' has no attribute {name!r}")


ABSENT_CLASSES = {name: Absent(name) for name in ABSENT}
