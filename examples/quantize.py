"""Make a model smaller, and see what became of its tensors."""

import sys
import tempfile
from collections import Counter
from pathlib import Path

import puna

source = sys.argv[1] if len(sys.argv) > 1 else puna.bundled()
with tempfile.TemporaryDirectory() as folder:
    target = Path(folder) / "smaller.gguf"
    # The bundled model is quantized already; for the best quality start from F16 or F32.
    steps = puna.quantize_file(source, target, "Q4_K_M", allow_requantize=True)
    for (before, after), n in Counter((s.dtype_before, s.dtype_after) for s in steps).items():
        print(f"{n:4} tensors {before} -> {after}")
    print(f"{Path(source).stat().st_size:,} -> {target.stat().st_size:,} bytes")
    with puna.Llama(target) as llm:
        print(llm("Once upon a time", max_tokens=30, temperature=0, echo=True)["choices"][0]["text"])
