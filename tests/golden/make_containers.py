"""Golden files of `core-rs/format`: whole files as others write them.

    pip install gguf==0.19.0 safetensors numpy && python tests/golden/make_containers.py

`little.gguf` has a tensor of every type whose byte order the `gguf` package can turn, and metadata of every
type; `big.gguf` is what the package's own converter makes of it; `big-written.gguf` comes from a writer that
was asked for big-endian. `split-0000?-of-00003.gguf` is the little one in parts. `plain.safetensors` is by
the `safetensors` package, as are `model-0000?-of-00002.safetensors` with their index. `f8.safetensors` has every
number of 8 bits, and what torch takes it for.
"""

import io
import json
import sys
from argparse import Namespace
from pathlib import Path
from shutil import copy

import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFEndian, GGUFReader, GGUFWriter
from gguf.scripts import gguf_convert_endian
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

OUT = Path(__file__).parent / "containers"
BLOCKS = "F32 F16 BF16 Q4_0 Q8_0 Q4_K Q6_K MXFP4".split()


def metadata(writer: GGUFWriter) -> None:
    """One key of each type that a writer has."""
    writer.add_uint8("u8", 200)
    writer.add_int8("i8", -100)
    writer.add_uint16("u16", 60000)
    writer.add_int16("i16", -30000)
    writer.add_uint32("u32", 4_000_000_000)
    writer.add_int32("i32", -2_000_000_000)
    writer.add_float32("f32", 1.5)
    writer.add_uint64("u64", 2**63 + 1)
    writer.add_int64("i64", -(2**62))
    writer.add_float64("f64", 0.1)
    writer.add_bool("bool", True)
    writer.add_string("string", "Grüße")
    writer.add_array("ids", [1, -2, 3])
    writer.add_array("words", ["", "a", "bc"])
    writer.add_array("floats", [0.5, -2.0])


def tensors(writer: GGUFWriter) -> None:
    """Two rows of two blocks each (of 16 numbers for types without blocks)."""
    rng = np.random.default_rng(4)
    for name in BLOCKS:
        dtype = GGMLQuantizationType[name]
        n_elements, n_bytes = GGML_QUANT_SIZES[dtype]
        n = 2 if n_elements > 1 else 16
        if name in ("F32", "F16"):
            values = rng.standard_normal((2, n))
            writer.add_tensor(name, values.astype({"F32": np.float32, "F16": np.float16}[name]))
        else:
            blocks = rng.integers(0, 64, (2, n * n_bytes), dtype=np.uint8)
            writer.add_tensor(name, blocks, raw_dtype=dtype)


def write(path: Path, order: GGUFEndian, with_tensors, **split: int) -> None:
    """A file by the package's writer."""
    writer = GGUFWriter(path, "llama", endianess=order, **split)
    metadata(writer)
    with_tensors(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def numbers(writer: GGUFWriter) -> None:
    """Numbers of every width, which a big-endian writer turns itself."""
    for dtype in (np.float32, np.float16, np.float64, np.int8, np.int16, np.int32, np.int64):
        writer.add_tensor(np.dtype(dtype).name, np.arange(-6, 6).astype(dtype).reshape(2, 6))


def safetensors() -> None:
    """A file of several types, two files with an index, and one of 8-bit floats."""
    values = np.arange(12)
    arrays = {t: values.astype(t).reshape(3, 4) for t in ("float64", "float32", "float16", "int64", "uint8")}
    save_file(arrays | {"scalar": np.array(2.5, np.float32)}, OUT / "plain.safetensors", {"format": "np"})
    weight_map = {}
    for i, names in enumerate((("float64", "uint8"), ("float32", "float16", "int64"))):
        file = f"model-0000{i + 1}-of-00002.safetensors"
        save_file({name: arrays[name] for name in names}, OUT / file, {"format": "pt"})
        weight_map |= dict.fromkeys(names, file)
    index = {"metadata": {"total_size": 276}, "weight_map": dict(sorted(weight_map.items()))}
    (OUT / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
    every = torch.arange(256, dtype=torch.uint8)
    f8 = {name: every.clone().view(getattr(torch, f"float8_{name}")) for name in ("e4m3fn", "e5m2")}
    save_torch(f8 | {f"{name}.f32": x.float() for name, x in f8.items()}, OUT / "f8.safetensors")


def main() -> None:
    OUT.mkdir(exist_ok=True)
    little, big = OUT / "little.gguf", OUT / "big.gguf"
    write(little, GGUFEndian.LITTLE, tensors)
    copy(little, big)
    sys.stdin = io.StringIO("YES\n")
    gguf_convert_endian.convert_byteorder(GGUFReader(big, "r+"), Namespace(order="big", dry_run=False))
    write(OUT / "big-written.gguf", GGUFEndian.BIG, numbers)
    write(OUT / "split.gguf", GGUFEndian.LITTLE, tensors, split_max_tensors=3)
    safetensors()


if __name__ == "__main__":
    main()
