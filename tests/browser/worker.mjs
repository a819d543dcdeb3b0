/** The worker of run.mjs in a browser: gets a job by message, fetches its files, runs pytest. */
import { runPytest } from "./pytest.mjs";

async function run({ paths, wheels, env, args }) {
  const { loadPyodide } = await import("/pyodide/pyodide.mjs");
  const files = await Promise.all(
    paths.map(async ({ path, url }) => {
      const response = await fetch(url);
      if (!response.ok) throw new Error(`${url}: HTTP ${response.status}`);
      return { path, data: new Uint8Array(await response.arrayBuffer()) };
    }),
  );
  const print = (text) => self.postMessage({ text });
  return runPytest({ loadPyodide, indexURL: "/pyodide/", wheels, files, env, args, print });
}

self.onmessage = ({ data }) =>
  run(data).then(
    (code) => self.postMessage({ code }),
    (error) => self.postMessage({ text: `${error?.stack ?? error}\n`, code: 3 }),
  );
