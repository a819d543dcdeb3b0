"""Bad input: an exception with the name, the value and the expectation; the process lives."""

import errno
import io
import pickle
import struct

import pytest

import puna
from puna import errors

# Every exception a user may expect to catch by its built-in name.
BUILT_IN = {
    errors.ArgumentError: ValueError,
    errors.ArgumentTypeError: TypeError,
    errors.UnknownArgumentError: TypeError,
    errors.UnsupportedError: ValueError,
    errors.FileError: OSError,
    errors.DownloadError: OSError,
    errors.MissingFileError: FileNotFoundError,
    errors.FormatError: ValueError,
    errors.MissingNameError: KeyError,
    errors.TruncatedError: errors.FormatError,
    errors.ModelError: ValueError,
    errors.ContextError: ValueError,
    errors.LongTextError: errors.ContextError,
    errors.TokenError: ValueError,
    errors.TemplateError: ValueError,
    errors.DeviceError: RuntimeError,
    errors.OutOfMemory: MemoryError,
    errors.Cancelled: RuntimeError,
    errors.ClosedError: ValueError,
}


@pytest.mark.parametrize("kind", BUILT_IN, ids=lambda kind: kind.__name__)
def test_an_exception_is_punas_and_a_built_in_one(kind):
    assert issubclass(kind, puna.PunaError)
    assert issubclass(kind, BUILT_IN[kind])


@pytest.mark.parametrize(
    ("error", "attributes"),
    [
        (errors.LongTextError(9, 8, "(n_ctx)"), ("n_tokens", "most")),
        (errors.SoftwareDeviceWarning("llvmpipe", "--device none"), ("device",)),
        (errors.refused(PermissionError(errno.EACCES, "no", "a.gguf")), ("errno", "filename")),
        (errors.ContextError("full"), ()),
    ],
    ids=lambda given: type(given).__name__,
)
def test_an_exception_goes_to_another_process(error, attributes):
    found = pickle.loads(pickle.dumps(error))
    assert (type(found), str(found)) == (type(error), str(error))
    for name in attributes:
        assert getattr(found, name) == getattr(error, name) is not None


def rewritten(model: bytes, **changes: object) -> bytes:
    """The model with metadata changed (a double underscore is a dot) and, by `drop` and `add`, tensors."""
    reader = puna.gguf.Reader(model)
    drop, add = changes.pop("drop", None), changes.pop("add", None)
    writer = puna.gguf.Writer(reader.metadata)
    for key, value in changes.items():
        writer.set(key.replace("__", "."), value)
    for tensor in reader.tensors.values():
        if tensor.name != drop:
            writer.add_tensor(tensor.name, tensor.data, tensor.dtype, shape=tensor.shape)
    if add:
        writer.add_tensor(add, bytes(128), "F32", shape=[32])
    return writer.to_bytes()


def refusal(kind: type[Exception], source: object, **options: object) -> str:
    with pytest.raises(kind) as caught:
        puna.Llama(source, **options)
    assert type(caught.value) is kind
    return str(caught.value)


def test_a_missing_file(tmp_path):
    path = tmp_path / "nothing.gguf"
    for mmap in (True, False):
        message = refusal(errors.MissingFileError, path, use_mmap=mmap)
        assert str(path) in message
        assert "No such file" in message
    with pytest.raises(FileNotFoundError) as caught:
        puna.Llama(str(path))
    assert caught.value.errno == errno.ENOENT
    assert caught.value.filename == str(path)


def test_a_folder_is_no_file(tmp_path):
    assert "a directory, expected a file" in refusal(errors.FormatError, tmp_path)


def test_a_wrong_magic(tmp_path, tiny):
    path = tmp_path / "model.bin"
    path.write_bytes(b"GGML" + tiny[4:])
    message = refusal(errors.FormatError, path)
    assert str(path) in message
    assert 'expected "GGUF"' in message


def test_an_unknown_version(tiny):
    assert "GGUF version 9" in refusal(errors.FormatError, tiny[:4] + struct.pack("<I", 9) + tiny[8:])


@pytest.mark.parametrize("n", [0, 3, 10, 4000])
def test_a_file_cut_in_its_header(tiny, n):
    assert "bytes" in refusal(errors.TruncatedError, tiny[:n])


@pytest.mark.parametrize("n", [24, 200])
def test_a_file_too_short_for_what_its_header_counts(tiny, n):
    assert "the file is long enough" in refusal(errors.FormatError, tiny[:n])


def test_a_file_cut_in_its_data(tiny):
    message = refusal(errors.TruncatedError, tiny[:-1000])
    assert "tensor" in message
    assert f"has {len(tiny) - 1000} bytes, expected at least " in message


def test_a_tensor_out_of_range(tiny):
    name = b"output_norm.weight"
    at = tiny.index(name) + len(name)
    n_dims = struct.unpack_from("<I", tiny, at)[0]
    at_offset = at + 4 + 8 * n_dims + 4
    moved = tiny[:at_offset] + struct.pack("<Q", 1 << 40) + tiny[at_offset + 8 :]
    message = refusal(errors.TruncatedError, moved)
    assert "output_norm.weight" in message


def test_an_unknown_tensor_type(tiny):
    name = b"output_norm.weight"
    at = tiny.index(name) + len(name)
    n_dims = struct.unpack_from("<I", tiny, at)[0]
    at_type = at + 4 + 8 * n_dims
    message = refusal(errors.FormatError, tiny[:at_type] + struct.pack("<I", 999) + tiny[at_type + 4 :])
    assert "999" in message
    assert "output_norm.weight" in message


def test_an_unknown_architecture_lists_the_known_ones(tiny):
    message = refusal(errors.UnsupportedError, rewritten(tiny, general__architecture="mamba9"))
    assert '"mamba9"' in message
    assert all(f" {name}," in message for name in ("gemma2", "llama", "qwen3"))


def test_a_missing_tensor(tiny):
    message = refusal(errors.ModelError, rewritten(tiny, drop="blk.1.ffn_up.weight"))
    assert '"blk.1.ffn_up.weight" is missing' in message
    assert "[256, 512]" in message


def test_a_tensor_that_nothing_uses(tiny):
    assert "blk.0.surprise.weight" in refusal(
        errors.UnsupportedError, rewritten(tiny, add="blk.0.surprise.weight")
    )


def test_a_hyper_parameter_that_makes_no_sense(tiny):
    message = refusal(errors.ModelError, rewritten(tiny, llama__attention__head_count_kv=3))
    assert "llama.attention.head_count_kv = 3, expected a divisor of head_count = 4" in message


def test_an_unknown_tokenizer(tiny):
    message = refusal(errors.UnsupportedError, rewritten(tiny, tokenizer__ggml__model="runes"))
    assert '"runes"' in message
    assert "llama gpt2" in message


def test_what_is_no_source():
    assert "model_path = 7, expected a path, bytes" in refusal(errors.ArgumentTypeError, 7)


def test_a_file_object_whose_read_fails(tiny):
    class Broken(io.BytesIO):
        def read(self, n: int = -1, /) -> bytes:
            raise PermissionError("the disk says no")

    with pytest.raises(PermissionError, match="the disk says no"):
        puna.Llama(Broken(tiny))


def test_a_file_object_that_answers_more_than_asked(tiny):
    class Generous(io.BytesIO):
        def read(self, n: int = -1, /) -> bytes:
            return super().read(n) + b"more"

    with pytest.raises(errors.ArgumentError, match=r"read\(\d+\) answered \d+ bytes, expected at most"):
        puna.Llama(Generous(tiny))


def test_a_prompt_longer_than_the_context(tiny):
    with puna.Llama(tiny, n_ctx=8) as llm, pytest.raises(errors.ContextError) as caught:
        llm.create_completion("abcdefghijkl")
    assert "n_ctx = 8" in str(caught.value)
    assert "prompt of 14 tokens" in str(caught.value)


def test_eval_beyond_the_context(tiny):
    with puna.Llama(tiny, n_ctx=8) as llm:
        llm.eval([1] * 6)
        with pytest.raises(errors.ContextError, match="3 tokens after 6 do not fit .* n_ctx = 8"):
            llm.eval([1] * 3)
        llm.eval([1] * 2)


@pytest.mark.parametrize("token", [-1, 286, 2**40])
def test_a_token_id_out_of_range(llm, token):
    n_vocab = llm.n_vocab()
    for call in (llm.eval, llm.create_completion, llm.detokenize):
        with pytest.raises(errors.TokenError) as caught:
            call([1, token])
        assert f"token id {token}, expected 0 to {n_vocab - 1}" in str(caught.value)


def test_no_room(tiny):
    # Cells for two thousand million tokens: no machine for tests has them.
    with pytest.raises((errors.OutOfMemory, errors.PunaError)) as caught:
        puna.Llama(tiny, n_ctx=2**30 - 1)
    assert "memory" in str(caught.value)


def test_no_adapter(tiny, monkeypatch):
    if puna.sources.IN_BROWSER:
        pytest.skip("about native devices")
    monkeypatch.setenv("PUNA_GPU_DEVICE", "a device nobody has")
    with pytest.raises(puna.PunaError, match="no device"):
        puna.Llama(tiny, n_gpu_layers=-1)


def test_vocab_only_has_no_weights(tiny):
    with puna.Llama(tiny, vocab_only=True) as llm:
        assert llm.tokenize(b"ab")
        for call in (lambda: llm("ab"), lambda: llm.eval([1]), lambda: llm.n_tokens):
            with pytest.raises(errors.UnsupportedError, match="vocab_only = True"):
                call()


def test_loading_can_be_stopped_and_progress_may_fail(tiny):
    with pytest.raises(errors.Cancelled):
        puna.Llama(tiny, progress=lambda done, total: False)

    def broken(done: int, total: int) -> None:
        raise KeyError("progress")

    with pytest.raises(KeyError, match="progress"):
        puna.Llama(tiny, progress=broken)


def test_progress_ends_with_everything(tiny):
    seen: list[tuple[int, int]] = []
    puna.Llama(tiny, progress=lambda done, total: seen.append((done, total))).close()
    assert seen[-1][0] == seen[-1][1] > 0
    assert seen == sorted(seen)
