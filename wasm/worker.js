// Puna in a worker: Pyodide, the wheel, and three verbs for the page (load, chat, stop).
//
// Beside this file lie `pyodide/` (npm's folder) and `puna.json`, which names the wheel. The page
// gets OpenAI's chunks; nothing else of Python is visible to it.

import { loadPyodide } from "./pyodide/pyodide.mjs";

const PYTHON = `
import json
import puna

llm = None
stopped = False

async def load(model, n_gpu_layers, n_ctx, progress):
    global llm
    if llm is not None:
        llm.close()
        llm = None
    llm = await puna.Llama.aload(model, n_gpu_layers=n_gpu_layers, n_ctx=n_ctx, progress=progress)
    return json.dumps({"name": llm.metadata.get("general.name", "model"), "device": llm.device})

async def chat(body, each):
    global stopped
    stopped = False
    stream = await llm.acreate_chat_completion(**json.loads(body), stream=True)
    async for chunk in stream:
        each(json.dumps(chunk))
        if stopped:
            await stream.aclose()
            break
    t = llm.timings
    return json.dumps({"timings": {
        "prompt_n": t.n_prompt, "prompt_ms": t.prompt_s * 1000,
        "predicted_n": t.n_generated, "predicted_ms": t.generated_s * 1000,
    }})

def stop():
    global stopped
    stopped = True
`;

/** The interpreter with Puna in it; made at the first call. */
let python;

/** @param {(progress: object) => void} progress */
async function start(progress) {
  progress({ text: "Starting Python…" });
  const pyodide = await loadPyodide({ indexURL: new URL("./pyodide/", import.meta.url).href });
  progress({ text: "Loading the engine…" });
  const { wheel } = await (await fetch(new URL("./puna.json", import.meta.url))).json();
  await pyodide.loadPackage(new URL(wheel, import.meta.url).href, { messageCallback() {} });
  const names = pyodide.toPy({});
  await pyodide.runPythonAsync(PYTHON, { globals: names });
  return { names };
}

const verbs = {
  async load({ model, n_gpu_layers, n_ctx }, each) {
    python ??= await start(each);
    each({ text: "Loading the model…" });
    const progress = (done, total) => each({ done, total });
    const load = python.names.get("load");
    return JSON.parse(await load(model ?? undefined, n_gpu_layers, n_ctx, progress));
  },

  async chat(body, each) {
    if (!python) throw new Error("no model is loaded");
    const chunk = (text) => each(JSON.parse(text));
    return JSON.parse(await python.names.get("chat")(JSON.stringify(body), chunk));
  },
};

/** Python's last line says what went wrong; the traceback goes to the console. */
function message(error) {
  const lines = String(error.message ?? error).trim().split("\n");
  console.error(error);
  return lines[lines.length - 1].replace(/^[\w.]+(?:Error|Exception): /, "");
}

/** Calls run one after another, whatever order their messages come in. */
let last = Promise.resolve();

self.onmessage = ({ data: { id, op, body } }) => {
  if (op === "stop") {
    python?.names.get("stop")();
    return;
  }
  last = last.then(async () => {
    try {
      const ok = await verbs[op](body, (each) => self.postMessage({ id, each }));
      self.postMessage({ id, ok });
    } catch (error) {
      self.postMessage({ id, error: message(error) });
    }
  });
};
