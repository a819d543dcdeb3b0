"""Models from paths, bytes and file objects are the same model."""

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
