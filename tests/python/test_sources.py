"""Models from paths, bytes and file objects are the same model."""

import array
import io

import pytest

import puna


@pytest.fixture(scope="module")
def expected(tiny):
    with puna.Llama(tiny) as llm:
        return llm("ab", max_tokens=12, temperature=0)["choices"][0]["text"]


@pytest.fixture
def path(tiny, tmp_path):
    path = tmp_path / "tiny model.gguf"
    path.write_bytes(tiny)
    return path


def answer(source: object, **options: object) -> str:
    with puna.Llama(source, **options) as llm:
        return llm("ab", max_tokens=12, temperature=0)["choices"][0]["text"]


def test_a_path_mapped_or_read(path, expected):
    assert answer(path) == answer(str(path)) == answer(path, use_mmap=False) == expected


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, io.BytesIO], ids=lambda kind: kind.__name__)
def test_bytes_of_any_kind(tiny, expected, kind):
    assert answer(kind(tiny)) == expected


def test_an_open_file(path, expected):
    with path.open("rb") as file:
        assert answer(file) == expected


def test_a_file_object_that_reads_little_at_a_time(tiny, expected):
    class Slow(io.BytesIO):
        def read(self, n: int = -1, /) -> bytes:
            return super().read(min(n, 1000))

    assert answer(Slow(tiny)) == expected


def test_a_file_object_that_ends_too_soon(tiny):
    class Short(io.BytesIO):
        def seek(self, offset: int, whence: int = 0, /) -> int:
            return len(tiny) if whence == 2 else super().seek(offset)

    with pytest.raises(puna.errors.FormatError, match="bytes"):
        answer(Short(tiny[:5000]))


def test_responses_name_the_model(path, tiny):
    with puna.Llama(path) as llm:
        assert llm.model_path == str(path)
    with puna.Llama(tiny) as llm:
        assert llm.model_path == "bytes"


def test_a_url_natively_is_refused():
    if puna.sources.IN_BROWSER:
        pytest.skip("a tab fetches it")
    import asyncio

    with pytest.raises(puna.errors.ArgumentError, match="URLs are fetched in a browser tab only"):
        asyncio.run(puna.Llama.aload("https://example.org/model.gguf"))


def test_a_model_says_what_it_is(tiny, tmp_path):
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny)
    for source, name in ((path, str(path)), (str(path), str(path))):
        model = puna.Model(source)
        assert model.name == name
        assert model.metadata["general.architecture"] == "llama"
        assert model.hparams["n_embd"] == model.metadata["llama.embedding_length"] == 256
        assert model.tokenizer.n_vocab == len(model.metadata["tokenizer.ggml.tokens"])


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (puna.Model, "source"),
        (puna.Session, "model"),
        (puna.gguf.Reader, "source"),
        (puna.Tokenizer, "source"),
        (puna.Llama, "model_path"),
    ],
)
def test_what_no_file_can_be_read_from_is_named(tmp_path, kind, name):
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    with (tmp_path / "a.gguf").open() as text, pytest.raises(puna.errors.ArgumentTypeError) as caught:
        kind(text)
    assert str(caught.value).startswith(f"{name} = <_io.TextIOWrapper")
    assert "expected a file opened in binary mode" in str(caught.value)
    for value in (5, object(), array.array("f", [1])):
        with pytest.raises(puna.errors.ArgumentTypeError, match=f"^{name} = .*expected a"):
            kind(value)
    if kind is not puna.Llama:  # of which None is the bundled model
        with pytest.raises(puna.errors.ArgumentTypeError, match=f"^{name} = None, expected a"):
            kind(None)


def test_a_llama_is_no_model_of_a_session(llm):
    with pytest.raises(
        puna.errors.ArgumentTypeError, match=r"model = <puna.Llama.*puna.Model\(llm.model_path\)"
    ):
        puna.Session(llm)
