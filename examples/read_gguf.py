"""Look into a GGUF file: its metadata, and a tensor as a numpy array."""

import sys

import numpy

import puna

reader = puna.gguf.Reader(sys.argv[1] if len(sys.argv) > 1 else puna.bundled())
for key, value in reader.metadata.items():
    print(f"{key} ({reader.metadata.type(key)}) = {str(value)[:60]}")
tensor = reader.tensors["token_embd.weight"]
values = numpy.asarray(tensor.dequantize())
print(f"{tensor.name}: {tensor.dtype}, {values.shape}, {tensor.n_bytes:,} bytes in the file")
print(f"mean {values.mean():.4f}, standard deviation {values.std():.4f}")
