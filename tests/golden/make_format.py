"""Golden data of `core-rs/format`: blocks of every type that has a decoder, as the `gguf` package sees them.

    pip install gguf==0.19.0 && python tests/golden/make_format.py

`TYPE.blocks` are random bytes whose scales are finite; `TYPE.decoded` is what they mean, as f32.
`values.f32` are numbers, `TYPE.encoded` their blocks, for the types that the package can encode.
"""

from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

OUT = Path(__file__).parent / "format"
N_BLOCKS = 16
DECODED = "F16 BF16 Q4_0 Q5_0 Q8_0 Q4_K Q5_K Q6_K Q4_1 Q5_1 Q2_K Q3_K IQ4_NL IQ4_XS MXFP4".split()
ENCODED = "F16 BF16 Q4_0 Q5_0 Q8_0 Q4_1 Q5_1 MXFP4".split()
# Where a block keeps its f16 numbers.
SCALES = {"F16": [0], "Q4_0": [0], "Q5_0": [0], "Q8_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
SCALES |= {"Q4_1": [0, 2], "Q5_1": [0, 2], "Q2_K": [80, 82], "Q3_K": [108], "IQ4_NL": [0], "IQ4_XS": [0]}


def random_blocks(name: str, rng: np.random.Generator) -> np.ndarray:
    """Random bytes, with f16 (and bf16) exponents kept from meaning infinity or NaN."""
    n_elements, n_bytes = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    n = N_BLOCKS * max(1, 32 // n_elements)
    blocks = rng.integers(0, 256, (n, n_bytes), dtype=np.uint8)
    for at in SCALES.get(name, []):
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


def main() -> None:
    rng = np.random.default_rng(20)
    OUT.mkdir(exist_ok=True)
    for name in DECODED:
        blocks = random_blocks(name, rng)
        blocks.tofile(OUT / f"{name}.blocks")
        decoded = quants.dequantize(blocks, GGMLQuantizationType[name])
        decoded.astype("<f4").tofile(OUT / f"{name}.decoded")
    values = numbers(rng)
    values.astype("<f4").tofile(OUT / "values.f32")
    for name in ENCODED:
        quants.quantize(values, GGMLQuantizationType[name]).tofile(OUT / f"{name}.encoded")


if __name__ == "__main__":
    main()
