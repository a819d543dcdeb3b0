"""No option is taken and ignored: it works, or it is refused by its name."""

import warnings

import pytest

import puna
from puna import errors


@pytest.fixture
def f16(tiny, tmp_path):
    path = tmp_path / "f16.gguf"
    puna.quantize_file(tiny, path, "F16")
    return path


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (dict(pure=True), "pure = True"),
        (dict(output_tensor_type="Q8_0"), "output_tensor_type = Q8_0"),
        (dict(token_embedding_type="Q8_0"), "token_embedding_type = Q8_0"),
        (dict(tensor_types=[("ffn_down", "Q8_0")]), "tensor_types = those of"),
    ],
)
def test_a_copy_has_the_types_it_had(f16, tmp_path, options, says):
    for path in (None, tmp_path / "copy.gguf"):
        with pytest.raises(errors.ArgumentError, match="COPY") as caught:
            puna.quantize_file(f16, path, "COPY", **options)
        assert says in str(caught.value)
    assert not (tmp_path / "copy.gguf").exists()


def test_an_output_that_is_left_has_no_other_type(f16):
    with pytest.raises(errors.ArgumentError, match="output_tensor_type = Q6_K, expected it left out"):
        puna.quantize_file(f16, None, "Q8_0", leave_output_tensor=True, output_tensor_type="Q6_K")


def test_types_of_tensors_are_pairs(f16):
    for given in (["ffn=Q8_0"], [("ffn",)], [("ffn", 8)]):
        with pytest.raises(errors.ArgumentTypeError, match="tensor_types = .* expected pairs"):
            puna.quantize_file(f16, None, "Q8_0", tensor_types=given)


def test_a_pattern_that_fits_no_tensor_is_named(f16):
    for given in ([("ffn_dwn", "Q8_0")], [("ffn", "Q8_0"), ("^ffn_dwn", "Q8_0")]):
        with pytest.raises(errors.ArgumentError, match="ffn_dwn' fits no tensor, expected .* such as '"):
            puna.quantize_file(f16, None, "Q4_0", tensor_types=given)


@pytest.mark.native
def test_a_model_is_not_quantized_onto_itself(f16, golden, tmp_path):
    before = f16.read_bytes()
    with pytest.raises(errors.ArgumentError, match="f16.gguf, expected another file than"):
        puna.quantize_file(f16, f16, "Q8_0")
    assert f16.read_bytes() == before
    parts = sorted((golden / "containers").glob("split-*-of-*.gguf"))
    for part in parts:
        (tmp_path / part.name).write_bytes(part.read_bytes())
    with pytest.raises(errors.ArgumentError, match="-00001-of-00003.gguf, expected another file than"):
        puna.quantize_file(
            tmp_path / parts[0].name, tmp_path / "split", "Q8_0", keep_split=True, allow_requantize=True
        )
    assert all((tmp_path / part.name).read_bytes() == part.read_bytes() for part in parts)


def test_generate_ends_where_a_criterion_holds_and_nowhere_else(llm):
    found = list(llm.generate([5, 6], temp=0, stopping_criteria=lambda tokens, logits: len(tokens) == 6))
    assert len(found) == 4
    assert list(llm.generate([5, 6], temp=0, ignore_eos=True, reset=True))[:4] == found
    with pytest.raises(errors.UnsupportedError, match="ignore_eos = False .* llm.token_eos"):
        next(llm.generate([5, 6], ignore_eos=False))


def test_sample_chooses_and_ends_nothing(llm):
    llm.eval([5, 6])
    for options in (dict(stopping_criteria=lambda tokens, logits: True), dict(ignore_eos=True)):
        with pytest.raises(errors.UnsupportedError, match="sample\\(\\) chooses one token"):
            llm.sample(**options)
    assert llm.sample(temp=0, ignore_eos=False) == llm.sample(temp=0)


@pytest.mark.parametrize(("n_seq_max", "expected"), [(None, 64), (2, 2)])
def test_so_many_texts_are_embedded_at_once(tiny, n_seq_max, expected):
    texts = ["a", "bc", "def"]
    # Sums come in another order; in a cache of f16 their last bits would tip what is rounded.
    options = {"embedding": True, "pooling_type": "mean", "type_k": "f32", "type_v": "f32"}
    with puna.Llama(tiny, n_seq_max=n_seq_max, **options) as llm, puna.Llama(tiny, **options) as one:
        assert llm._session.n_seq_max == expected
        for text, vector in zip(texts, llm.embed(texts), strict=True):
            assert vector == pytest.approx(one.embed(text), abs=1e-5)


@pytest.mark.native
def test_a_gpu_does_not_keep_windows_alone(golden):
    phi3 = golden / "logits/phi3.gguf"  # all its layers have a window
    for n_gpu_layers in (-1, 1):
        with pytest.raises(
            errors.ArgumentError, match="swa_full = False, expected True, or n_gpu_layers = 0"
        ):
            puna.Llama(phi3, n_ctx=512, n_batch=4, n_gpu_layers=n_gpu_layers, swa_full=False)


@pytest.mark.parametrize("n_room", [1, 3])
def test_prompt_and_completion_fill_the_context_and_no_more(tiny, n_room):
    """As llama-cpp-python has it."""
    with puna.Llama(tiny, n_ctx=16, n_seq_max=2) as llm:
        prompt = [5] * (16 - n_room)
        for max_tokens in (None, -1, 100):
            answer = llm(prompt, max_tokens=max_tokens, ignore_eos=True)
            assert answer["usage"]["total_tokens"] == 16
            assert answer["choices"][0]["finish_reason"] == "length"
        assert len(list(llm.generate(prompt))) == n_room
        for full in ([5] * 16, [5] * 17):
            with pytest.raises(errors.ContextError, match="n_ctx = 16 tokens, expected at most 15"):
                llm(full, max_tokens=1)


@pytest.mark.parametrize("made", [puna.Llama, puna.Session])
def test_threads_of_prompts_are_those_of_the_rest_and_that_is_said(tiny, made):
    same = "n_threads_batch = 3: prompt and generation run on the same threads, n_threads = 2$"
    with (
        pytest.warns(RuntimeWarning, match=same) as caught,
        made(tiny, n_threads=2, n_threads_batch=3) as two,
    ):
        pass
    assert caught[0].filename == __file__
    with pytest.warns(RuntimeWarning, match="same threads, n_threads = 700$"):
        made(tiny, n_threads_batch=700).close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in (
            dict(n_threads=2, n_threads_batch=2),
            dict(n_threads=2),
            dict(n_threads=2, n_threads_batch=0),
        ):
            with made(tiny, **n) as llm:
                assert llm.device == two.device
        made(tiny, n_threads_batch=puna.devices()[0].detail["threads"]).close()


@pytest.mark.parametrize("made", [puna.Llama, puna.Session])
def test_no_threads_and_none_are_as_many_as_there_are_processors(tiny, made):
    with made(tiny) as expected, made(tiny, n_threads=0, n_threads_batch=0) as llm:
        assert llm.device == expected.device


def test_a_quantized_file_is_the_same_whatever_threads_wrote_it(tiny, tmp_path):
    written = []
    for given in ({}, dict(n_threads=0), dict(n_threads=None), dict(n_threads=1)):
        puna.quantize_file(tiny, tmp_path / "q.gguf", "Q8_0", **given)
        written.append((tmp_path / "q.gguf").read_bytes())
    assert len(set(written)) == 1


def test_a_number_of_threads_below_zero_is_named(tiny):
    with pytest.raises(errors.ArgumentError, match="n_threads = -1, expected a whole number, 0 to 1024"):
        puna.quantize_file(tiny, None, "Q8_0", n_threads=-1)
