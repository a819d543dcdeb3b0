// The chat page: state in one object, events in, nodes out. The model runs in a worker that
// speaks the OpenAI chat shapes (see ../wasm/worker.js).

import { Engine } from "./engine.js";

const $ = (id) => document.getElementById(id);

const state = {
  engine: new Engine(new URL("./worker.js", import.meta.url)),
  /** @type {File | null} the chosen file; null is the bundled model */
  file: null,
  /** @type {{role: string, content: string}[]} */
  messages: [],
  busy: false,
  loaded: false,
};

function render() {
  $("chosen").textContent = state.file ? `${state.file.name} (${megabytes(state.file.size)})` : "bundled tiny model";
  $("load").disabled = state.busy;
  $("text").disabled = $("clear").disabled = !state.loaded;
  $("send").disabled = !state.loaded || state.busy;
  $("stop").hidden = !(state.loaded && state.busy);
}

/** @param {string} text @param {boolean} [isError] */
function status(text, isError = false) {
  $("status").textContent = text;
  $("status").classList.toggle("error", isError);
}

const megabytes = (/** @type {number} */ n) => `${(n / 1e6).toFixed(n < 1e7 ? 1 : 0)} MB`;

/** Adds one turn to the log. @param {string} role @param {string} text */
function turn(role, text) {
  const node = document.createElement("div");
  node.className = `turn ${role}`;
  const body = document.createElement("span");
  body.textContent = text;
  node.append(body);
  $("log").append(node);
  node.scrollIntoView({ block: "end" });
  return { node, body };
}

/** Runs one thing at a time and shows what went wrong. @param {() => Promise<void>} work */
async function exclusively(work) {
  state.busy = true;
  render();
  try {
    await work();
  } catch (error) {
    status(error.message, true);
  } finally {
    state.busy = false;
    $("progress").hidden = true;
    render();
  }
}

function load() {
  return exclusively(async () => {
    state.loaded = false;
    const started = performance.now();
    const bar = $("progress");
    bar.hidden = false;
    bar.removeAttribute("value");
    const device = $("device").value;
    const info = await state.engine.load(
      { model: state.file, n_gpu_layers: device === "webgpu" ? -1 : 0, n_ctx: Number($("n_ctx").value) },
      ({ text, done, total }) => {
        if (text) status(text);
        if (total) bar.value = done / total;
      },
    );
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    state.loaded = true;
    newChat();
    status(`${info.name} · ${info.device} · ready in ${seconds} s`);
  });
}

function newChat() {
  state.messages = [];
  $("log").replaceChildren();
}

/** Asks and streams the answer. @param {string} text */
function ask(text) {
  return exclusively(async () => {
    state.messages.push({ role: "user", content: text });
    turn("user", text);
    const answer = turn("assistant", "");
    let content = "";
    const show = (/** @type {any} */ chunk) => {
      content += chunk.choices[0].delta.content ?? "";
      answer.body.textContent = content;
      answer.node.scrollIntoView({ block: "end" });
    };
    let result;
    try {
      result = await state.engine.chat({ messages: state.messages, temperature: 0.2, max_tokens: null }, show);
    } catch (error) {
      // A question without an answer must not stay: templates want turns that alternate.
      state.messages.pop();
      answer.node.remove();
      throw error;
    }
    state.messages.push({ role: "assistant", content });
    const note = document.createElement("small");
    note.textContent = speed(result.timings);
    answer.node.append(note);
  });
}

/** @param {{prompt_n: number, prompt_ms: number, predicted_n: number, predicted_ms: number}} t */
function speed(t) {
  const rate = (/** @type {number} */ n, /** @type {number} */ ms) => (ms > 0 ? (n * 1000 / ms).toFixed(1) : "–");
  // No rate for the prompt: what an earlier turn left in the cache is not evaluated again.
  return `prompt ${t.prompt_n} tokens in ${t.prompt_ms.toFixed(0)} ms · `
    + `answer ${t.predicted_n} tokens at ${rate(t.predicted_n, t.predicted_ms)} t/s`;
}

/** @param {File | undefined} file */
function choose(file) {
  if (!file) return;
  state.file = file;
  status(`${file.name} chosen: press Load`);
  render();
}

$("choose").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => choose($("file").files[0]));
for (const type of ["dragenter", "dragover"]) {
  document.addEventListener(type, (event) => {
    event.preventDefault();
    $("drop").classList.add("over");
  });
}
document.addEventListener("dragleave", () => $("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  choose(event.dataTransfer?.files[0]);
});
$("setup").addEventListener("submit", (event) => {
  event.preventDefault();
  load();
});
$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text || state.busy || !state.loaded) return;
  $("text").value = "";
  ask(text);
});
$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("ask").requestSubmit();
  }
});
$("stop").addEventListener("click", () => state.engine.stop());
$("clear").addEventListener("click", () => !state.busy && newChat());

if (!("gpu" in navigator)) {
  const option = $("device").querySelector("[value=webgpu]");
  option.disabled = true;
  option.textContent = "WebGPU (not in this browser)";
}
render();
load();
