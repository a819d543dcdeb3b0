"""Writes `codebooks.bin`, the tables of the IQ types, out of the `gguf` package's `quants.py`.

    pip install gguf==0.19.0 && python core-rs/format/src/quant/make_codebooks.py

The package holds them in the same form: an entry is 16 bits, little-endian, with 2 bits for each of its
8 elements (IQ1, IQ2) or 4 bits for each of its 4 (IQ3), the first element lowest.
"""

from pathlib import Path

from gguf import quants

# In the order in which codebook.rs finds them. IQ1_M shares the book of IQ1_S.
BOOKS = [quants.IQ2_XXS, quants.IQ2_XS, quants.IQ2_S, quants.IQ3_XXS, quants.IQ3_S, quants.IQ1_S]


def main() -> None:
    data = b"".join(bytes.fromhex(book.grid_hex.decode()) for book in BOOKS)
    n_entries = sum(book.grid_shape[0] for book in BOOKS)
    assert len(data) == 2 * n_entries
    # codebook.rs computes the signs: the eighth makes their number even.
    signs = quants.IQ2_XXS.ksigns
    assert list(signs) == [i | (i.bit_count() & 1) << 7 for i in range(128)]
    Path(__file__).with_name("codebooks.bin").write_bytes(data)


if __name__ == "__main__":
    main()
