/**
 * A static file server: the tests' and `make demo-web`'s. A mount is a URL prefix and a folder.
 *
 *   node serve.mjs [--port 8000] [--isolate] PREFIX=FOLDER...
 *
 * `--isolate` sends the two headers that allow shared memory (COOP and COEP).
 */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const TYPES = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".mjs": "text/javascript; charset=utf-8",
  ".py": "text/plain; charset=utf-8",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm", // without it a browser cannot compile while it downloads
  ".wgsl": "text/plain; charset=utf-8",
};

const ISOLATED = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};

/**
 * Starts a server on 127.0.0.1.
 * @param {Record<string, string>} mounts URL prefix, ending in "/", to folder; the longest that fits wins
 * @param {{port?: number, isolate?: boolean, routes?: Record<string, (request, response) => void>}} options
 *   `port` 0 takes a free one; `routes` answer a whole path themselves
 * @returns {Promise<{url: string, close: () => Promise<void>}>} `url` has no slash at its end
 */
export async function serve(mounts, { port = 0, isolate = false, routes = {} } = {}) {
  const extra = isolate ? ISOLATED : {};
  const server = createServer((request, response) => {
    const path = pathOf(request.url);
    for (const [name, value] of Object.entries(extra)) response.setHeader(name, value);
    if (path !== null && routes[path]) routes[path](request, response);
    else answer(request, response, path === null ? null : locate(mounts, path));
  });
  await new Promise((done, fail) => server.once("error", fail).listen(port, "127.0.0.1", done));
  const close = () => new Promise((done) => (server.close(done), server.closeAllConnections()));
  return { url: `http://127.0.0.1:${server.address().port}`, close };
}

/** The decoded path of a request, or null if it is not one. */
function pathOf(url) {
  try {
    return decodeURIComponent(new URL(url, "http://localhost").pathname);
  } catch {
    return null;
  }
}

/** The file that a URL path means, or null: outside of every mount, or climbing out of one. */
function locate(mounts, path) {
  const prefixes = Object.keys(mounts).filter((prefix) => path.startsWith(prefix));
  if (prefixes.length === 0) return null;
  const prefix = prefixes.reduce((a, b) => (a.length >= b.length ? a : b));
  const rest = normalize("/" + path.slice(prefix.length)); // normalize("/../x") stays below "/"
  return join(resolve(mounts[prefix]), rest.endsWith("/") ? rest + "index.html" : rest);
}

async function answer(request, response, file) {
  const info = file && (await stat(file).catch(() => null));
  if (!info?.isFile()) return response.writeHead(404).end("not found\n");
  if (!["GET", "HEAD"].includes(request.method)) return response.writeHead(405).end();
  const range = rangeOf(request.headers.range, info.size);
  if (range === null) return response.writeHead(416, { "Content-Range": `bytes */${info.size}` }).end();
  const { start, end, partial } = range;
  const headers = {
    "Accept-Ranges": "bytes",
    "Cache-Control": "no-cache",
    "Content-Length": end - start + 1,
    "Content-Type": TYPES[extname(file)] ?? "application/octet-stream",
  };
  if (partial) headers["Content-Range"] = `bytes ${start}-${end}/${info.size}`;
  response.writeHead(partial ? 206 : 200, headers);
  if (request.method === "HEAD" || info.size === 0) return response.end();
  createReadStream(file, { start, end }).on("error", () => response.destroy()).pipe(response);
}

/** One byte range of a `Range` header, the whole file without one, null if it lies outside. */
function rangeOf(header, size) {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? "");
  if (!match || (match[1] === "" && match[2] === "")) return { start: 0, end: size - 1, partial: false };
  const [, from, to] = match;
  const start = from === "" ? Math.max(0, size - Number(to)) : Number(from);
  const end = from === "" || to === "" ? size - 1 : Math.min(Number(to), size - 1);
  return start <= end ? { start, end, partial: true } : null;
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { port: { type: "string", default: "8000" }, isolate: { type: "boolean", default: false } },
  });
  const mounts = Object.fromEntries(positionals.map((word) => word.split(/=(.*)/s).slice(0, 2)));
  const { url } = await serve(mounts, { port: Number(values.port), isolate: values.isolate });
  console.log(`serving on ${url}/ (Ctrl-C ends it)`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main();
