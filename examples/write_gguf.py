"""Write a GGUF file of one's own, and read it back."""

import tempfile
from pathlib import Path

import numpy

import puna

weights = numpy.random.default_rng(0).normal(size=(8, 64)).astype(numpy.float32)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "mine.gguf"
    writer = puna.gguf.Writer()
    writer.set("general.architecture", "mine").set("mine.sizes", [8, 64])
    writer.add_tensor("weights", weights, "Q8_0")
    writer.write(path)

    tensor = puna.gguf.Reader(path).tensors["weights"]
    back = numpy.asarray(tensor.dequantize())
    print(f"{tensor.dtype}: {weights.nbytes} bytes became {tensor.n_bytes}")
    print(f"largest error {abs(back - weights).max():.4f}")
