// Replays what webgpu.rs recorded with wasm/webgpu.js in Chromium. Exit 77: skipped, reason printed.
import { readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../../..");
const [folder] = process.argv.slice(2);

/** Runs in the page: one recorded case, start to end. */
async function replay(name) {
  const { createHost, openDevice, probe } = await import("/webgpu.js");
  const about = await probe();
  const device = await openDevice();
  const host = createHost(device);
  const { program, commands } = await (await fetch(`/${name}.json`)).json();
  const bytes = new Uint8Array(await (await fetch(`/${name}.bin`)).arrayBuffer());
  const start = performance.now();
  host.create(JSON.stringify(program)); // not awaited: the first submit compiles what it needs
  let compared = 0;
  for (const command of commands) {
    if (command.write) host.write(...command.write, bytes.subarray(...command.bytes));
    if (command.submit !== undefined) host.submit(command.submit, new Uint32Array(command.grids));
    if (!command.read) continue;
    if (host.read(...command.read) !== null) throw new Error("a read was there before it was awaited");
    await host.ready();
    const found = host.read(...command.read);
    const Type = command.tolerance ? Float32Array : Uint32Array;
    const got = new Type(found.buffer);
    const expected = new Type(bytes.slice(...command.expected).buffer);
    const largest = expected.reduce((m, x) => Math.max(m, Math.abs(x)), 0);
    const worst = expected.reduce((m, x, i) => Math.max(m, Math.abs(x - got[i])), 0);
    if (got.length !== expected.length || !(worst <= command.tolerance * largest)) {
      throw new Error(`${command.name}: off by ${worst}, largest ${largest}`);
    }
    compared += 1;
  }
  const ms = Math.round(performance.now() - start);
  host.close();
  // What goes wrong must reach the caller as an exception with a reason.
  const bad = createHost(device);
  const broken = { ...program, buffers: [], groups: [], lists: [], pipelines: [{ ...program.pipelines[0], code: "fn main(" }] };
  const reason = await Promise.resolve()
    .then(() => bad.create(JSON.stringify(broken)))
    .then(() => bad.ready())
    .then(() => "", (error) => error.message);
  if (!reason.includes("shader")) throw new Error(`a broken shader answered ${JSON.stringify(reason)}`);
  const late = createHost(device);
  device.destroy();
  await device.lost;
  const lost = await late.ready().then(() => "", (error) => error.message);
  if (!lost.includes("lost")) throw new Error(`a lost device answered ${JSON.stringify(lost)}`);
  return `${name}: ${compared} reads equal on ${about.name}, ${ms} ms`;
}

/** Runs in the page: every variant through the browser's own compiler. */
async function compile() {
  const { openDevice } = await import("/webgpu.js");
  const device = await openDevice();
  const shaders = await (await fetch("/shaders.json")).json();
  for (const [name, code] of shaders) {
    const { messages } = await device.createShaderModule({ code }).getCompilationInfo();
    const errors = messages.filter((m) => m.type === "error");
    if (errors.length) throw new Error(`${name}:${errors[0].lineNum}: ${errors[0].message}`);
  }
  device.destroy();
  return `${shaders.length} shaders compile`;
}

function serve() {
  const types = { js: "text/javascript", json: "application/json", bin: "application/octet-stream" };
  const server = createServer((request, response) => {
    const name = request.url.slice(1);
    if (name === "" || name === "favicon.ico") return response.setHeader("content-type", "text/html").end("<!doctype html>");
    const path = name === "webgpu.js" ? join(root, "wasm/webgpu.js") : join(folder, name);
    response.setHeader("content-type", types[name.split(".").pop()] ?? "text/plain");
    try {
      response.end(readFileSync(path));
    } catch {
      response.writeHead(404).end();
    }
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

async function open() {
  try {
    const { openChromium } = await import(join(root, "tests/browser/chromium.mjs"));
    return await openChromium();
  } catch (error) {
    if (error.code !== "ERR_MODULE_NOT_FOUND" && !/no Chromium/.test(error.message)) throw error;
    console.log(`${error.message} (make tools installs what is missing)`);
    process.exit(77);
  }
}

const browser = await open();
const server = await serve();
try {
  const page = await browser.newPage();
  page.on("console", (message) => console.log(message.text()));
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  console.log(await page.evaluate(compile));
  const names = readdirSync(folder).filter((f) => f.endsWith(".bin")).map((f) => f.slice(0, -4));
  for (const name of names) console.log(await page.evaluate(replay, name));
} finally {
  await browser.close();
  server.close();
}
