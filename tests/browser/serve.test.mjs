/** The static server: types, ranges, borders. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { serve } from "./serve.mjs";

let folder, server;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "puna-serve-"));
  writeFileSync(join(folder, "digits.wasm"), "0123456789");
  writeFileSync(join(folder, "empty.bin"), "");
  writeFileSync(join(folder, "index.html"), "<!doctype html>");
  server = await serve({ "/files/": folder }, { isolate: true });
});

after(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

const get = (path, headers = {}) => fetch(server.url + path, { headers });

test("wasm has the type that lets a browser compile while it downloads", async () => {
  assert.equal((await get("/files/digits.wasm")).headers.get("content-type"), "application/wasm");
});

test("a folder is its index.html", async () => {
  assert.equal(await (await get("/files/")).text(), "<!doctype html>");
});

for (const [range, text] of [["bytes=2-4", "234"], ["bytes=7-", "789"], ["bytes=-3", "789"], ["bytes=8-99", "89"]]) {
  test(`the range ${range} is ${text}`, async () => {
    const response = await get("/files/digits.wasm", { range });
    assert.equal(response.status, 206);
    assert.equal(await response.text(), text);
  });
}

test("a range outside of the file is refused with its size", async () => {
  const response = await get("/files/digits.wasm", { range: "bytes=10-" });
  assert.equal(response.status, 416);
  assert.equal(response.headers.get("content-range"), "bytes */10");
});

test("an empty file is an empty answer", async () => {
  const response = await get("/files/empty.bin");
  assert.deepEqual([response.status, await response.text()], [200, ""]);
});

for (const path of ["/files/../serve.mjs", "/files/%2e%2e/%2e%2e/etc/passwd", "/other/digits.wasm", "/files/%"]) {
  test(`${path} is not found`, async () => {
    assert.equal(await rawStatus(path), 404);
  });
}

test("an isolated server says so", async () => {
  const { headers } = await get("/files/digits.wasm");
  assert.equal(headers.get("cross-origin-opener-policy"), "same-origin");
  assert.equal(headers.get("cross-origin-embedder-policy"), "require-corp");
});

/** The status of a path sent as it is: fetch would tidy it first. */
function rawStatus(path) {
  return new Promise((done, fail) => {
    const { hostname, port } = new URL(server.url);
    request({ hostname, port, path }, (response) => (response.resume(), done(response.statusCode)))
      .on("error", fail)
      .end();
  });
}
