"""llama.cpp's C functions about a vocabulary, which programs call beside llama-cpp-python's `Llama`.

    vocab = llama_model_get_vocab(llm.model)
    n = llama_token_to_piece(vocab, token, buffer, len(buffer), 0, True)

They are its only C functions here: a `model` or `vocab` is the tokenizer of the model.
"""

from typing import Any

from puna.arguments import integer, token_id, wrong_type
from puna.tokenizer import Tokenizer


def llama_model_get_vocab(model: Tokenizer) -> Tokenizer:
    """The vocabulary of `Llama.model`."""
    if not isinstance(model, Tokenizer):
        raise wrong_type("model", model, "llm.model of a puna.Llama")
    return model


def llama_vocab_n_tokens(vocab: Tokenizer) -> int:
    """How many tokens there are."""
    return llama_model_get_vocab(vocab).n_vocab


def llama_vocab_is_eog(vocab: Tokenizer, token: int) -> bool:
    """Whether a generation ends with this token."""
    return llama_model_get_vocab(vocab).is_eog(token)


def llama_vocab_get_text(vocab: Tokenizer, token: int) -> bytes:
    """A token as the file writes it."""
    return llama_model_get_vocab(vocab)._core.token_text(token_id("token", token))


def llama_token_to_piece(
    vocab: Tokenizer, token: int, buf: Any, length: int, lstrip: int, special: bool
) -> int:
    """Writes the bytes of a token, without the first `lstrip` blanks, into a `ctypes` array of chars, of which
    `length` are free. Answers how many they are, or that number negative, and writes nothing, where they do
    not fit."""
    import ctypes

    # Other pointers do not say how much memory is behind them, and it is written without another check.
    if not isinstance(buf, ctypes.Array) or buf._type_ not in (ctypes.c_char, ctypes.c_ubyte, ctypes.c_byte):
        raise wrong_type("buf", buf, "a ctypes array of chars, such as ctypes.create_string_buffer(64)")
    n_free = integer("length", length, 0, ctypes.sizeof(buf))
    piece = llama_model_get_vocab(vocab)._core.token_bytes(token_id("token", token), special=bool(special))
    n_blanks = min(len(piece) - len(piece.lstrip(b" ")), integer("lstrip", lstrip, 0))
    left = piece[n_blanks:]
    if len(left) > n_free:
        return -len(left)
    ctypes.memmove(buf, left, len(left))
    return len(left)
