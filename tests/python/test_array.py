"""Arrays of the core: shared with numpy and memoryview, never copied."""

import pytest

import puna
from puna._native import core


@pytest.fixture
def rows(llm):
    llm.eval([1, 2])
    return llm._all_rows()


def test_a_memoryview_shares_its_memory(rows, llm):
    view = memoryview(rows)
    assert view.shape == rows.shape == (1, llm.n_vocab())
    assert (view.format, view.itemsize, view.readonly) == ("f", 4, True)
    assert view.strides == (4 * llm.n_vocab(), 4)
    assert view.nbytes == rows.nbytes
    assert view[0, 3] == rows[0][3] == rows.tolist()[0][3]


def test_a_view_keeps_the_array_alive(llm):
    llm.eval([1])
    view = memoryview(llm._all_rows())
    before = view.tobytes()
    llm.reset()
    llm.eval([5, 6, 7])
    assert view.tobytes() == before


def test_numpy_shares_its_memory(rows):
    numpy = pytest.importorskip("numpy")
    array = numpy.asarray(rows)
    assert array.shape == rows.shape
    assert array.dtype == "float32"
    assert not array.flags.writeable
    assert array.__array_interface__["data"][0] == rows.__array_interface__["data"][0]


def test_the_array_interface_alone_is_enough(rows):
    numpy = pytest.importorskip("numpy")

    class Interface:
        __array_interface__ = rows.__array_interface__

    assert numpy.array_equal(numpy.asarray(Interface()), numpy.asarray(rows))


def test_bytes_of_a_mapped_file_are_not_copied(tiny, tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(tiny)
    tensor = puna.gguf.Reader(path).tensors["output_norm.weight"]
    views = [memoryview(tensor.data) for _ in range(2)]
    addresses = {view.obj.__array_interface__["data"][0] for view in views}
    if not puna.sources.IN_BROWSER:
        assert len(addresses) == 1
    assert views[0].format == "B"


def test_indexes_count_from_both_ends(rows):
    flat = rows[0]
    assert len(flat) == rows.shape[1]
    assert flat[-1] == flat[len(flat) - 1]
    with pytest.raises(IndexError, match=r"index 1, expected -1 to 0"):
        rows[1]


def test_it_cannot_be_written(rows):
    with pytest.raises((TypeError, BufferError)):
        memoryview(rows)[0, 0] = 1.0
    for index in (0, (0, 0), slice(1)):
        with pytest.raises(TypeError, match="read-only; numpy.array\\(array\\) is a copy that is not"):
            rows[index] = 1.0


def test_rows_are_joined(rows):
    both = core.concat([rows, rows])
    assert both.shape == (2, rows.shape[1])
    assert core.concat([rows[0], rows]).shape == both.shape
    with pytest.raises(puna.errors.ArgumentError, match="uint8, expected float32"):
        core.concat(
            [
                core.slice_rows(rows, 0, 1),
                puna.gguf.Reader(core.tiny_model()).tensors["token_embd.weight"].data,
            ]
        )
