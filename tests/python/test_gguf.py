"""`puna.gguf`, `puna.quantize` and friends, beside the `gguf` package where it is installed."""

import struct
import subprocess
import sys

import pytest

import puna
from puna.gguf import DTYPES, Reader, Writer

ENCODED = [d for d in DTYPES.values() if d.can_encode and d.name != "F32"]


def ramp(n: int) -> list[float]:
    return [((i * 37) % 101 - 50) / 25 for i in range(n)]


def floats(array: object) -> list[float]:
    return memoryview(array).cast("B").cast("f").tolist()


def test_a_reader_tells_what_is_in_a_file(tiny):
    reader = Reader(tiny)
    assert reader.version == 3
    assert reader.n_bytes == len(tiny)
    assert reader.metadata["general.architecture"] == "llama"
    assert reader.metadata.type("llama.block_count") == "u32"
    assert reader.metadata["tokenizer.ggml.tokens"][:3] == ["<unk>", "<s>", "</s>"]
    assert "no.such.key" not in reader.metadata
    tensor = reader.tensors["blk.0.attn_k.weight"]
    assert tensor.shape == (256, 128)
    assert tensor.dtype == "F32"
    assert tensor.n_bytes == 256 * 128 * 4
    assert tensor.dequantize().shape == (128, 256)
    assert memoryview(tensor.data).tobytes() == tiny[tensor.offset : tensor.offset + tensor.n_bytes]


def test_mapped_read_and_in_memory_are_the_same(tiny, tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(tiny)
    name = "blk.1.ffn_down.weight"
    found = [
        Reader(s, mmap=m).tensors[name].dequantize() for s, m in ((path, True), (path, False), (tiny, True))
    ]
    assert floats(found[0]) == floats(found[1]) == floats(found[2])


VALUES = {
    "a.bool": (True, "bool"),
    "a.u32": (7, "u32"),
    "a.i32": (-7, "i32"),
    "a.i64": (-(2**40), "i64"),
    "a.u64": (2**40, "u64"),
    "a.huge": (2**63, "u64"),
    "a.f32": (0.5, "f32"),
    "a.text": ("Grüße", "string"),
    "a.ints": ([1, 2, 3], "array of u32"),
    "a.mixed": ([1, -2], "array of i32"),
    "a.floats": ([1, 0.25], "array of f32"),
    "a.texts": (["a", "ß"], "array of string"),
    "a.bools": ([True, False], "array of bool"),
    "a.none": ([], "array of i32"),
}


SHRINKING = """
import os, sys, time
import puna
path = sys.argv[1]
tensors = puna.gguf.Reader(path).tensors
tensor = list(tensors.values())[-1]
later = tensor.data
held = memoryview(tensor.data)
os.truncate(path, 4096)
time.sleep(0.01)  # a map looks at its file once a millisecond
print(held[len(held) - 1])
for use in (memoryview, list, lambda array: array[0], lambda array: array.tolist(), lambda _: tensor.dequantize()):
    try:
        use(later)
    except puna.PunaError as error:
        print(error)
"""


@pytest.mark.native
@pytest.mark.skipif(sys.platform == "win32", reason="there, a mapped file cannot be shortened")
def test_a_file_that_shrinks_ends_only_what_needs_it(tiny, tmp_path):
    """Bytes that are gone read as zeros; who asks for them afterwards gets an error. Without the handler of
    lost pages this would end the process, so it has one of its own."""
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny)
    command = [sys.executable, "-c", SHRINKING, path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    first, *errors = done.stdout.splitlines()
    assert first == "0"
    assert len(errors) == 5
    assert all("tiny.gguf" in error and "became shorter" in error for error in errors), errors


def test_values_come_back_with_their_types():
    writer = Writer()
    for key, (value, _) in VALUES.items():
        writer.set(key, value)
    metadata = Reader(writer.to_bytes()).metadata
    assert dict(metadata) == {key: value for key, (value, _) in VALUES.items()}
    assert {key: metadata.type(key) for key in metadata} == {key: kind for key, (_, kind) in VALUES.items()}


def test_a_type_may_be_asked_for():
    writer = Writer().set("a", 3, type="u8").set("b", [1, 2], type="array of f64")
    metadata = Reader(writer.to_bytes()).metadata
    assert (metadata.type("a"), metadata.type("b")) == ("u8", "array of f64")


def test_a_copy_is_the_same_file(tiny, tmp_path):
    reader = Reader(tiny)
    writer = Writer(reader.metadata)
    for tensor in reader.tensors.values():
        writer.add_tensor(tensor.name, tensor.data, tensor.dtype, shape=tensor.shape)
    writer.write(tmp_path / "copy.gguf")
    assert (tmp_path / "copy.gguf").read_bytes() == tiny
    assert [path.name for path in tmp_path.iterdir()] == ["copy.gguf"]


def test_an_array_is_encoded_as_it_is_added():
    values = memoryview(struct.pack("64f", *ramp(64))).cast("f", shape=[2, 32])
    writer = Writer().add_tensor("x", values, "Q8_0").add_tensor("y", values)
    tensors = Reader(writer.to_bytes()).tensors
    assert (tensors["x"].dtype, tensors["x"].shape) == ("Q8_0", (32, 2))
    assert memoryview(tensors["x"].data).tobytes() == puna.quantize(ramp(64), "Q8_0")
    assert tensors["y"].dequantize().shape == (2, 32)


@pytest.mark.parametrize("numpy", [True, False])
@pytest.mark.parametrize("kind", ["float64", "float32", "float16", "transposed", "list"])
def test_numbers_of_any_width_become_f32(monkeypatch, numpy, kind):
    np = pytest.importorskip("numpy")
    monkeypatch.setattr(puna.arrays, "HAS_NUMPY", numpy)
    values = np.arange(64).reshape(2, 32) / 64
    given = {"transposed": np.ascontiguousarray(values.T, np.float32).T, "list": values.ravel().tolist()}
    data = given.get(kind) if kind in given else values.astype(kind)
    tensor = Reader(Writer().add_tensor("t", data).to_bytes()).tensors["t"]
    assert (tensor.dtype, tensor.shape) == ("F32", (64,) if kind == "list" else (32, 2))
    assert np.asarray(tensor.dequantize()).ravel().tolist() == values.ravel().tolist()
    assert puna.quantize(data, "Q8_0") == puna.quantize(values.astype(np.float32), "Q8_0")


def test_other_numbers_go_as_their_bytes():
    np = pytest.importorskip("numpy")
    ids = np.array([[1, 2, 3]], np.int32)
    with pytest.raises(
        puna.errors.ArgumentError, match=r"format 'i', expected .* their bytes \(data.tobytes"
    ):
        Writer().add_tensor("t", ids)
    tensor = Reader(Writer().add_tensor("t", ids.tobytes(), "I32", shape=ids.shape[::-1]).to_bytes()).tensors[
        "t"
    ]
    assert (tensor.dtype, tensor.shape) == ("I32", (3, 1))
    assert memoryview(tensor.data).tobytes() == ids.tobytes()


def test_numpys_numbers_are_metadata_as_pythons():
    np = pytest.importorskip("numpy")
    writer = (
        Writer().set("a", np.int64(4)).set("b", np.float32(0.5)).set("c", np.arange(3)).set("d", np.bool_(1))
    )
    metadata = Reader(writer.to_bytes()).metadata
    assert dict(metadata) == {"a": 4, "b": 0.5, "c": [0, 1, 2], "d": True}
    assert [metadata.type(key) for key in "abcd"] == ["u32", "f32", "array of u32", "bool"]


@pytest.mark.parametrize(
    ("work", "says"),
    [
        (lambda w: w.set("a.b", object()), "a.b = <object"),
        (lambda w: w.set("a.b", -1, type="u32"), "a.b = -1, expected a value of GGUF's type u32"),
        (lambda w: w.set("a.b", 1, type="u33"), 'type = "u33", expected u8'),
        (lambda w: w.add_tensor("t", bytes(4)), "add_tensor('t'): bytes, expected dtype and shape"),
        (
            lambda w: w.add_tensor("t", bytes(5), "F32", shape=[1]),
            'number of bytes of tensor "t" is 5, expected 4',
        ),
        (lambda w: w.add_tensor("t", bytes(4), "F33", shape=[1]), 'dtype = "F33", expected one of F32 F16'),
        (lambda w: w.add_tensor("t" * 64, bytes(4), "F32", shape=[1]), "at most 63 bytes"),
        (
            lambda w: w.add_tensor("t", bytes(4), "F32", shape=[1]).add_tensor(
                "t", bytes(4), "F32", shape=[1]
            ),
            'tensor "t" appears twice',
        ),
    ],
)
def test_what_cannot_be_written_is_named(work, says):
    with pytest.raises(puna.PunaError) as caught:
        work(Writer())
    assert says in str(caught.value)


def test_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Writer().set("a", 1).write(tmp_path / "nowhere/x.gguf")


@pytest.mark.parametrize("dtype", ENCODED, ids=lambda d: d.name)
def test_decoding_undoes_encoding(dtype):
    values = ramp(2 * max(dtype.n_block, 256))
    data = puna.quantize(values, dtype.name)
    assert len(data) == len(values) // dtype.n_block * dtype.block_bytes
    decoded = puna.dequantize(data, dtype.name, len(values))
    bits = 8 * dtype.block_bytes / dtype.n_block
    # The step of a code of that many bits over a range of 4, and some for the scales.
    assert max(abs(a - b) for a, b in zip(decoded.tolist(), values)) < 4 / 2 ** (bits - 1.5) + 0.01


@pytest.mark.parametrize(
    ("work", "says"),
    [
        (lambda: puna.quantize([1.0] * 31, "Q8_0"), "31, expected a multiple of 32"),
        (lambda: puna.quantize([1.0] * 32, "Q8"), 'dtype = "Q8", expected one of'),
        (
            lambda: puna.quantize(b"1234", "Q8_0"),
            "values = an array of format 'B', expected an array of f32, f64",
        ),
        (lambda: puna.quantize([float("nan")] * 32, "Q8_0"), "value 0 of the row is NaN"),
        (lambda: puna.quantize([1.0] * 256, "IQ1_S"), "cannot encode type IQ1_S, supported: F32"),
        (lambda: puna.dequantize(bytes(33), "Q8_0"), "33"),
        (lambda: puna.dequantize(bytes(34), "Q8_0", 64), "n = 64, expected 32"),
    ],
)
def test_what_cannot_be_quantized_is_named(work, says):
    with pytest.raises(ValueError) as caught:
        work()
    assert isinstance(caught.value, puna.PunaError)
    assert says in str(caught.value)


def test_a_model_is_quantized(tiny, tmp_path):
    seen: list[str] = []
    path = tmp_path / "q8.gguf"
    steps = puna.quantize_file(tiny, path, "Q8_0", progress=lambda name, done, total: seen.append(name))
    reader = Reader(path)
    assert reader.metadata["general.file_type"] == 7
    assert {t.name: t.dtype for t in reader.tensors.values()} == {s.name: s.dtype_after for s in steps}
    assert reader.tensors["blk.0.attn_q.weight"].dtype == "Q8_0"
    assert reader.tensors["blk.0.attn_norm.weight"].dtype == "F32"
    assert seen == list(reader.tensors)
    with puna.Llama(path) as llm:
        assert llm("ab", max_tokens=3, temperature=0)["usage"]["completion_tokens"] == 3


def test_quantizing_may_be_stopped_and_leaves_nothing(tiny, tmp_path):
    with pytest.raises(puna.errors.Cancelled):
        puna.quantize_file(tiny, tmp_path / "x.gguf", "Q8_0", progress=lambda name, done, total: done < 3)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_file_type_is_refused(tiny, tmp_path):
    with pytest.raises(puna.errors.ArgumentError, match='type = "Q9", expected one of F32 F16'):
        puna.quantize_file(tiny, tmp_path / "x.gguf", "Q9")


def test_the_gguf_package_reads_what_puna_writes(tiny, tmp_path):
    gguf = pytest.importorskip("gguf")
    numpy = pytest.importorskip("numpy")
    path = tmp_path / "q4.gguf"
    puna.quantize_file(tiny, path, "Q4_K_M")
    theirs, ours = gguf.GGUFReader(path), Reader(path)
    assert [t.name for t in theirs.tensors] == list(ours.tensors)
    for tensor in theirs.tensors:
        mine = ours.tensors[tensor.name]
        assert tuple(int(n) for n in tensor.shape) == mine.shape
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        assert numpy.array_equal(numpy.asarray(mine.dequantize()), values.reshape(mine.dequantize().shape))


def test_puna_reads_what_the_gguf_package_writes(tmp_path):
    gguf = pytest.importorskip("gguf")
    numpy = pytest.importorskip("numpy")
    path = tmp_path / "theirs.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_array("a.list", [1, 2, 3])
    writer.add_string("a.text", "ß")
    values = numpy.arange(12, dtype=numpy.float32).reshape(3, 4)
    writer.add_tensor("x", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    reader = Reader(path)
    assert reader.metadata["a.list"] == [1, 2, 3]
    assert reader.metadata["a.text"] == "ß"
    assert numpy.array_equal(numpy.asarray(reader.tensors["x"].dequantize()), values)


def test_a_reader_is_closed(tiny):
    with puna.gguf.Reader(tiny) as reader:
        tensor = next(iter(reader.tensors.values()))
    for use in (lambda: reader.tensors, lambda: reader.metadata, lambda: reader.version):
        with pytest.raises(puna.errors.ClosedError, match="the file was closed"):
            use()
    reader.close()
    assert len(memoryview(tensor.data)) == tensor.n_bytes


def test_a_name_that_a_file_has_not_is_answered_with_those_near_to_it(tiny):
    reader = puna.gguf.Reader(tiny)
    with pytest.raises(puna.errors.MissingNameError, match="^tensors.'token_embd.weigth'.*token_embd.weight"):
        reader.tensors["token_embd.weigth"]
    for look_up in (reader.metadata.__getitem__, reader.metadata.type):
        with pytest.raises(KeyError, match="^metadata.'general.arch'.*general.architecture"):
            look_up("general.arch")
    assert reader.metadata.get("nope") is None
    assert reader.tensors.get("nope") is None
    assert "nope" not in reader.metadata


def test_arguments_of_a_reader_are_checked(tiny):
    with pytest.raises(puna.errors.ArgumentTypeError, match="mmap = 'no', expected True or False"):
        puna.gguf.Reader(tiny, mmap="no")
    with pytest.raises(puna.errors.UnknownArgumentError, match="no argument 'foo'"):
        puna.gguf.Reader(tiny, foo=1)
