/** Debian's Chromium without a window, with WebGPU on its software device (SwiftShader). */
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox", // the tests may run as root, in a container
  "--enable-unsafe-webgpu", // Linux, software device: off by default
  "--use-webgpu-adapter=swiftshader",
  // no word to the outside
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  "--disable-quic",
];

/**
 * Opens Chromium. `$CHROMIUM` names another binary than /usr/bin/chromium.
 * @param {string[]} flags further command-line flags
 * @returns {Promise<import("playwright-core").Browser>}
 */
export async function openChromium(flags = []) {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  if (!existsSync(executablePath)) throw new Error(`no Chromium at ${executablePath}: set CHROMIUM`);
  return chromium.launch({ executablePath, args: [...FLAGS, ...flags] });
}
