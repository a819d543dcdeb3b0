"""`puna.Array` without numpy: elements, rows, slices."""

import pytest

import puna

numpy = pytest.importorskip("numpy", reason="numpy is not installed")


@pytest.fixture
def rows() -> tuple[puna.Array, object]:
    """An array of two dimensions, and the same by numpy."""
    values = numpy.arange(12, dtype=numpy.float32).reshape(3, 4)
    writer = puna.gguf.Writer()
    writer.add_tensor("x", values)
    array = puna.gguf.Reader(writer.to_bytes()).tensors["x"].dequantize()
    return array, values


@pytest.mark.parametrize(
    "index",
    [0, -1, (1, 2), (2,), (-1, -4), slice(1), slice(None, None, -1), slice(2, 1)],
)
def test_an_index_gives_what_it_gives_numpy(rows, index) -> None:
    array, values = rows
    expected = values[index[0]][index[1:]] if isinstance(index, tuple) else values[index]
    given = array[index]
    assert numpy.shape(given) == numpy.shape(expected)
    assert numpy.array_equal(numpy.asarray(given), expected)


def test_a_flat_array_is_sliced(rows) -> None:
    array, values = rows
    assert array[1][1:3].tolist() == values[1][1:3].tolist()
    assert [float(x) for x in array[2]] == values[2].tolist()


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (3, IndexError, "index 3, expected -3 to 2"),
        ((0, 4), IndexError, "index 4, expected -4 to 3"),
        ("a", TypeError, "index of type str, expected a whole number, a slice"),
        (None, TypeError, "index of type NoneType"),
        ((), TypeError, "index of type tuple"),
        ((slice(2), 1), TypeError, "index of type tuple, expected .* a tuple of numbers"),
    ],
)
def test_other_indexes_are_errors(rows, index, error, message) -> None:
    with pytest.raises(error, match=message):
        rows[0][index]
