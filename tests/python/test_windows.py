"""Layers that keep only their sliding window: `swa_full=False`."""

import pytest

import puna


@pytest.fixture
def phi3(golden):
    """All its layers have a window."""
    return golden / "logits/phi3.gguf"


def test_a_rewound_sequence_is_an_error_and_a_prompt_is_evaluated_again(phi3):
    tokens = [3 + i * 7 % 40 for i in range(60)]
    with puna.Llama(phi3, n_ctx=512, n_batch=4, swa_full=False) as kept, puna.Llama(phi3, n_ctx=512) as full:
        kept.eval(tokens)
        with pytest.raises(puna.PunaError, match="position = 2, expected 0, or a position near the end"):
            kept.n_tokens = 2
        assert kept.n_tokens == 60
        texts = [llm.create_completion(tokens[:20], max_tokens=5, temperature=0) for llm in (kept, full)]
        assert texts[0]["choices"] == texts[1]["choices"]


def test_a_flag_is_a_flag(phi3):
    with pytest.raises(puna.PunaError, match="swa_full = 3, expected"):
        puna.Llama(phi3, swa_full=3)


def test_a_session_takes_it_too(phi3):
    tokens = [3 + i * 7 % 40 for i in range(60)]
    options = {"n_ctx": 512, "n_batch": 4, "n_ubatch": 2, "n_threads": 2, "n_threads_batch": 2}
    with puna.Session(phi3, swa_full=False, **options) as kept, puna.Session(phi3, **options) as full:
        assert kept.n_bytes < full.n_bytes
        assert kept.n_batch == 2
        rows = [session.eval(tokens).tolist()[0] for session in (kept, full)]
        assert rows[0] == pytest.approx(rows[1], abs=1e-4)
        with pytest.raises(puna.PunaError, match="position = 2, expected 0, or a position near the end"):
            kept.remove(0, 2)
        full.remove(0, 2)
