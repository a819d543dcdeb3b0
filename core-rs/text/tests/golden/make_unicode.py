"""Writes src/unicode/categories.bin and bases.bin.

categories.bin: the general category of every code point, as runs. A run is its length in LEB128 (7
bits a byte, low first, high bit = more), then the index of its category in CATEGORIES. Runs follow
each other from U+0000 to U+10FFFF. Needs `pip install regex` (its Unicode data is newer than that of
Python's unicodedata).

bases.bin: for each character with a canonical decomposition but Hangul, what of it is not of
category Mn. An entry is the distance from the last entry's code point, the number of characters left,
and their code points, all in LEB128.
"""

import sys
import unicodedata
from pathlib import Path

import regex

CATEGORIES = (
    "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co Cn"
).split()
OUT = Path(__file__).parents[2] / "src" / "unicode"


def general_categories() -> list[int]:
    """Index into CATEGORIES for each code point."""
    category = [CATEGORIES.index("Cn")] * 0x110000
    text = "".join(map(chr, range(0x110000)))
    for index, name in enumerate(CATEGORIES):
        for match in regex.finditer(rf"\p{{{name}}}+", text):
            for code in range(*match.span()):
                category[code] = index
    return category


def leb128(value: int) -> bytes:
    """`value` by 7 bits."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def runs(values: list[int]) -> bytes:
    """`values` as runs."""
    out = bytearray()
    start = 0
    for at in range(1, len(values) + 1):
        if at == len(values) or values[at] != values[start]:
            out += leb128(at - start) + bytes([values[start]])
            start = at
    return bytes(out)


def bases() -> bytes:
    """Entries of bases.bin."""
    out = bytearray()
    last = 0
    for code in range(0x110000):
        decomposed = unicodedata.normalize("NFD", chr(code))
        if decomposed == chr(code) or 0xAC00 <= code <= 0xD7A3:
            continue
        left = [char for char in decomposed if unicodedata.category(char) != "Mn"]
        out += leb128(code - last) + leb128(len(left)) + b"".join(leb128(ord(char)) for char in left)
        last = code
    return bytes(out)


if __name__ == "__main__":
    for name, content in [("categories.bin", runs(general_categories())), ("bases.bin", bases())]:
        (OUT / name).write_bytes(content)
        print(f"{name}: {len(content)} bytes", file=sys.stderr)
