/**
 * Runs pytest inside Pyodide, the same way in Node and in a browser's worker: whoever calls hands in
 * Pyodide's loader, the wheels and the files. No package comes from anywhere else.
 */

/** Where the files lie in Pyodide; laid out as in the checkout, so that a test finds its neighbours. */
export const ROOT = "/puna";

// The mode in which the event loop can wait: entered from runPythonAsync, asyncio.run works where
// the engine has JSPI, as it does natively.
const RUN = `
import os, sys, pytest
os.chdir("${ROOT}")
sys.dont_write_bytecode = True
pytest.main(list(pytest_args))
`;

/**
 * @param {object} job
 * @param {(options: object) => Promise<object>} job.loadPyodide from pyodide.mjs
 * @param {string | undefined} job.indexURL where Pyodide's files are, if not beside pyodide.mjs
 * @param {string[]} job.wheels paths (Node) or URLs (browser)
 * @param {{path: string, data: Uint8Array}[]} job.files paths under ROOT
 * @param {Record<string, string>} job.env
 * @param {string[]} job.args pytest's
 * @param {(text: string) => void} job.print takes pieces of text, line ends included
 * @returns {Promise<number>} pytest's exit code
 */
export async function runPytest({ loadPyodide, indexURL, wheels, files, env, args, print }) {
  const pyodide = await loadPyodide({ indexURL, env: { HOME: "/home/pyodide", ...env } });
  pyodide.setStdout({ write: writer(print) });
  pyodide.setStderr({ write: writer(print) });
  const errorCallback = (message) => print(`${message}\n`);
  await pyodide.loadPackage(wheels, { messageCallback: () => {}, errorCallback });
  for (const { path, data } of files) {
    const full = `${ROOT}/${path}`;
    pyodide.FS.mkdirTree(full.slice(0, full.lastIndexOf("/")));
    pyodide.FS.writeFile(full, data);
  }
  const code = await pyodide.runPythonAsync(RUN, { globals: pyodide.toPy({ pytest_args: args }) });
  return Number(code);
}

/** Pyodide's `write` for a stream: bytes, where a piece may end inside a character. */
function writer(print) {
  const decoder = new TextDecoder();
  return (bytes) => (print(decoder.decode(bytes, { stream: true })), bytes.length);
}
