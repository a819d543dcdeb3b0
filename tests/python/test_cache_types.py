"""Types of the K/V cache: what each keeps of the logits, and what is refused."""

import pytest

import puna

np = pytest.importorskip("numpy", reason="numpy is not installed")

TEXT = b"Once upon a time there was a little girl who lived near the sea. She liked to walk on the sand"

# What a type may change in the logits of the bundled model, as a share of their size. llama.cpp 0.3.36
# changes them by 0.010, 0.012 and 0.068.
TOLERANCES = {"f32": 1e-6, "f16": 0.02, "bf16": 0.02, "q8_0": 0.025, "q4_0": 0.12}


def logits(path, kind):
    with puna.Llama(path, n_ctx=128, logits_all=True, type_k=kind, type_v=kind) as llm:
        tokens = llm.tokenize(TEXT, add_bos=False)
        llm.eval(tokens)
        return np.array(llm.scores[: len(tokens)])


@pytest.mark.parametrize("kind", TOLERANCES)
def test_logits_are_near_those_of_an_f32_cache(bundled, kind):
    expected, found = logits(bundled, "f32"), logits(bundled, kind)
    assert np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2)) < TOLERANCES[kind]


@pytest.mark.parametrize("kind", TOLERANCES)
def test_a_state_goes_on_where_it_was(bundled, kind):
    with puna.Llama(bundled, n_ctx=128, logits_all=True, type_k=kind, type_v=kind) as llm:
        tokens = llm.tokenize(TEXT, add_bos=False)
        llm.eval(tokens[:-1])
        state = llm.save_state()
        llm.eval(tokens[-1:])
        expected = np.array(llm.scores[-1])
        llm.reset()
        llm.eval(tokens[:3])
        llm.load_state(state)
        llm.eval(tokens[-1:])
        assert np.array_equal(llm.scores[-1], expected)


def test_types_go_by_the_ids_of_ggml_too(bundled):
    assert np.array_equal(logits(bundled, 8), logits(bundled, "q8_0"))
    assert np.array_equal(logits(bundled, 30), logits(bundled, "bf16"))
    assert np.array_equal(logits(bundled, None), logits(bundled, "f16"))


def test_blocks_refuse_heads_that_are_none(golden):
    with pytest.raises(
        puna.PunaError, match="type_v = q8_0 for heads of 8 elements, expected f16, f32 or bf16"
    ):
        puna.Llama(golden / "logits/llama-mha.gguf", type_v="q8_0")
