"""A transformers model as a GGUF file in F32, with a dummy vocabulary."""

import gguf
import numpy as np

from .archs import Arch, Weights, sizes


def add_vocabulary(w, n_vocab):
    """A SentencePiece vocabulary of `n_vocab` pieces: specials, newline, then printable ASCII."""
    pieces = ["<unk>", "<s>", "</s>", "<0x0A>", "\u2581"] + [chr(c) for c in range(33, 127)]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL, gguf.TokenType.BYTE]
    w.add_tokenizer_model("llama")
    w.add_token_list(pieces[:n_vocab])
    w.add_token_scores([-float(i) for i in range(n_vocab)])
    w.add_token_types(kinds + [gguf.TokenType.NORMAL] * (n_vocab - len(kinds)))
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)


def add_key(w, key, value):
    add = {bool: w.add_bool, int: w.add_uint32, float: w.add_float32, str: w.add_string}[type(value)]
    add(key, value)


def named(arch: Arch, weights: Weights, n_layer) -> Weights:
    """The same tensors under the names that llama.cpp's converter gives them."""
    names = gguf.get_tensor_name_map(getattr(gguf.MODEL_ARCH, arch.gguf.upper().replace("-", "_")), n_layer)
    out = {}
    for name, x in weights.items():
        ours = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert ours is not None, f"{arch.gguf}: no name for {name}"
        out[ours] = np.ascontiguousarray(x, np.float32)
    return out


def write(path, what, arch: Arch, config, weights: Weights):
    w = gguf.GGUFWriter(path, arch.gguf)
    # llama.cpp wants Phi 3's own special tokens where the name has "phi3" in it.
    w.add_name(path.stem.replace("phi3", "phi 3"))
    w.add_description(what)
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    for key, value in (sizes(config) | arch.keys(config)).items():
        add_key(w, f"{arch.gguf}.{key}", value)
    if n_types := getattr(config, "type_vocab_size", None):
        w.add_token_type_count(n_types)
    add_vocabulary(w, config.vocab_size)
    tensors = arch.tensors(weights, config)
    for name, x in named(arch, tensors, config.num_hidden_layers).items():
        w.add_tensor(name, x)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
