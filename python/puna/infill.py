"""Text between a prefix and a suffix, for models that were trained to fill in the middle.

The prompt is (BOS) PREFIX prefix SUFFIX suffix MIDDLE (Bavarian et al. 2022, "Efficient training of
language models to fill in the middle"), or with `spm` its variant SUFFIX suffix PREFIX prefix MIDDLE.
"""

from dataclasses import dataclass

from puna.errors import UnsupportedError
from puna.tokenizer import Tokenizer


@dataclass(frozen=True)
class Infill:
    """The three tokens of a vocabulary."""

    prefix: int
    suffix: int
    middle: int

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> "Infill":
        """Those that the file names, else those with a known text."""
        found = [tokenizer.special(role) for role in ("fim_pre", "fim_suf", "fim_mid")]
        known = [token for token in found if token is not None]
        if len(known) < len(found):
            raise UnsupportedError(
                "suffix: this vocabulary has no tokens to fill in the middle, expected suffix = None "
                "or a model with tokenizer.ggml.fim_pre_token_id, fim_suf_token_id, fim_mid_token_id"
            )
        return cls(*known)

    def prompt(self, tokenizer: Tokenizer, prefix: list[int], suffix: str, spm: bool) -> list[int]:
        """The tokens of a prompt; `prefix` comes without BOS."""
        after = tokenizer.encode(suffix, add_bos=False) if suffix else []
        parts = [[self.prefix, *prefix], [self.suffix, *after]]
        bos = [tokenizer.bos] if tokenizer.adds_bos and tokenizer.bos is not None else []
        ordered = reversed(parts) if spm else parts
        return [*bos, *(token for part in ordered for token in part), self.middle]
