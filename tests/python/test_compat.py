"""Names that programs import from llama-cpp-python beside `Llama`."""

from typing import Any

import pytest

import puna
from puna import compat, errors


def test_dictionaries_can_be_named_and_made():
    from puna import ChatCompletionRequestUserMessage, CreateCompletionResponse

    def answer(response: CreateCompletionResponse) -> str:
        return response["choices"][0]["text"]

    assert answer({"choices": [{"text": "a"}]}) == "a"
    assert ChatCompletionRequestUserMessage(role="user", content="a") == {"role": "user", "content": "a"}


def test_numbers_are_llama_cpps():
    from puna import GGML_TYPE_Q8_0, LLAMA_POOLING_TYPE_MEAN, LLAMA_SPLIT_MODE_LAYER

    assert (GGML_TYPE_Q8_0, LLAMA_POOLING_TYPE_MEAN, LLAMA_SPLIT_MODE_LAYER) == (8, 1, 1)
    with puna.Llama(puna._core.tiny_model(), type_k=puna.GGML_TYPE_Q8_0, type_v=puna.GGML_TYPE_F32) as llm:
        assert llm("a", max_tokens=1)


def test_what_is_not_there_can_be_imported_and_says_so_when_it_is_used():
    from puna import LlamaDraftModel, LlamaGrammar

    uses = (
        lambda: LlamaGrammar("root ::= 'a'"),
        lambda: LlamaGrammar.from_string("root ::= 'a'"),
        lambda: LlamaGrammar.from_json_schema("{}"),
    )
    for use in uses:
        with pytest.raises(errors.UnsupportedError, match="LlamaGrammar is not supported: .* no grammars"):
            use()
    with pytest.raises(errors.UnsupportedError, match="LlamaDraftModel is not supported"):

        class Draft(LlamaDraftModel):
            pass

    assert not isinstance(None, LlamaGrammar)
    assert repr(LlamaGrammar | None)


@pytest.mark.parametrize("name", ["Lama", "llama_decode", "GGML_TYPE_Q9_9"])
def test_another_name_is_a_typo(name):
    assert not hasattr(puna, name)
    with pytest.raises(AttributeError, match=f"module 'puna' has no attribute '{name}'"):
        getattr(puna, name)
    if name.startswith("llama_"):
        with pytest.raises(AttributeError, match="puna.Session"):
            getattr(puna, name)


def test_every_name_of_the_tables_is_there():
    for name in (*compat.DICTIONARIES, *compat.ABSENT, *compat.HANDLERS, *compat.NUMBERS):
        assert getattr(puna, name) is not None


def test_a_tokenizer_has_llama_cpp_pythons_methods(llm, tiny, tmp_path):
    tokenizer = llm.tokenizer()
    assert isinstance(tokenizer, puna.LlamaTokenizer)
    tokens = tokenizer.tokenize(b"ab", True, False)
    assert tokens == llm.tokenize(b"ab") == tokenizer.encode("ab") == puna.LlamaTokenizer(llm).encode("ab")
    assert tokenizer.detokenize(tokens) == llm.detokenize(tokens)
    assert tokenizer.decode(tokens) == "ab"
    (tmp_path / "tiny.gguf").write_bytes(tiny)
    assert puna.LlamaTokenizer.from_ggml_file(tmp_path / "tiny.gguf").encode("ab") == tokens


def test_modules_of_llama_cpp_python_have_their_names():
    import puna.llama_types
    from puna.llama_cache import LlamaDiskCache
    from puna.llama_chat_format import Llava15ChatHandler, hf_autotokenizer_to_chat_formatter
    from puna.llama_types import CompletionChunk

    from puna.llama import LlamaGrammar, LogitsProcessorList

    assert (LogitsProcessorList, LlamaDiskCache) == (puna.LogitsProcessorList, puna.LlamaDiskCache)
    assert puna.llama_types.CompletionChunk == CompletionChunk == dict[str, Any]
    assert LlamaGrammar is puna.LlamaGrammar
    for absent, says in (
        (Llava15ChatHandler, "no pictures"),
        (hf_autotokenizer_to_chat_formatter, "tokenizer.chat_template"),
    ):
        with pytest.raises(errors.UnsupportedError, match=f"{absent.__name__} is not supported: .*{says}"):
            absent("x")
    scope: dict[str, Any] = {}
    exec("from puna.llama_types import *", scope)
    assert scope["ChatCompletionTool"] == dict[str, Any]
    with pytest.raises(ImportError, match="LlamaGramar"):
        exec("from puna.llama_grammar import LlamaGramar")
    with pytest.raises(AttributeError, match="no attribute 'Lama'"):
        print(puna.llama.Lama)
