"""From nothing to the first token of a mapped file, and the memory it took: one line of JSON.

    python first_token.py puna|llama_cpp FILE [THREADS] [N_CTX]

`puna.Llama` takes llama-cpp-python's arguments, so one script times both. The import is timed apart.
"""

import importlib
import json
import resource
import sys
import time

module, path = sys.argv[1:3]
n_threads = int(sys.argv[3]) if len(sys.argv) > 3 else 2
n_ctx = int(sys.argv[4]) if len(sys.argv) > 4 else 512
start = time.perf_counter()
engine = importlib.import_module(module)
imported = time.perf_counter()
llm = engine.Llama(model_path=path, n_ctx=n_ctx, n_threads=n_threads, verbose=False)
llm.create_completion("ab cd", max_tokens=1, temperature=0.0)
done = time.perf_counter()
# Kilobytes, but on macOS bytes.
rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({"first_token_s": done - imported, "import_s": imported - start, "peak_rss_mb": rss / 1e6}))
