// The page's side of the worker: calls with answers, streams with chunks.

/** Runs Puna in a worker. Calls are answered in order; a failed call rejects with its message. */
export class Engine {
  /** @param {URL} url of worker.js */
  constructor(url) {
    this.worker = new Worker(url, { type: "module" });
    /** @type {Map<number, {resolve: Function, reject: Function, each: Function}>} */
    this.calls = new Map();
    this.next = 0;
    this.worker.onmessage = ({ data }) => this.#answer(data);
    this.worker.onerror = (event) => this.#fail(event.message || "the worker could not be started");
  }

  /**
   * Loads a model; answers its name and device.
   * @param {{model: File | string | null, n_gpu_layers: number, n_ctx: number}} options
   *   model: a file, a URL, or null for the bundled one
   * @param {(progress: {text?: string, done?: number, total?: number}) => void} progress
   */
  load(options, progress) {
    return this.#call("load", options, progress);
  }

  /**
   * A chat completion in OpenAI's shapes; `each` gets its chunks. Answers `{timings}`.
   * @param {object} body @param {(chunk: object) => void} each
   */
  chat(body, each) {
    return this.#call("chat", body, each);
  }

  /** Ends the answer that is being written. */
  stop() {
    this.worker.postMessage({ op: "stop" });
  }

  #call(op, body, each) {
    const id = this.next++;
    return new Promise((resolve, reject) => {
      this.calls.set(id, { resolve, reject, each });
      this.worker.postMessage({ id, op, body });
    });
  }

  #answer({ id, each, ok, error }) {
    const call = this.calls.get(id);
    if (!call) return;
    if (each !== undefined) return call.each(each);
    this.calls.delete(id);
    if (error !== undefined) call.reject(new Error(error));
    else call.resolve(ok);
  }

  #fail(message) {
    for (const call of this.calls.values()) call.reject(new Error(message));
    this.calls.clear();
  }
}
