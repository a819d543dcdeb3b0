"""Values that no type check of Python would stop: named, and the process lives."""

import math
import struct

import pytest

import puna
from puna import errors


@pytest.fixture
def broken(tiny):
    """A model with one weight that is NaN."""
    offset = puna.gguf.Reader(tiny).tensors["output_norm.weight"].offset
    return tiny[:offset] + struct.pack("<f", math.nan) + tiny[offset + 4 :]


@pytest.mark.parametrize("token", [-1, 2**31, 2**64, 2**70])
def test_an_id_that_no_vocabulary_has(llm, token):
    calls = (
        lambda: llm.eval([token]),
        lambda: llm([token]),
        lambda: llm.detokenize([token]),
        lambda: llm.tokenizer().decode([token]),
        lambda: puna.Sampler(9).accept(token),
        lambda: next(llm.generate([token])),
    )
    for call in calls:
        with pytest.raises(errors.TokenError, match=str(token)):
            call()


@pytest.mark.parametrize("text", [5, None, ["a"], "\ud800"])
def test_what_is_no_text(llm, text):
    with pytest.raises(errors.ArgumentError, match="text = "):
        llm.tokenize(text)


def test_a_lone_surrogate_is_no_text(llm):
    with pytest.raises(errors.ArgumentError, match="lone surrogates"):
        llm("\ud800")
    with pytest.raises(errors.ArgumentError, match="surrogates"):
        puna.chat.render("chatml", [{"role": "user", "content": "\ud800"}])


def test_messages_that_json_has_not(tiny):
    with puna.Llama(tiny, chat_format="chatml") as llm:
        for value in (object(), float("nan"), {1, 2}):
            with pytest.raises(errors.ArgumentError, match="messages: "):
                llm.create_chat_completion([{"role": "user", "content": "x", "name": value}])


@pytest.mark.parametrize("value", [[1], "text", 7])
def test_overrides_that_are_no_dict(tiny, value):
    for kind in (puna.Llama, puna.Model):
        with pytest.raises(errors.ArgumentError, match="kv_overrides = "):
            kind(tiny, kv_overrides=value)


def test_files_of_states_that_cannot_be_read_or_written(tiny, tmp_path):
    with puna.Session(tiny, n_ctx=16) as session:
        session.eval([5])
        with pytest.raises(errors.MissingFileError, match="nothing.state"):
            session.load(tmp_path / "nothing.state")
        with pytest.raises(errors.FileError, match="nowhere"):
            session.save(0, tmp_path / "nowhere" / "a.state")
        with pytest.raises(errors.ArgumentError, match="data = 7, expected bytes or a path"):
            session.load(7)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(errors.FileError, match="file"):
        puna.LlamaDiskCache(tmp_path / "file")


def test_a_model_that_does_not_rank(tiny):
    with (
        puna.Llama(tiny, embedding=True, pooling_type="rank") as llm,
        pytest.raises(errors.UnsupportedError, match="rank"),
    ):
        llm.embed("a")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda w: puna.gguf.Writer(5), "metadata = 5, expected a dict"),
        (lambda w: w.set(5, 1), "key = 5, expected a str"),
        (lambda w: w.set("a", 1, 7), "type = 7, expected a str"),
        (lambda w: w.add_tensor(b"t", [1.0]), "name = b't', expected a str"),
        (lambda w: w.add_tensor("t", None), "data = None, expected numbers"),
        (
            lambda w: w.add_tensor("t", [[1.0]]),
            "data = [[1.0]], expected numbers (an array of f32, f64 or f16, or",
        ),
        (lambda w: w.add_tensor("t", [1.0], 8), "dtype = 8, expected a str"),
        (lambda w: w.add_tensor("t", [1.0], shape="ab"), "shape = 'ab', expected a list of whole numbers"),
        (lambda w: w.add_tensor("t", [1.0], shape=[1.0]), "shape = 1.0, expected a whole number"),
        (lambda w: w.write(9), "path = 9, expected a path"),
        (
            lambda w: puna.quantize(None, "Q8_0"),
            "values = None, expected an array of f32, f64 or f16, or a list",
        ),
        (lambda w: puna.quantize(["a"], "Q8_0"), "values = ['a'], expected an array of f32"),
        (lambda w: puna.quantize([1.0], 8), "dtype = 8, expected a str"),
        (lambda w: puna.dequantize(5, "Q8_0"), "data = 5, expected bytes"),
        (lambda w: puna.dequantize(b"", 8), "dtype = 8, expected a str"),
    ],
)
def test_a_file_made_of_wrong_types_is_a_type_error(call, says):
    with pytest.raises(puna.errors.ArgumentTypeError) as caught:
        call(puna.gguf.Writer())
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"path": 5}, "path = 5, expected a path"),
        ({"type": 5}, "type = 5, expected a str"),
        ({"output_tensor_type": 5}, "output_tensor_type = 5, expected a str"),
        ({"tensor_types": 5}, "tensor_types = 5, expected a list of pairs"),
        ({"tensor_types": "ffn=Q8_0"}, "tensor_types = 'ffn=Q8_0', expected a list of pairs"),
        ({"progress": 5}, "progress = 5, expected a function or None"),
    ],
)
def test_a_wrong_type_of_an_option_of_quantize_file_is_named(tiny, options, says):
    with pytest.raises(puna.errors.ArgumentTypeError) as caught:
        puna.quantize_file(tiny, **({"path": None, "type": "Q8_0"} | options))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda t: t.piece("a"), "token: token id = 'a', expected a whole number"),
        (lambda t: t.piece(None), "token: token id = None, expected a whole number"),
        (lambda t: t.text(1.5), "token: token id = 1.5, expected a whole number"),
        (lambda t: t.is_eog("a"), "token: token id = 'a', expected a whole number"),
        (
            lambda t: t.piece(10**30),
            "token id 1000000000000000000000000000000, expected one of the vocabulary",
        ),
        (lambda t: t.piece(10**6), "token id 1000000, expected 0 to 285"),
        (lambda t: t.special(5), "role = 5, expected a str"),
        (lambda t: t.encode("a", add_bos="x"), "add_bos = 'x', expected True or False"),
        (lambda t: t.decode([5], special="x"), "special = 'x', expected True or False"),
    ],
)
def test_a_wrong_value_for_a_tokenizer_is_named(tiny, call, says):
    with pytest.raises(puna.PunaError) as caught:
        call(puna.Tokenizer(tiny))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda m: puna.Session(m, nctx=5), r"Session\(\) has no argument 'nctx'; did you mean 'n_ctx'\?"),
        (lambda m: puna.Model(m, nmap=False), r"Model\(\) has no argument 'nmap'; did you mean 'mmap'\?"),
        (
            lambda m: puna.quantize_file(m, None, "Q8_0", threads=1),
            r"quantize_file\(\) has no argument 'threads'; did you mean 'n_threads'\?",
        ),
    ],
)
def test_a_misspelt_argument_is_answered_with_the_one_meant(tiny, call, says):
    with pytest.raises(puna.errors.UnknownArgumentError, match=says):
        call(tiny)


@pytest.mark.parametrize("kind", [puna.Llama, puna.Session])
def test_progress_that_is_no_function_is_refused(tiny, kind):
    with pytest.raises(puna.errors.ArgumentTypeError, match="progress = 5, expected a function or None"):
        kind(tiny, progress=5)


def test_a_session_is_saved_to_a_path(tiny):
    with (
        puna.Session(tiny) as session,
        pytest.raises(puna.errors.ArgumentTypeError, match="path = 5, expected a path"),
    ):
        session.save(0, 5)


def test_numbers_beyond_f32_are_infinite_and_those_beyond_f64_refused():
    assert puna.dequantize(puna.quantize([1e39, -1e300], "F32"), "F32").tolist() == [math.inf, -math.inf]
    with pytest.raises(
        puna.errors.ArgumentError, match="values: int too large to convert to float, expected"
    ):
        puna.quantize([10**400], "F32")


def test_token_ids_have_one_dimension(tiny, llm):
    numpy = pytest.importorskip("numpy")
    ids = numpy.array([[5, 6]])
    with puna.Session(tiny, n_ctx=16) as session:
        calls = (llm.eval, llm.detokenize, session.eval, lambda ids: next(llm.generate(ids)), llm)
        for call in calls:
            with pytest.raises(
                errors.ArgumentTypeError, match=r"an array of shape \[1, 2\], expected token ids in one"
            ):
                call(ids)
    with pytest.raises(errors.ArgumentTypeError, match="token id = .*, expected a whole number"):
        llm.eval([numpy.array([1, 2])])


def test_a_sampler_says_what_it_takes(tiny, llm):
    for given in (llm, puna.Model(tiny), "x"):
        with pytest.raises(errors.ArgumentTypeError, match=r"vocab = .*, expected a Tokenizer \(model.tok"):
            puna.Sampler(given)


def test_nothing_is_encoded_as_nothing():
    assert puna.quantize([], "Q8_0") == b""
    with pytest.raises(
        errors.FormatError, match=r'"x" is \[0\], .* a tensor without elements is for no model'
    ):
        puna.gguf.Writer().add_tensor("x", [])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda w: w.set("a", [[1, 2], [3]]), "a = [[1, 2], [3]], expected a list of one dimension"),
        (lambda w: w.add_tensor("x", [[1.0, 3.0], [1.0, 2.0]]), "or a flat list with shape"),
        (lambda w: puna.dequantize(b"abc", "Q8_0"), "data = 3 bytes, expected a multiple of 34"),
        (
            lambda w: puna.Session(b"", n_ctx=2**31),
            "n_ctx = 2147483648, expected a whole number, 0 to 2147483647",
        ),
    ],
)
def test_what_does_not_fit_is_named_with_what_does(call, says):
    with pytest.raises(puna.PunaError) as caught:
        call(puna.gguf.Writer())
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda llm: llm("abc", temperature=0.0),
        lambda llm: llm("abc", temperature=1.0),
        lambda llm: next(llm.generate([1, 2])),
    ],
)
def test_a_weight_that_is_nan_ends_a_completion(broken, call):
    with puna.Llama(broken, n_ctx=64) as llm, pytest.raises(errors.PunaError, match="NaN"):
        call(llm)


def test_a_weight_that_is_nan_ends_an_embedding(broken):
    with (
        puna.Llama(broken, n_ctx=64, embedding=True, pooling_type="mean") as llm,
        pytest.raises(errors.DeviceError, match="embedding of text 0: .* are NaN or infinite"),
    ):
        llm.embed(["abc"])
