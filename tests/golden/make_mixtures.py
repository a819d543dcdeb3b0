"""Make the golden mixtures: which type llama.cpp's quantize gives each tensor, for every file type.

    python make_mixtures.py        needs gguf, llama-cpp-python

The models have the names and sizes that its rules look at, and next to no weights: `mixtures.json` has all
that a test needs to write them again. Types are in the order of `tensors`, runs of one type as `TYPE*N`.
File types that want an importance matrix are left out, and so are what llama.cpp refuses and Q2_0, which the
gguf package does not know.
"""

import json
import tempfile
from itertools import groupby
from pathlib import Path

import gguf
import llama_cpp
import numpy as np

HERE = Path(__file__).parent
# Kept, since llama.cpp calls it to the end.
SILENT = llama_cpp.llama_log_callback(lambda *_: None)
FILE_TYPES = """F32 F16 Q4_0 Q4_1 Q8_0 Q5_0 Q5_1 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K
IQ3_XS IQ4_NL IQ3_S IQ3_M IQ4_XS BF16 TQ1_0 TQ2_0 MXFP4_MOE Q1_0""".split()

ATTENTION = ["attn_norm", "attn_q", "attn_k", "attn_v", "attn_output"]
DENSE = ["ffn_norm", "ffn_gate", "ffn_up", "ffn_down"]
EXPERTS = ["ffn_norm", "ffn_gate_inp", "ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"]
FUSED = ["attn_norm", "attn_qkv", "attn_output", "ffn_up", "ffn_down"]

# name: architecture, layers, heads, heads of keys, experts, row length, tensors of a layer, has an output
MODELS = {
    "grouped": ("llama", 16, 8, 2, 0, 256, ATTENTION + DENSE, True),
    "tied": ("llama", 18, 4, 4, 0, 256, ATTENTION + DENSE, False),
    "experts": ("llama", 9, 4, 2, 8, 256, ATTENTION + EXPERTS, True),
    "large": ("llama", 80, 8, 1, 0, 256, ["attn_v", "ffn_down"], True),
    "falcon": ("falcon", 32, 4, 4, 0, 256, FUSED, True),
    "fused": ("phi3", 12, 4, 4, 0, 256, FUSED, True),
    "ragged": ("llama", 8, 4, 4, 0, 96, ATTENTION + DENSE, True),
    "odd": ("llama", 8, 4, 4, 0, 40, ATTENTION + DENSE, True),
}


def model(name):
    """Metadata and the tensors' shapes (GGUF's order) of a model."""
    arch, n_layer, n_head, n_head_kv, n_expert, row, parts, has_output = MODELS[name]
    numbers = {
        "block_count": n_layer,
        "context_length": 512,
        "embedding_length": row,
        "feed_forward_length": row,
        "attention.head_count": n_head,
        "attention.head_count_kv": n_head_kv,
        "rope.dimension_count": row // n_head,
        "vocab_size": 2,
        **({"expert_count": n_expert, "expert_used_count": 2} if n_expert else {}),
    }
    metadata = {"general.architecture": arch} | {f"{arch}.{key}": n for key, n in numbers.items()}
    metadata |= {f"{arch}.attention.layer_norm{kind}_epsilon": 1e-5 for kind in ("", "_rms")}
    tensors = {"token_embd.weight": [row, 2], "output_norm.weight": [row]}
    if has_output:
        tensors["output.weight"] = [row, 2]
    for part in parts:  # not by layer: runs of one type are longer, and the order must not matter
        for layer in range(n_layer):
            many = [2, n_expert] if part.endswith("_exps") else [2]
            shape = [row] if part.endswith("_norm") else [row, *many]
            tensors[f"blk.{layer}.{part}.weight"] = shape
    return metadata, tensors


def write(path, metadata, tensors):
    writer = gguf.GGUFWriter(path, metadata["general.architecture"])
    for key, value in metadata.items():
        if isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
    rng = np.random.default_rng(0)
    for name, shape in tensors.items():
        writer.add_tensor(name, rng.standard_normal(shape[::-1]).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def types(source, target, file_type):
    """The type of each tensor after llama.cpp's quantize; `None` where it refuses."""
    params = llama_cpp.llama_model_quantize_default_params()
    kind = "ALL" if file_type == "F32" else "MOSTLY"
    params.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_{kind}_{file_type}")
    params.nthread = 1
    if llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), params):
        return None
    return {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(target).tensors}


def runs(found):
    counted = [(kind, len(list(group))) for kind, group in groupby(found)]
    return " ".join(kind if n == 1 else f"{kind}*{n}" for kind, n in counted)


def main():
    llama_cpp.llama_log_set(SILENT, None)
    golden = {}
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.gguf", Path(folder) / "out.gguf"
        for name in MODELS:
            metadata, tensors = model(name)
            write(source, metadata, tensors)
            found = {kind: types(source, target, kind) for kind in FILE_TYPES}
            print(name, "refused:", *(kind for kind, each in found.items() if each is None))
            golden[name] = {
                "metadata": metadata,
                "tensors": tensors,
                "types": {k: runs(each[t] for t in tensors) for k, each in found.items() if each is not None},
            }
    text = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in golden.items())
    (HERE / "mixtures.json").write_text(f"{{\n{text}\n}}\n")


if __name__ == "__main__":
    main()
