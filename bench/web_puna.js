// Puna in the tab: Pyodide and the wheel in this worker, the model mounted as a file, one SIMD build.
//
// The worker gets one job and answers with its result or its error. The timing itself is Python's
// `puna.bench.run`, the same code that `puna bench` runs natively.

import { loadPyodide } from '/pyodide/pyodide.mjs';

const PYTHON = `
import json
import os

os.environ["PUNA_WASM_SIMD"] = simd

import puna
import puna.bench

llm = puna.Llama(model_path=path, n_ctx=n_prompt + n_gen + 64, n_threads=1, n_gpu_layers=0, verbose=False)
json.dumps(puna.bench.run(llm, n_prompt, n_gen, reps))
`;

/** @param {{wheel: string, simd: string, model: string, nPrompt: number, nGen: number, reps: number}} job */
async function run({ wheel, simd, model, nPrompt, nGen, reps }) {
  const pyodide = await loadPyodide({ indexURL: '/pyodide/' });
  await pyodide.loadPackage(new URL(wheel, location.href).href, { messageCallback() {} });
  const start = performance.now();
  const blob = await (await fetch(model)).blob();
  pyodide.FS.mkdir('/model');
  pyodide.FS.mount(pyodide.FS.filesystems.WORKERFS, { files: [new File([blob], 'bench.gguf')] }, '/model');
  const globals = pyodide.toPy({ simd, path: '/model/bench.gguf', n_prompt: nPrompt, n_gen: nGen, reps });
  const { pp, tg } = JSON.parse(await pyodide.runPythonAsync(PYTHON, { globals }));
  return { pp, tg, total_s: (performance.now() - start) / 1000 };
}

addEventListener('message', async ({ data }) => {
  try {
    postMessage(await run(data));
  } catch (error) {
    postMessage({ error: String(error.message ?? error).trim().split('\n').at(-1) });
  }
});
