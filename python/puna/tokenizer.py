"""`Tokenizer`: text to token ids and back."""

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING

from puna import arguments
from puna._native import core
from puna.sources import File, checked

if TYPE_CHECKING:
    from puna.llama import Llama


class Tokenizer:
    """The tokenizer of a model.

    `source` is a GGUF file (path, bytes, or file object), of which only the header is read.
    """

    def __init__(self, source: "str | PathLike[str] | bytes | File | core.Tokenizer") -> None:
        self._core = (
            source if isinstance(source, core.Tokenizer) else core.Model(checked("source", source)).tokenizer
        )

    def encode(self, text: str | bytes, *, add_bos: bool = True, special: bool = False) -> list[int]:
        """The tokens of `text`: with BOS (and EOS) where the model wants them, unless `add_bos` is off;
        `special` reads the texts of control tokens (`<|im_end|>`) as those tokens."""
        wants_bos, reads_special = arguments.flag("add_bos", add_bos), arguments.flag("special", special)
        return self._core.encode(
            arguments.utf8("text", text), add_special=wants_bos, parse_special=reads_special
        )

    def decode(self, tokens: Sequence[int], *, special: bool = False, clean: bool = False) -> str:
        """The text of `tokens`; bytes that are no character become U+FFFD. `special` shows control tokens;
        `clean` takes blanks off before punctuation where llama.cpp does (BERT's vocabularies, GPT-2's), for
        texts to be read."""
        return self.decode_bytes(tokens, special=special, clean=clean).decode(errors="replace")

    def decode_bytes(self, tokens: Sequence[int], *, special: bool = False, clean: bool = False) -> bytes:
        """The same, as it is."""
        return self._core.decode(
            arguments.token_list("tokens", tokens),
            special=arguments.flag("special", special),
            clean=arguments.flag("clean", clean),
        )

    def join(self, tokens: Sequence[int], *, special: bool = False) -> bytes:
        """The bytes of each token in a row; of the blank that a vocabulary puts before a text, the one after
        BOS is taken off."""
        ids = arguments.token_list("tokens", tokens)
        shows_special = arguments.flag("special", special)
        text = b"".join(self._core.token_bytes(token, special=shows_special) for token in ids)
        return text[1:] if ids and ids[0] == self.bos and text[:1] == b" " else text

    def piece(self, token: int, *, special: bool = False) -> str:
        """The text of one token within a text; empty where its bytes are no whole character."""
        found = self._core.token_bytes(
            arguments.token_id("token", token), special=arguments.flag("special", special)
        )
        return found.decode(errors="ignore")

    def text(self, token: int | None) -> str:
        """A token as the file writes it (`▁the`, `<0x0A>`); empty for `None`."""
        if token is None:
            return ""
        return self._core.token_text(arguments.token_id("token", token)).decode(errors="replace")

    def tokenize(self, text: str | bytes, add_bos: bool = True, special: bool = False) -> list[int]:
        """`encode` with the names of `Llama.tokenize`."""
        return self.encode(text, add_bos=add_bos, special=special)

    def detokenize(
        self, tokens: Sequence[int], prev_tokens: Sequence[int] | None = None, special: bool = False
    ) -> bytes:
        """The bytes of `tokens`, as they stand after `prev_tokens`. As in llama-cpp-python, the blank that
        a vocabulary puts before a text is taken off after BOS only."""
        before = arguments.token_list("prev_tokens", [] if prev_tokens is None else prev_tokens)
        text = self.join([*before, *arguments.token_list("tokens", tokens)], special=special)
        return text[len(self.join(before, special=special)) :]

    def is_eog(self, token: int) -> bool:
        """Whether a generation ends with this token."""
        return self._core.is_eog(arguments.token_id("token", token))

    def special(self, role: str) -> int | None:
        """The token of a role: `bos eos unk sep pad eot eom mask`, and of what frames a text to be filled in
        `fim_pre fim_suf fim_mid fim_pad fim_rep fim_sep`; `None` where there is none."""
        return self._core.special(arguments.text("role", role))

    @property
    def bos(self) -> int | None:
        return self._core.special("bos")

    @property
    def eos(self) -> int | None:
        return self._core.special("eos")

    @property
    def n_vocab(self) -> int:
        return self._core.n_vocab

    @property
    def adds_bos(self) -> bool:
        """Whether `encode` puts BOS before a text."""
        return self._core.add_bos

    def __len__(self) -> int:
        return self.n_vocab


class LlamaTokenizer(Tokenizer):
    """The tokenizer of an opened model, as llama-cpp-python has it: `encode` reads the texts of control
    tokens as those tokens, unless told otherwise."""

    def __init__(self, llama: "Llama | core.Tokenizer") -> None:
        super().__init__(llama if isinstance(llama, core.Tokenizer) else llama._tokenizer._core)

    @classmethod
    def from_ggml_file(cls, path: "str | PathLike[str]") -> "LlamaTokenizer":
        """That of a file, of which only the header is read."""
        return cls(core.Model(checked("path", path)).tokenizer)

    def encode(self, text: str | bytes, add_bos: bool = True, special: bool = True) -> list[int]:
        return super().encode(text, add_bos=add_bos, special=special)

    def decode(self, tokens: Sequence[int], *, special: bool = False, clean: bool = False) -> str:
        """The text of `tokens`, with the blank before the first unless it comes after BOS; bytes that are no
        character are left out."""
        if clean:
            return super().decode(tokens, special=special, clean=clean)
        return self.detokenize(tokens, special=special).decode(errors="ignore")

    def tokenize(self, text: str | bytes, add_bos: bool = True, special: bool = True) -> list[int]:
        return self.encode(text, add_bos, special)
