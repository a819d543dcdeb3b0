"""`suffix`: text between two texts, by the tokens of a vocabulary that knows how."""

import pytest

import puna

PRE, SUF, MID = 40, 41, 42


def rewritten(tiny: bytes, **keys: int) -> bytes:
    reader = puna.gguf.Reader(tiny)
    writer = puna.gguf.Writer(reader.metadata)
    for key, value in keys.items():
        writer.set(f"tokenizer.ggml.{key}", value, "u32")
    for tensor in reader.tensors.values():
        writer.add_tensor(tensor.name, tensor.data, tensor.dtype, shape=tensor.shape)
    return writer.to_bytes()


@pytest.fixture
def infill(tiny):
    keys = {"fim_pre_token_id": PRE, "fim_suf_token_id": SUF, "fim_mid_token_id": MID}
    return rewritten(tiny, **keys)


def asked(llm: puna.Llama, prompt: str | list[int], suffix: str) -> list[int]:
    """The prompt that the model was given: it is what is in the context afterwards."""
    n = llm(prompt, suffix=suffix, max_tokens=1)["usage"]["prompt_tokens"]
    return llm.eval_tokens[:n]


def test_prefix_suffix_and_middle_are_in_their_order(infill):
    with puna.Llama(infill, n_ctx=64) as llm:
        before, after = (llm.tokenize(text, add_bos=False) for text in ("ab", "yz"))
        bos = llm.token_bos()
        assert asked(llm, "ab", "yz") == [bos, PRE, *before, SUF, *after, MID]
        assert asked(llm, "ab", "") == [bos, PRE, *before, SUF, MID]
        assert asked(llm, [50, 51], "yz") == [bos, PRE, 50, 51, SUF, *after, MID]


def test_spm_puts_the_suffix_first(infill):
    with puna.Llama(infill, n_ctx=64, spm_infill=True) as llm:
        before, after = (llm.tokenize(text, add_bos=False) for text in ("ab", "yz"))
        assert asked(llm, "ab", "yz") == [llm.token_bos(), SUF, *after, PRE, *before, MID]


def test_older_keys_are_read_too(tiny):
    old = rewritten(tiny, prefix_token_id=PRE, suffix_token_id=SUF, middle_token_id=MID)
    with puna.Llama(old, n_ctx=64) as llm:
        assert asked(llm, "a", "b")[1] == PRE


def test_an_answer_is_what_stands_between(infill):
    with puna.Llama(infill, n_ctx=64) as llm:
        after = llm.tokenize("yz", add_bos=False)
        plain = llm([llm.token_bos(), PRE, 50, SUF, *after, MID], max_tokens=5, temperature=0)
        filled = llm([50], suffix="yz", max_tokens=5, temperature=0)
        stream = llm([50], suffix="yz", max_tokens=5, temperature=0, stream=True)
        expected = plain["choices"][0]["text"]
        assert filled["choices"][0]["text"] == expected
        assert "".join(chunk["choices"][0]["text"] for chunk in stream) == expected


def test_a_vocabulary_that_cannot_says_so(llm):
    with pytest.raises(puna.errors.UnsupportedError, match="no tokens to fill in the middle"):
        llm("a", suffix="b")


@pytest.mark.parametrize("suffix", [7, b"b", ["b"]])
def test_a_wrong_suffix_is_named(infill, suffix):
    with puna.Llama(infill, n_ctx=64) as llm, pytest.raises(puna.errors.ArgumentError, match="suffix = "):
        llm("a", suffix=suffix)


def test_the_roles_of_a_vocabulary_are_the_cores(infill):
    tokenizer = puna.Tokenizer(infill)
    assert [tokenizer.special(f"fim_{role}") for role in ("pre", "suf", "mid", "rep")] == [
        PRE,
        SUF,
        MID,
        None,
    ]
    assert puna.Tokenizer(rewritten(infill, mask_token_id=50)).special("mask") == 50
    with pytest.raises(puna.errors.ArgumentError, match="expected one of bos eos .* fim_pre"):
        tokenizer.special("middle")
