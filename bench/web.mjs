// Puna in headless Chromium beside wllama, one thread each, in turn: `make bench-web`.
//
//   node bench/web.mjs [--types Q4_0,Q4_K_M] [--rounds 2] [-p 250] [-n 32] [--size 100m]
//
// Every measurement has a fresh page: a small server hands it the engine and the model by HTTP, and the
// page answers with tokens a second (web_puna.js, web_wllama.js). README.md tells what is fair about it.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import zlib from 'node:zlib';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.dirname(here);
const env = process.env;
// One page may take this long; wllama's Q4_0 prompt on a busy machine is the slowest.
const PAGE_TIMEOUT_MS = 300_000;
const CHROMIUM_FLAGS = [
  '--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];
const MIME = {
  '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm', '.json': 'application/json',
};

const { values: flags } = parseArgs({
  options: {
    types: { type: 'string', default: 'Q4_0,Q4_K_M' },
    size: { type: 'string', default: '100m' },
    rounds: { type: 'string', default: '2' },
    reps: { type: 'string', default: '2' },
    engines: { type: 'string', default: 'puna-relaxed,puna-simd128,wllama' },
    prompt: { type: 'string', short: 'p', default: '250' },
    gen: { type: 'string', short: 'n', default: '32' },
  },
});

/** The folder of an npm package, in any of the places where one may be installed. */
function packageFolder(name) {
  const places = [...(env.PUNA_NODE_MODULES?.split(':') ?? []), `${here}/node_modules`, `${root}/tests/browser/node_modules`];
  const folder = places.map((place) => path.join(place, name)).find((f) => fs.existsSync(f));
  if (folder) return folder;
  console.error(`no ${name} in ${places.join(', ')}: npm install --prefix bench; make tools`);
  process.exit(1);
}

/** The newest Pyodide wheel of Puna, or undefined. */
function findWheel() {
  const dist = env.PUNA_DIST ?? path.join(root, 'dist');
  const wheels = fs.existsSync(dist) ? fs.readdirSync(dist).filter((f) => /^puna-.*wasm32\.whl$/.test(f)) : [];
  const age = (f) => fs.statSync(path.join(dist, f)).mtimeMs;
  const newest = wheels.sort((a, b) => age(a) - age(b)).at(-1);
  return newest && path.join(dist, newest);
}

/** The model's path; make_model.py makes it when it is missing. */
function modelPath(type) {
  const folder = env.PUNA_BENCH_MODELS ?? path.join(root, '.cache/bench');
  const file = path.join(folder, `bench${flags.size}-${type}.gguf`);
  if (!fs.existsSync(file)) {
    const python = env.PYTHON ?? path.join(root, '.venv/bin/python');
    execFileSync(python, [path.join(here, 'make_model.py'), folder, flags.size, type], { stdio: 'inherit' });
  }
  return file;
}

/** The file a URL path stands for; `mounts` maps a prefix to a folder. */
function fileOf(url, mounts) {
  const clean = decodeURIComponent(new URL(url, 'http://localhost').pathname);
  const prefix = Object.keys(mounts).find((p) => clean.startsWith(p));
  const file = prefix && path.join(mounts[prefix], path.normalize('/' + clean.slice(prefix.length)));
  return file && fs.existsSync(file) && fs.statSync(file).isFile() ? file : undefined;
}

/** Serves `mounts` and an empty page, cross-origin isolated so that the clock is fine. */
function serve(mounts) {
  const server = http.createServer((request, response) => {
    const file = fileOf(request.url, mounts);
    const page = request.url === '/';
    response.writeHead(file || page ? 200 : 404, {
      'content-type': page ? 'text/html' : (MIME[path.extname(file ?? '')] ?? 'application/octet-stream'),
      'content-length': file ? fs.statSync(file).size : page ? 15 : 0,
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
    });
    if (page) response.end('<!doctype html>');
    else if (!file || request.method === 'HEAD') response.end();
    else fs.createReadStream(file).pipe(response);
  });
  return new Promise((resolve) => server.listen(0, 'localhost', () => resolve(server)));
}

/** Runs in the page: one engine, one job. */
async function inPage({ engine, job }) {
  if (engine === 'wllama') {
    const { run } = await import('/bench/web_wllama.js');
    return run(job);
  }
  const worker = new Worker('/bench/web_puna.js', { type: 'module' });
  const answer = new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = (event) => reject(new Error(event.message));
  });
  worker.postMessage(job);
  return answer.finally(() => worker.terminate());
}

/** One measurement in a fresh page: {pp, tg, …} or {error}. */
async function measure(browser, origin, engine, job) {
  const page = await browser.newPage();
  try {
    await page.goto(origin);
    const timeout = new Promise((_, reject) => {
      setTimeout(() => reject(new Error(`no answer in ${PAGE_TIMEOUT_MS / 1000} s`)), PAGE_TIMEOUT_MS).unref();
    });
    return await Promise.race([page.evaluate(inPage, { engine, job }), timeout]);
  } catch (error) {
    return { error: String(error.message ?? error).split('\n')[0] };
  } finally {
    await page.close();
  }
}

/** The best speeds of one type by each engine, the engines taking turns. */
async function measureType(browser, origin, type, engines, wheel) {
  const best = Object.fromEntries(engines.map((e) => [e, { pp: 0, tg: 0 }]));
  for (let round = 0; round < +flags.rounds; round++) {
    for (const engine of engines) {
      const job = {
        model: `/models/${path.basename(modelPath(type))}`,
        wheel: wheel && `/wheel/${path.basename(wheel)}`,
        simd: engine.replace('puna-', ''),
        nPrompt: +flags.prompt, nGen: +flags.gen, reps: +flags.reps,
      };
      const result = await measure(browser, origin, engine, job);
      console.log(`  ${type} ${engine} ${JSON.stringify(result)}`);
      for (const test of ['pp', 'tg']) best[engine][test] = Math.max(best[engine][test], result[test] ?? 0);
    }
  }
  return best;
}

function printTable(rows, engines) {
  const ours = engines.filter((e) => e !== 'wllama');
  const head = ['type', 'test', ...engines.map((e) => `${e} t/s`), ...ours.map((e) => `${e} / wllama`)];
  console.log(`\n| ${head.join(' | ')} |\n|${'---|'.repeat(head.length)}`);
  for (const [type, best] of rows) {
    for (const [test, n] of [['pp', flags.prompt], ['tg', flags.gen]]) {
      const speed = (e) => best[e]?.[test] ?? 0;
      const shown = engines.map((e) => (speed(e) ? speed(e).toFixed(1) : '-'));
      const ratios = ours.map((e) => (speed(e) && speed('wllama') ? (speed(e) / speed('wllama')).toFixed(2) : '-'));
      console.log(`| ${[type, test + n, ...shown, ...ratios].join(' | ')} |`);
    }
  }
}

/** What a visitor downloads for the engine alone, gzipped, in MB. */
function printDownloads(wllama, wheel) {
  const mb = (n) => (n / 1e6).toFixed(2);
  const wasm = zlib.gzipSync(fs.readFileSync(path.join(wllama, 'esm/wasm/wllama.wasm'))).length;
  console.log(`\ndownload: wllama.wasm ${mb(wasm)} MB gzip; Puna's wheel ${wheel ? mb(fs.statSync(wheel).size) + ' MB' : '-'}`);
}

const wllama = packageFolder('@wllama/wllama');
const playwright = packageFolder('playwright-core');
const pyodide = packageFolder('pyodide');
const wheel = findWheel();
let engines = flags.engines.split(',');
if (!wheel) {
  console.error('no Pyodide wheel of Puna in dist/: wasm/build.sh makes it; timing wllama alone');
  engines = engines.filter((e) => e === 'wllama');
}
const types = flags.types.split(',');
const mounts = {
  '/bench/': here, '/wllama/': path.join(wllama, 'esm'), '/pyodide/': pyodide,
  '/models/': path.dirname(modelPath(types[0])), ...(wheel && { '/wheel/': path.dirname(wheel) }),
};
const server = await serve(mounts);
const { chromium } = createRequire(import.meta.url)(playwright);
const browser = await chromium.launch({ executablePath: env.CHROMIUM ?? '/usr/bin/chromium', args: CHROMIUM_FLAGS });
console.log(`Chromium ${browser.version()}, bench${flags.size}, one thread`);
const rows = [];
for (const type of types) {
  rows.push([type, await measureType(browser, `http://localhost:${server.address().port}/`, type, engines, wheel)]);
}
printTable(rows, engines);
printDownloads(wllama, wheel);
await browser.close();
server.close();
