"""Writes src/unicode/categories.bin: the general category of every code point, as runs.

Needs `pip install regex` (its Unicode data is newer than that of Python's unicodedata).
A run is its length in LEB128 (7 bits a byte, low first, high bit = more), then the index of its
category in CATEGORIES. Runs follow each other from U+0000 to U+10FFFF.
"""

import sys
from pathlib import Path

import regex

CATEGORIES = (
    "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co Cn"
).split()
OUT = Path(__file__).parents[2] / "src" / "unicode" / "categories.bin"


def general_categories() -> list[int]:
    """Index into CATEGORIES for each code point."""
    category = [CATEGORIES.index("Cn")] * 0x110000
    text = "".join(map(chr, range(0x110000)))
    for index, name in enumerate(CATEGORIES):
        for match in regex.finditer(rf"\p{{{name}}}+", text):
            for code in range(*match.span()):
                category[code] = index
    return category


def runs(values: list[int]) -> bytes:
    """`values` as runs."""
    out = bytearray()
    start = 0
    for at in range(1, len(values) + 1):
        if at == len(values) or values[at] != values[start]:
            length = at - start
            while length > 0x7F:
                out.append(length & 0x7F | 0x80)
                length >>= 7
            out += bytes([length, values[start]])
            start = at
    return bytes(out)


if __name__ == "__main__":
    OUT.write_bytes(runs(general_categories()))
    print(f"{OUT}: {OUT.stat().st_size} bytes, regex {regex.__version__}", file=sys.stderr)
