"""`puna.Tokenizer`, and `Llama.tokenize` and `detokenize` as llama-cpp-python has them."""

import pytest

import puna

TEXT = "Once upon a time, Grüße 🦆!"


@pytest.fixture(scope="module")
def tokenizer(stories):
    return puna.Tokenizer(stories)


def test_a_text_comes_back(tokenizer):
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT
    assert tokenizer.decode_bytes(tokenizer.encode(TEXT.encode())) == TEXT.encode()


def test_bos_is_there_where_it_is_wanted(tokenizer):
    assert tokenizer.adds_bos
    assert tokenizer.encode("a")[0] == tokenizer.bos == 1
    assert tokenizer.encode("a", add_bos=False) == tokenizer.encode("a")[1:]


def test_special_texts_are_tokens_only_if_asked_for(tokenizer):
    assert tokenizer.eos in tokenizer.encode("a</s>", special=True)
    assert tokenizer.eos not in tokenizer.encode("a</s>")


def test_special_tokens_are_shown_only_if_asked_for(tokenizer):
    ids = [*tokenizer.encode("a"), tokenizer.eos]
    assert tokenizer.decode(ids) == "a"
    assert tokenizer.decode(ids, special=True).endswith("</s>")


def test_roles_and_ends(tokenizer):
    assert tokenizer.is_eog(tokenizer.eos)
    assert tokenizer.special("eot") is None
    assert len(tokenizer) == tokenizer.n_vocab == 512
    with pytest.raises(puna.errors.ArgumentError, match='role = "boss", expected one of bos eos'):
        tokenizer.special("boss")


def test_an_id_out_of_range_is_named(tokenizer):
    for call in (tokenizer.piece, tokenizer.text, tokenizer.is_eog, lambda i: tokenizer.decode([i])):
        with pytest.raises(puna.errors.TokenError, match="token id 512, expected 0 to 511"):
            call(512)


def test_tokens_before_may_be_an_array(tokenizer):
    class Ids(list):
        """As numpy's arrays are neither true nor false."""

        def __bool__(self):
            raise ValueError("ambiguous")

    ids = tokenizer.encode(TEXT)
    assert tokenizer.detokenize(ids[3:], Ids(ids[:3])) == tokenizer.detokenize(ids[3:], ids[:3])


def test_llama_takes_and_gives_bytes(stories):
    with puna.Llama(stories, vocab_only=True) as llm:
        ids = llm.tokenize(TEXT.encode())
        assert ids == llm.tokenizer().encode(TEXT)
        assert llm.detokenize(ids) == TEXT.encode()
        # The blank before a text is taken off after BOS only, as llama-cpp-python does.
        assert llm.detokenize(ids[1:]) == b" " + TEXT.encode()
        assert llm.detokenize(ids[3:], prev_tokens=ids[:3]) == TEXT.encode()[len(llm.detokenize(ids[:3])) :]
        assert (llm.token_bos(), llm.token_eos(), llm.n_vocab()) == (1, 2, 512)
        assert llm.detokenize([llm.token_nl()]) == b"\n"
        assert llm.metadata["general.architecture"] == "llama"
        assert llm.metadata["tokenizer.ggml.tokens"] == "array of string"
