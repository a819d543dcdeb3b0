"""Text between a prefix and a suffix, for models that were trained to fill in the middle.

The prompt is (BOS) PREFIX prefix SUFFIX suffix MIDDLE (Bavarian et al. 2022, "Efficient training of
language models to fill in the middle"), or with `spm` its variant SUFFIX suffix PREFIX prefix MIDDLE.
"""

from dataclasses import dataclass
from typing import Any

from puna._native import core
from puna.errors import UnsupportedError
from puna.tokenizer import Tokenizer

# Keys of GGUF, today's and the older ones.
KEYS = {
    "prefix": ("fim_pre_token_id", "prefix_token_id"),
    "suffix": ("fim_suf_token_id", "suffix_token_id"),
    "middle": ("fim_mid_token_id", "middle_token_id"),
}
# The tokens' texts in vocabularies whose files have no keys: Qwen, StarCoder, CodeLlama, DeepSeek,
# GLM, Granite, in the order prefix, suffix, middle.
TEXTS = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
    ("▁<PRE>", "▁<SUF>", "▁<MID>"),
    ("<PRE>", "<SUF>", "<MID>"),
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
    ("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),
)


@dataclass(frozen=True)
class Infill:
    """The three tokens of a vocabulary."""

    prefix: int
    suffix: int
    middle: int

    @classmethod
    def of(cls, file: core.GgufFile, tokenizer: Tokenizer) -> "Infill":
        """Those that the file names, else those with a known text."""
        named = {role: value_of(file, keys) for role, keys in KEYS.items()}
        if all(isinstance(token, int) for token in named.values()):
            return cls(**named)
        for texts in TEXTS:
            found = [tokenizer.encode(text, add_bos=False, special=True) for text in texts]
            # DeepSeek calls the place of the suffix the hole; the order in a prompt is the same.
            if all(len(tokens) == 1 and tokenizer.text(tokens[0]) in texts for tokens in found):
                return cls(*(tokens[0] for tokens in found))
        raise UnsupportedError(
            "suffix: this vocabulary has no tokens to fill in the middle, expected suffix = None "
            "or a model with tokenizer.ggml.fim_pre_token_id, fim_suf_token_id, fim_mid_token_id"
        )

    def prompt(self, tokenizer: Tokenizer, prefix: list[int], suffix: str, spm: bool) -> list[int]:
        """The tokens of a prompt; `prefix` comes without BOS."""
        after = tokenizer.encode(suffix, add_bos=False) if suffix else []
        parts = [[self.prefix, *prefix], [self.suffix, *after]]
        bos = [tokenizer.bos] if tokenizer.adds_bos and tokenizer.bos is not None else []
        ordered = reversed(parts) if spm else parts
        return [*bos, *(token for part in ordered for token in part), self.middle]


def value_of(file: core.GgufFile, names: tuple[str, ...]) -> Any:
    found = (file.value(f"tokenizer.ggml.{name}") for name in names)
    return next((value for value in found if value is not None), None)
