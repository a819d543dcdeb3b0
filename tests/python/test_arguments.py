"""Arguments and options that are unknown, refused, out of their range, or of a wrong type."""

import pytest

import puna
from puna import errors


def refusal(kind: type[Exception], source: object, **options: object) -> str:
    with pytest.raises(kind) as caught:
        puna.Llama(source, **options)
    assert type(caught.value) is kind
    return str(caught.value)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (dict(n_gpu_layer=1), "Llama() has no argument 'n_gpu_layer'; did you mean 'n_gpu_layers'?"),
        (dict(xyzzy=1), "Llama() has no argument 'xyzzy'"),
        (dict(max_tokens=8), "Llama() has no argument 'max_tokens', expected it with each completion"),
    ],
)
def test_an_unknown_argument_of_the_constructor(tiny, call, says):
    assert refusal(errors.UnknownArgumentError, tiny, **call) == says


def test_an_unknown_argument_of_a_completion(llm):
    with pytest.raises(TypeError, match="has no argument 'max_token'; did you mean 'max_tokens'"):
        llm.create_completion("a", max_token=4)
    with pytest.raises(TypeError, match="has no argument 'echo'"):
        llm.create_chat_completion([{"role": "user", "content": "a"}], echo=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lora_path", "x.gguf"),
        ("rope_scaling_type", 2),
        ("use_mlock", True),
        ("tensor_split", [0.5, 0.5]),
        ("offload_kqv", False),
    ],
)
def test_what_llama_cpp_python_has_and_puna_not_is_refused(tiny, name, value):
    assert f"{name} = {value!r} is not supported, expected" in refusal(
        errors.UnsupportedError, tiny, **{name: value}
    )


def test_the_same_without_a_wish_is_taken(tiny):
    puna.Llama(
        tiny, embedding=False, flash_attn=False, lora_path=None, rope_scaling_type=-1, numa=False
    ).close()


@pytest.mark.parametrize(
    ("name", "value"), [("tfs_z", 0.5), ("penalize_nl", False), ("grammar", "root ::= 'a'")]
)
def test_options_of_a_completion_likewise(llm, name, value):
    with pytest.raises(errors.UnsupportedError, match=f"{name} = .* is not supported"):
        llm.create_completion("a", **{name: value})


def test_logprobs_of_an_echo_need_all_logits(llm):
    with pytest.raises(errors.ArgumentError, match="logits_all = False, expected True: echo = True"):
        llm.create_completion("a", echo=True, logprobs=1)


def test_infill_needs_a_vocabulary_for_it(llm):
    with pytest.raises(errors.UnsupportedError, match="suffix: this vocabulary has no tokens"):
        llm.create_completion("a", suffix="b")


def test_what_embeds_does_not_generate_nor_the_other_way(tiny, llm):
    with pytest.raises(errors.UnsupportedError, match="embedding = False"):
        llm.create_embedding("a")
    with puna.Llama(tiny, embedding=True) as embedder:
        for call in (lambda: embedder("a"), lambda: embedder.eval([1]), lambda: next(embedder.generate([1]))):
            with pytest.raises(errors.UnsupportedError, match="embedding = True"):
                call()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (dict(n_ctx=-1), "n_ctx = -1, expected a whole number, 0 to"),
        (dict(n_batch=0), "n_batch = 0, expected a whole number, 1 to"),
        (dict(n_threads=-1), "n_threads = -1, expected a whole number, 0 to 1024"),
        (dict(n_threads=5000), "n_threads = 5000, expected a whole number, 0 to 1024"),
        (dict(pooling_type=9), "pooling_type = 9, expected a whole number, -1 to 4"),
        (dict(pooling_type="middle"), "pooling_type = 'middle', expected none, mean, cls, last, rank"),
        (dict(n_threads=1, n_threads_batch=-1), "n_threads_batch = -1, expected a whole number, 0 to 1024"),
        (dict(n_gpu_layers=-2), "n_gpu_layers = -2, expected"),
        (dict(type_k=3), "type_k = 3, expected one of 'f32' (0), 'f16' (1), 'bf16' (30)"),
        (dict(rope_freq_base=-1.0), "rope_freq_base = -1, expected a number above 0"),
        (dict(n_seq_max=65), "n_seq_max = 65, expected 1 to 64"),
        (dict(seed=-5), "seed = -5, expected"),
    ],
)
def test_an_argument_out_of_its_range(tiny, options, says):
    assert says in refusal(errors.ArgumentError, tiny, **options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (dict(n_ctx="many"), "n_ctx = 'many', expected a whole number"),
        (dict(logits_all="no"), "logits_all = 'no', expected True or False"),
        (dict(use_mmap="yes"), "use_mmap = 'yes', expected True or False"),
        (dict(chat_handler=3), "chat_handler = 3, expected a function or None"),
        (dict(n_threads=1.5), "n_threads = 1.5, expected a whole number"),
        (dict(n_gpu_layers="all"), "n_gpu_layers = 'all', expected a whole number"),
        (dict(rope_freq_base="1e4"), "rope_freq_base = '1e4', expected a number"),
        (dict(type_k=1.5), "type_k = 1.5, expected one of 'f32' (0)"),
        (dict(kv_overrides=[1]), "kv_overrides = [1], expected a dict or None"),
        (dict(kv_overrides={"a": None}), "a = None, expected a bool, int"),
        (dict(pooling_type=1.5), "pooling_type = 1.5, expected a whole number"),
        (dict(chat_format=7), "chat_format = 7, expected"),
        (dict(chat_format=["chatml"]), "chat_format = ['chatml'], expected"),
        (dict(seed="x"), "seed = 'x', expected a whole number"),
        (dict(model_path=5), "model_path = 5, expected a path, bytes"),
    ],
)
def test_an_argument_of_a_wrong_type_is_a_type_error(tiny, options, says):
    source = options.pop("model_path", tiny)
    assert says in refusal(errors.ArgumentTypeError, source, **options)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda llm: llm(5), "prompt = 5, expected a str or a list of token ids"),
        (lambda llm: llm([1.5]), "prompt: token id = 1.5, expected a whole number"),
        (lambda llm: llm("a", temperature="hot"), "temperature = 'hot', expected a number"),
        (lambda llm: llm("a", top_k=1.5), "top_k = 1.5, expected a whole number"),
        (lambda llm: llm("a", logit_bias=[1]), "logit_bias = [1], expected a dict"),
        (lambda llm: llm("a", stop=7), "stop = 7, expected a str or a list of str"),
        (lambda llm: llm("a", max_tokens="x"), "max_tokens = 'x', expected a whole number"),
        (lambda llm: llm("a", stream="false"), "stream = 'false', expected True or False"),
        (lambda llm: llm("a", model=7), "model = 7, expected a str or None"),
        (lambda llm: llm("a", suffix=7), "suffix = 7, expected a str or None"),
        (lambda llm: llm("a", samplers=7), "samplers = 7, expected a str or a list of str"),
        (lambda llm: llm("a", logits_processor=3), "logits_processor = 3, expected a function"),
        (
            lambda llm: llm("a", logits_processor=lambda t, x: 3),
            "logits_processor answered 3, expected the logits",
        ),
        (lambda llm: llm.tokenize(5), "text = 5, expected a str or bytes"),
        (lambda llm: llm.detokenize(5), "tokens = 5, expected a list of token ids"),
        (lambda llm: llm.eval("ab"), "tokens = 'ab', expected a list of token ids"),
        (lambda llm: llm.load_state(7), "state = 7, expected a LlamaState"),
        (lambda llm: llm.set_cache({}), "cache = {}, expected LlamaRAMCache"),
        (lambda llm: llm.create_chat_completion(5), "messages = 5, expected a list"),
        (lambda llm: puna.chat.render(5, []), "template = 5, expected a str"),
        (lambda llm: puna.Sampler(9, seed="x"), "seed = 'x', expected a whole number, 0 to 4294967295"),
        (lambda llm: puna.Sampler(9)("ab"), "expected an f32 array or a list of numbers"),
        (lambda llm: puna.quantize_file(5, None, "Q8_0"), "source = 5, expected a path"),
    ],
)
def test_a_value_of_a_wrong_type_is_a_type_error(tiny, call, says):
    with puna.Llama(tiny, chat_format="chatml") as llm, pytest.raises(TypeError) as caught:
        call(llm)
    assert isinstance(caught.value, errors.ArgumentTypeError)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (dict(temperature=float("nan")), "temperature"),
        (dict(temperature="hot"), "temperature = 'hot', expected a number"),
        (dict(top_p=float("nan")), "top_p"),
        (dict(top_k=1.5), "top_k = 1.5, expected a whole number"),
        (dict(logit_bias={10**6: 1.0}), "1000000"),
        (dict(logit_bias=[1]), "logit_bias = [1], expected a dict"),
        (dict(logit_bias={"x": 1}), "logit_bias: token id = 'x', expected a whole number"),
        (dict(logit_bias={1.5: 1}), "logit_bias: token id = 1.5, expected a whole number"),
        (dict(stop=7), "stop = 7, expected a str or a list of str"),
        (dict(max_tokens="x"), "max_tokens = 'x', expected a whole number"),
        (dict(logprobs=-1), "logprobs = -1, expected a whole number"),
        (dict(stream="false"), "stream = 'false', expected True or False"),
        (dict(echo="no"), "echo = 'no', expected True or False"),
        (dict(model=7), "model = 7, expected a str or None"),
        (dict(mirostat_mode=3), "mirostat_mode = 3, expected a whole number, 0 to 2"),
        (dict(samplers=["heat"]), "heat"),
        (dict(logits_processor=3), "logits_processor = 3, expected a function or a list of functions"),
        (dict(seed="x"), "seed = 'x', expected a whole number"),
    ],
)
def test_an_option_out_of_its_range(llm, options, says):
    with pytest.raises(errors.PunaError) as caught:
        llm.create_completion("a", **options)
    assert says in str(caught.value)


@pytest.mark.parametrize("prompt", [7, None, b"bytes"])
def test_a_prompt_that_is_none(llm, prompt):
    with pytest.raises(errors.ArgumentError, match="expected a str or a list of token ids"):
        llm.create_completion(prompt)
