"""Attributes of llama-cpp-python's `Llama` that are no methods: what programs read, and what they cannot."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

from puna import arguments
from puna._native import core
from puna.evaluation import Evaluation
from puna.options import KV_TYPES, Seeds, kv_type
from puna.tokenizer import LlamaTokenizer, Tokenizer

# Those with an underscore that programs read all the same.
PRIVATE: dict[str, Callable[[Any], Any]] = {
    "_n_ctx": lambda llm: llm.n_ctx(),
    "_n_vocab": lambda llm: llm.n_vocab(),
    "_token_eos": lambda llm: llm.token_eos(),
    "_token_nl": lambda llm: llm.token_nl(),
    "_seed": lambda llm: llm._seeds.seed,
    "_input_ids": lambda llm: llm.input_ids,
    "_scores": lambda llm: llm.scores,
    "_logits_all": lambda llm: llm._session.logits_all,
}
# Attributes that are arguments, of those that Puna takes with one value.
ARGUMENTS = ("draft_model", "lora_base", "lora_path", "lora_scale", "numa", "tensor_split")

# What there is instead of llama.cpp's own objects.
BY_HAND = (
    "Puna has no objects of llama.cpp's C interface; puna.Session evaluates tokens, puna.Sampler chooses"
)
INSTEAD = dict.fromkeys("ctx _ctx _model _batch _candidates _sampler _lora_adapter _stack".split(), BY_HAND)
INSTEAD["_chat_handlers"] = "puna.handlers has those that are registered, chat_handler is that of this Llama"


class Attributes(Evaluation):
    """What `Llama` has besides methods."""

    n_batch: int
    n_threads: int
    n_threads_batch: int
    _arguments: dict[str, Any]
    _file: core.GgufFile
    _seeds: Seeds
    _tokenizer: Tokenizer

    @property
    def metadata(self) -> dict[str, str]:
        """The file's metadata as text; of arrays only type and length. `puna.gguf` has them whole."""
        return {key: self._metadata_text(key) for key in list(self._file.keys())}

    @property
    def kv_overrides(self) -> dict[str, bool | int | float | str] | None:
        """Metadata that were given to use instead of the file's."""
        return self._arguments["kv_overrides"]  # type: ignore[no-any-return]

    @property
    def context_params(self) -> SimpleNamespace:
        """What the model was opened with, by the names of the arguments: `llm.context_params.n_ctx`, for
        example, is what 0 came to. A record to read; nothing follows from a change of it."""
        session = self._open_session
        neutral: dict[str, Any] = {name: values[0] for name, values in arguments.LLAMA.items()}
        found = neutral | self._arguments
        found |= {"embeddings": self._embeds, "n_threads": self.n_threads}
        found |= {"n_threads_batch": self.n_threads_batch, "n_batch": self.n_batch, "n_ubatch": self.n_batch}
        found |= {name: KV_TYPES[kv_type(name, found[name])] for name in ("type_k", "type_v")}
        if session is not None:
            found |= {"n_ctx": session.n_ctx, "n_seq_max": session.n_seq_max}
        return SimpleNamespace(**found)

    model_params = context_params

    @property
    def model(self) -> LlamaTokenizer:
        """What the functions of `puna.vocabulary` take, and nothing else."""
        return self.tokenizer_

    @property
    def tokenizer_(self) -> LlamaTokenizer:
        """The tokenizer of the model."""
        return LlamaTokenizer(self._tokenizer._core)

    if not TYPE_CHECKING:  # a type checker should go on finding names that are wrong

        def __getattr__(self, name: str) -> Any:
            if name in PRIVATE:
                return PRIVATE[name](self)
            if name in ARGUMENTS:
                return self._arguments.get(name, arguments.LLAMA[name][0])
            no_attribute(self, name)

    def _metadata_text(self, key: str) -> str:
        kind = self._file.value_type(key) or ""
        if kind.startswith("array"):
            return kind
        value = self._file.value(key)
        return str(value).lower() if isinstance(value, bool) else str(value)


def no_attribute(llm: object, name: str) -> NoReturn:
    """Raises the error of an attribute that a `Llama` has not, with what there is instead."""
    reason = f": {INSTEAD[name]}" if name in INSTEAD else ""
    message = f"{type(llm).__name__!r} object has no attribute {name!r}{reason}"
    raise AttributeError(message, name=name, obj=llm)
