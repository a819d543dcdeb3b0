/**
 * Runs the tests of tests/python in Pyodide, in Node or in a worker of Chromium:
 *
 *   node --experimental-wasm-jspi run.mjs node|chromium [PYTEST ARGUMENT...]
 *
 * Needs the wheel in dist/ (make wasm) and pytest's wheels in build/wheelhouse (make tools). Prints
 * what pytest prints; exits with pytest's code.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { openChromium } from "./chromium.mjs";
import { ROOT, runPytest } from "./pytest.mjs";
import { serve } from "./serve.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, "../..");
const pyodideFolder = join(here, "node_modules/pyodide");
const dataFolder = resolve(root, process.env.PUNA_DATA ?? "../shared/data");
const LIMIT_MINUTES = 20;

/** Folders that the tests see, by their place under ROOT. */
const FOLDERS = {
  "tests/python": join(root, "tests/python"),
  "tests/golden": join(root, "tests/golden"),
  examples: join(root, "examples"),
  data: dataFolder,
};

function filesBelow(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/__pycache__|\.pyc$/.test(join(entry.parentPath, entry.name)))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}

/** The wheel of ours and the wheels of pytest and friends, as [folder, name]. */
function wheels() {
  const ours = wheelsIn("dist").filter(([, name]) => /^puna-.*pyemscripten/.test(name));
  if (ours.length !== 1) throw new Error(`expected one pyemscripten wheel in dist/, found ${ours.length}: make wasm`);
  return [...ours, ...wheelsIn("build/wheelhouse")];
}

function wheelsIn(folder) {
  const path = join(root, folder);
  if (!existsSync(path)) throw new Error(`${path} does not exist: make wasm tools`);
  return readdirSync(path).filter((name) => name.endsWith(".whl")).map((name) => [folder, name]);
}

/** What the tests read besides the wheels: [{path under ROOT, file on disk}]. */
function inputs() {
  const list = [{ path: "pyproject.toml", file: join(root, "pyproject.toml") }];
  for (const [place, folder] of Object.entries(FOLDERS))
    for (const name of filesBelow(folder)) list.push({ path: `${place}/${name}`, file: join(folder, name) });
  return list;
}

function environment() {
  const env = existsSync(dataFolder) ? { PUNA_DATA: `${ROOT}/data` } : {};
  for (const [name, value] of Object.entries(process.env))
    if (name.startsWith("PUNA_") && name !== "PUNA_DATA") env[name] = value;
  return env;
}

const print = (text) => void process.stdout.write(text);

async function inNode(args) {
  const { loadPyodide } = await import(pathToFileURL(join(pyodideFolder, "pyodide.mjs")));
  return runPytest({
    loadPyodide,
    wheels: wheels().map(([folder, name]) => join(root, folder, name)),
    files: inputs().map(({ path, file }) => ({ path, data: new Uint8Array(readFileSync(file)) })),
    env: environment(),
    args,
    print,
  });
}

async function inChromium(args) {
  const mounts = { "/harness/": here, "/pyodide/": pyodideFolder, "/root/": root, "/files/data/": dataFolder };
  for (const [place, folder] of Object.entries(FOLDERS)) mounts[`/files/${place}/`] = folder;
  const page_html = (_, response) => response.setHeader("Content-Type", "text/html").end("<!doctype html>");
  const server = await serve(mounts, { isolate: true, routes: { "/": page_html } });
  const browser = await openChromium();
  try {
    const page = await browser.newPage();
    page.on("pageerror", (error) => console.log(`page error: ${error}`));
    await page.exposeFunction("report", print);
    await page.goto(server.url + "/");
    const job = {
      wheels: wheels().map(([folder, name]) => `${server.url}/root/${folder}/${name}`),
      paths: inputs().map(({ path }) => ({
        path,
        url: encodeURI(path === "pyproject.toml" ? "/root/pyproject.toml" : `/files/${path}`),
      })),
      env: environment(),
      args,
    };
    return await page.evaluate(runInWorker, job);
  } finally {
    await browser.close();
    await server.close();
  }
}

/** Runs in the page. */
function runInWorker(job) {
  const worker = new Worker("/harness/worker.mjs", { type: "module" });
  let last = Promise.resolve(); // the last report: all of them have arrived when it has
  return new Promise((done, fail) => {
    worker.onerror = (event) => fail(new Error(`worker: ${event.message}`));
    worker.onmessage = ({ data }) => {
      if (data.text !== undefined) last = window.report(data.text);
      if (data.code !== undefined) last.then(() => done(data.code));
    };
    worker.postMessage(job);
  });
}

const [where, ...args] = process.argv.slice(2);
const runners = { node: inNode, chromium: inChromium };
if (!runners[where]) {
  console.error("usage: run.mjs node|chromium [PYTEST ARGUMENT...]");
  process.exit(2);
}
setTimeout(() => {
  console.error(`run.mjs: not done after ${LIMIT_MINUTES} minutes`);
  process.exit(124);
}, LIMIT_MINUTES * 60_000).unref();
process.exit(await runners[where](["-p", "no:cacheprovider", ...args]));
