/** The chat page, as a visitor uses it: from a plain static server, on both devices. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { openChromium } from "./chromium.mjs";
import { serve } from "./serve.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const site = join(root, "build/web");
const shots = join(root, "build/test");
const story = resolve(root, process.env.PUNA_DATA ?? "../shared/data", "models/stories260K.gguf");
const LOAD_MS = 120_000;

let browser;
let server;

before(async () => {
  execFileSync("python3", [join(root, "tools/site.py"), join(root, "dist"), site]);
  mkdirSync(shots, { recursive: true });
  server = await serve({ "/": site });
  browser = await openChromium();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

/** Opens the page and waits until the model can be talked to. */
async function open() {
  const page = await browser.newPage();
  page.setDefaultTimeout(LOAD_MS);
  await page.goto(`${server.url}/`);
  await page.locator("#text:enabled").waitFor();
  return page;
}

/** Asks, waits for the end of the answer, returns it and the note under it. */
async function ask(page, text) {
  const n = await page.locator(".assistant small").count();
  await page.fill("#text", text);
  await page.press("#text", "Enter");
  const answer = page.locator(".assistant").nth(n);
  const note = await answer.locator("small").innerText();
  return { content: await answer.locator("span").innerText(), note };
}

test("the bundled model answers on the CPU and says how fast", async () => {
  const page = await open();
  const { content, note } = await ask(page, "Hello!");
  assert.match(content, /\w+.*[.!?]/);
  assert.match(note, /answer \d+ tokens at [\d.]+ t\/s/);
  await page.screenshot({ path: join(shots, "page-cpu.png") });
  await page.close();
});

test("the bundled model answers on WebGPU", async () => {
  const page = await open();
  await page.selectOption("#device", "webgpu");
  await page.click("#load");
  await page.locator("#status", { hasText: /gpu.*ready/ }).waitFor();
  const { content } = await ask(page, "Hello!");
  assert.match(content, /\w+.*[.!?]/);
  await page.screenshot({ path: join(shots, "page-webgpu.png") });
  await page.close();
});

test("a file of the visitor's own is loaded", { skip: existsSync(story) ? false : `no ${story}` }, async () => {
  const page = await open();
  await page.setInputFiles("#file", story);
  await page.click("#load");
  await page.locator("#status", { hasText: /ready/ }).waitFor();
  await page.locator("#chosen", { hasText: "stories260K" }).waitFor();
  await page.close();
});

test("a file that is no model is refused in words, and the page goes on", async () => {
  const page = await open();
  const file = { name: "cat.gguf", mimeType: "application/octet-stream", buffer: Buffer.from("meow, meow, meow") };
  await page.setInputFiles("#file", file);
  await page.click("#load");
  const message = await page.locator("#status.error").innerText();
  assert.match(message, /magic|GGUF/);
  assert.equal(await page.locator("#load").isEnabled(), true);
  await page.close();
});

test("an answer can be stopped", async () => {
  const page = await open();
  await page.fill("#text", "Tell me a long story about a fox.");
  await page.press("#text", "Enter");
  await page.click("#stop");
  await page.locator(".assistant small").waitFor();
  assert.equal(await page.locator("#send").isEnabled(), true);
  await page.close();
});
