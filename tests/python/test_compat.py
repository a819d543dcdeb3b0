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


def test_attributes_are_what_the_model_was_opened_with(tiny):
    given = {
        "kv_overrides": {"general.name": "mine"},
        "use_mlock": False,
        "lora_path": None,
        "type_v": "q8_0",
    }
    with puna.Llama(tiny, n_ctx=0, n_batch=8, seed=7, last_n_tokens_size=32, **given) as llm:
        params = llm.context_params
        assert (params.n_ctx, params.n_batch, params.n_ubatch) == (llm.n_ctx(), 8, 8)
        assert (params.type_k, params.type_v, params.embeddings) == (1, 8, False)
        assert (params.n_seq_max, params.rope_freq_base, params.offload_kqv) == (1, 0.0, True)
        assert (llm.model_params.n_gpu_layers, llm.model_params.vocab_only) == (0, False)
        assert llm.kv_overrides == {"general.name": "mine"}
        assert llm.metadata["general.name"] == "mine"
        assert (llm.n_batch, llm.last_n_tokens_size, llm.cache) == (8, 32, None)
        assert llm.n_threads == llm.n_threads_batch == puna.devices()[0].detail["threads"]
        assert (llm.lora_path, llm.lora_scale, llm.draft_model, llm.numa) == (None, 1.0, None, False)
        assert llm.tokenizer_.encode("ab") == llm.tokenizer().encode("ab")
        assert (llm._n_ctx, llm._n_vocab, llm._seed) == (llm.n_ctx(), llm.n_vocab(), 7)
        assert (llm._token_eos, llm._token_nl, llm._logits_all) == (llm.token_eos(), llm.token_nl(), False)
        llm.eval([5, 6])
        assert memoryview(llm._input_ids[: llm.n_tokens]).tolist() == [5, 6]
    with puna.Llama(tiny, vocab_only=True, n_ctx=32) as llm:
        assert llm.context_params.n_ctx == 32


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ctx", "puna.Session evaluates tokens"),
        ("_model", "puna.Session evaluates tokens"),
        ("_chat_handlers", "puna.handlers has those"),
        ("n_vocb", "'Llama' object has no attribute 'n_vocb'$"),
        ("__fspath__", "has no attribute"),
    ],
)
def test_an_attribute_that_is_not_there_says_what_is(llm, name, says):
    assert not hasattr(llm, name)
    with pytest.raises(AttributeError, match=says) as caught:
        getattr(llm, name)
    assert (caught.value.name, caught.value.obj) == (name, llm)


def test_old_arguments_mean_what_they_meant(tiny):
    """As programs and libraries still give them."""
    old = {"n_parts": -1, "f16_kv": True, "mul_mat_q": True, "low_vram": False, "n_gqa": None, "device": None}
    with puna.Llama(tiny, **old) as half, puna.Llama(tiny, f16_kv=False) as whole:
        assert [half.context_params.type_k, whole.context_params.type_k] == [1, 0]
        assert whole.n_bytes > half.n_bytes
    with puna.Llama(tiny, f16_kv=False, type_v="q8_0") as llm:
        assert (llm.context_params.type_k, llm.context_params.type_v) == (0, 8)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"n_gqa": 8},
            "n_gqa = 8 is not supported, expected None: .* kv_overrides of ARCHITECTURE.attention",
        ),
        ({"use_mlock": True}, "use_mlock = True is not supported, expected False: use_mmap = False"),
        ({"lora_path": "a"}, "lora_path = 'a' is not supported, expected None: Puna has no adapters"),
        ({"f16_kv": "no"}, "f16_kv = 'no', expected True or False"),
        ({"f16kv": True}, "no argument 'f16kv'"),
    ],
)
def test_what_an_argument_asks_for_is_refused_with_what_to_do(tiny, options, says):
    with pytest.raises(puna.PunaError, match=says):
        puna.Llama(tiny, **options)


def test_every_name_of_the_tables_is_there():
    for name in (*compat.DICTIONARIES, *compat.ABSENT, *compat.HANDLERS, *compat.NUMBERS, *compat.VOCABULARY):
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


def test_c_functions_of_a_vocabulary_read_that_of_a_llama(llm):
    ctypes = pytest.importorskip("ctypes")
    from puna import llama_model_get_vocab, llama_token_to_piece, llama_vocab_get_text, llama_vocab_is_eog

    vocab = llama_model_get_vocab(llm.model)
    buffer = (ctypes.c_char * 8)()
    tokenizer = llm.tokenizer()
    for token in range(llm.n_vocab()):
        piece = tokenizer.detokenize([token], special=True)
        n = llama_token_to_piece(vocab, token, buffer, len(buffer), 0, True)
        assert buffer[:n] == piece
        assert llama_vocab_is_eog(vocab, token) == tokenizer.is_eog(token)
        assert llama_vocab_get_text(vocab, token).decode(errors="replace") == tokenizer.text(token)
    eos = llm.token_eos()
    assert llama_token_to_piece(vocab, eos, buffer, 2, 0, True) == -len(
        tokenizer.detokenize([eos], special=True)
    )
    assert llama_token_to_piece(vocab, eos, buffer, 8, 0, False) == 0
    (blank,) = llm.tokenize(" ", add_bos=False)[-1:]
    assert llama_token_to_piece(vocab, blank, buffer, 8, 1, True) == 0
    with pytest.raises(errors.ArgumentTypeError, match="model = .*, expected llm.model of a puna.Llama"):
        llama_model_get_vocab(llm)


def test_a_piece_is_written_into_the_memory_of_a_buffer_alone(llm):
    ctypes = pytest.importorskip("ctypes")
    from puna import llama_token_to_piece

    for buffer in (None, 4096, b"bytes", ctypes.c_char_p(b"text"), (ctypes.c_int * 8)()):
        with pytest.raises(errors.ArgumentTypeError, match="buf = .*, expected a ctypes array of chars"):
            llama_token_to_piece(llm.model, 40, buffer, 8, 0, True)
    with pytest.raises(errors.ArgumentError, match="length = 9, expected a whole number, 0 to 8"):
        llama_token_to_piece(llm.model, 40, (ctypes.c_char * 8)(), 9, 0, True)


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


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("llama_log_set", "verbose=False"),
        ("llama_supports_gpu_offload", "puna.devices()"),
        ("LLAMA_ROPE_SCALING_TYPE_YARN", "rope_freq_scale"),
        ("LLAMA_VOCAB_TYPE_BPE", "Puna has the numbers of"),
        ("llama_decode", "puna.Session evaluates tokens"),
        ("llama_sampler_init_greedy", "puna.Sampler chooses tokens"),
        ("llama_cpp", "no module of llama.cpp's C functions"),
    ],
)
def test_what_llama_cpp_has_is_answered_with_what_there_is_instead(name, says):
    with pytest.raises(AttributeError, match=f"no attribute '{name}': ") as caught:
        getattr(puna, name)
    assert says in str(caught.value)
    assert not hasattr(puna, name)
    for program in (f"from puna import Llama, {name}", f"import puna.{name}"):
        with pytest.raises(ImportError, match=f"cannot import name '{name}' from 'puna': ") as refused:
            exec(program)
        assert says in str(refused.value)


def test_other_names_are_answered_by_python_alone():
    with pytest.raises(ImportError, match=r"cannot import name 'Lama' from 'puna' \("):
        exec("from puna import Lama")
    with pytest.raises(ModuleNotFoundError, match="No module named 'puna.lama'"):
        exec("import puna.lama")
