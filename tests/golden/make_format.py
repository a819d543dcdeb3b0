"""Golden data of `core-rs/format`: blocks of every type that has a decoder, as the `gguf` package sees them.

    pip install gguf==0.19.0 && python tests/golden/make_format.py

`TYPE.blocks` are random bytes whose scales are finite; `TYPE.decoded` is what they mean, as f32.
`values.f32` are numbers, `TYPE.encoded` their blocks, for the types that the package can encode.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

OUT = Path(__file__).parent / "format"
N_BLOCKS = 8
DECODED = (
    "F16 BF16 Q4_0 Q5_0 Q8_0 Q4_K Q5_K Q6_K Q4_1 Q5_1 Q2_K Q3_K IQ4_NL IQ4_XS MXFP4 "
    "IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S TQ1_0 TQ2_0 NVFP4 Q1_0 Q2_0"
).split()
ENCODED = "F16 BF16 Q4_0 Q5_0 Q8_0 Q4_1 Q5_1 MXFP4 TQ1_0 TQ2_0 Q1_0 Q2_0".split()
# Where a block keeps its f16 numbers, unless that is at 0.
SCALES = {"Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "Q4_1": [0, 2], "Q5_1": [0, 2], "Q2_K": [80, 82]}
SCALES |= {"Q3_K": [108], "TQ1_0": [52], "TQ2_0": [64], "IQ1_M": [54]}
SCALES |= {"BF16": [], "MXFP4": [], "NVFP4": []}


@dataclass
class Simple:
    """A type that the package has not: an f16 `d`, then codes of a few bits, the first one lowest."""

    n_block: int
    n_bits: int
    values: list[int]
    scale: Callable[[np.ndarray], np.ndarray]
    codes: Callable[[np.ndarray, np.ndarray], np.ndarray]

    def dequantize(self, blocks: np.ndarray) -> np.ndarray:
        d = blocks[:, :2].copy().view(np.float16).astype(np.float32)
        shifts = np.arange(0, 8, self.n_bits, dtype=np.uint8)
        codes = (blocks[:, 2:, None] >> shifts & (1 << self.n_bits) - 1).reshape(len(blocks), -1)
        return d * np.array(self.values, np.float32)[codes]

    def quantize(self, values: np.ndarray) -> np.ndarray:
        x = values.reshape(-1, self.n_block)
        d = self.scale(x)
        shifts = np.arange(0, 8, self.n_bits)
        codes = self.codes(x, d).reshape(len(x), -1, len(shifts)).astype(np.uint8)
        packed = (codes << shifts).sum(-1).astype(np.uint8)
        return np.concatenate([d.astype(np.float16).view(np.uint8), packed], axis=1)


def ternary(x: np.ndarray, d: np.ndarray) -> np.ndarray:
    return quants.np_roundf(x / np.where(d == 0, np.float32(np.inf), d)) + 1


SIMPLE = {
    "Q1_0": Simple(128, 1, [-1, 1], lambda x: np.abs(x).mean(-1, keepdims=True), lambda x, _: x >= 0),
    "Q2_0": Simple(64, 2, [-1, 0, 1, 2], lambda x: np.abs(x).max(-1, keepdims=True), ternary),
}


def random_blocks(name: str, rng: np.random.Generator) -> np.ndarray:
    """Random bytes, with f16 (and bf16) exponents kept from meaning infinity or NaN."""
    simple = SIMPLE.get(name)
    n_elements, n_bytes = (
        (simple.n_block, 2 + simple.n_block * simple.n_bits // 8)
        if simple
        else GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    )
    n = N_BLOCKS * max(1, 32 // n_elements)
    blocks = rng.integers(0, 256, (n, n_bytes), dtype=np.uint8)
    for at in SCALES.get(name, [0]):
        blocks[:, at + 1] &= 0xBF
    if name == "BF16":
        blocks[:, 1] &= 0xBF
    return blocks


def numbers(rng: np.random.Generator) -> np.ndarray:
    """Normal, heavy-tailed, tiny, huge and constant blocks of 32, with ties and signed zeros."""
    rows = [rng.standard_normal(32), rng.standard_t(2, 32), rng.standard_normal(32) * 1e-7]
    rows += [rng.standard_normal(32) * 1e4, np.zeros(32), np.full(32, -0.0), np.full(32, 3.0)]
    rows += [np.arange(32) - 16.0, (np.arange(32) - 15.5) / 2, np.tile([1.0, -1.0], 16)]
    rows += [rng.standard_normal(32) * 0.02 for _ in range(6)]
    return np.concatenate(rows).astype(np.float32)


def dequantize(name: str, blocks: np.ndarray) -> np.ndarray:
    if name in SIMPLE:
        return SIMPLE[name].dequantize(blocks)
    return quants.dequantize(blocks, GGMLQuantizationType[name])


def quantize(name: str, values: np.ndarray) -> np.ndarray:
    if name in SIMPLE:
        return SIMPLE[name].quantize(values)
    return quants.quantize(values, GGMLQuantizationType[name])


def main() -> None:
    OUT.mkdir(exist_ok=True)
    values = numbers(np.random.default_rng(20))
    values.astype("<f4").tofile(OUT / "values.f32")
    for name in DECODED:
        # A seed of its own, so that one more type leaves the others' files alone.
        blocks = random_blocks(name, np.random.default_rng(list(name.encode())))
        blocks.tofile(OUT / f"{name}.blocks")
        dequantize(name, blocks).astype("<f4").tofile(OUT / f"{name}.decoded")
    for name in ENCODED:
        quantize(name, values).tofile(OUT / f"{name}.encoded")


if __name__ == "__main__":
    main()
