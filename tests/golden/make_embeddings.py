"""Make the golden embeddings: what llama-cpp-python embeds with random models of Puna.

    python make_embeddings.py        needs llama-cpp-python, and Puna as `make build` leaves it

The models are those that `tests/python/test_embedding.py` makes again from their seed.
"""

import base64
import json
import os
import subprocess
import tempfile
from pathlib import Path

import llama_cpp

HERE = Path(__file__).parent
# Kept, since llama.cpp calls it to the end.
SILENT = llama_cpp.llama_log_callback(lambda *_: None)
PUNA = os.environ.get("PUNA_PYTHON", HERE.parents[1] / ".venv/bin/python")
ARCHITECTURES = ("bert", "nomic-bert", "llama", "qwen3")
TEXTS = ("abc hello", "b", "the quick brown fox jumps over the lazy dog, twice")
POOLINGS = (-1, 1, 2, 3)  # the file's own, mean, first, last
N_KEPT = 12  # numbers of a vector; the others are as random
OPTIONS = {"embedding": True, "n_ctx": 128, "n_batch": 128, "type_k": 0, "type_v": 0, "verbose": False}

MODEL = """
import base64, sys
from puna._native import core
print(base64.b64encode(core.tiny_model(sys.argv[1])).decode())
"""


def cases(architecture: str, path: Path) -> list[dict[str, object]]:
    made = subprocess.run([PUNA, "-c", MODEL, architecture], check=True, stdout=subprocess.PIPE).stdout
    path.write_bytes(base64.b64decode(made))
    found = []
    for pooling in POOLINGS:
        llm = llama_cpp.Llama(str(path), pooling_type=pooling, **OPTIONS)
        if llm.pooling_type() == 0:
            continue  # a vector a token: those of the first and the last are among the others
        # One text after another: of several together it mixes up the tokens.
        vectors = [[round(x, 6) for x in llm.embed(text)[:N_KEPT]] for text in TEXTS]
        found.append({"architecture": architecture, "pooling": pooling, "vectors": vectors})
    return found


def main() -> None:
    llama_cpp.llama_log_set(SILENT, None)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for architecture in ARCHITECTURES:
            rows += cases(architecture, Path(folder) / "model.gguf")
    head = {"made_by": f"llama-cpp-python {llama_cpp.__version__}", "texts": TEXTS}
    lines = ",\n".join(json.dumps(row) for row in rows)
    text = json.dumps(head)[:-1] + f', "cases": [\n{lines}\n]}}\n'
    (HERE / "embeddings.json").write_text(text)


if __name__ == "__main__":
    main()
