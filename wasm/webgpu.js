// WebGPU for the engine in a tab: creates what a dispatch list names and replays it.
//
// The Rust side (core-rs/gpu) cannot call WebGPU from inside Pyodide, so it hands over plain data:
// a Program as JSON, bytes to write, a list's number with its grids, ranges to read. This file is
// the twin of core-rs/gpu/src/native/host.rs. WebGPU reports errors late, by promise: the first one
// is kept, and every later call throws it.

/**
 * @typedef {{buffer: number, offset: number, size: number}} Region
 * @typedef {{name: string, code: string, constants: [string, number][], bindings: ("uniform"|"read"|"write")[]}} Pipeline
 * @typedef {{
 *   buffers: {name: string, size: number}[],
 *   pipelines: Pipeline[],
 *   groups: {pipeline: number, entries: Region[]}[],
 *   lists: {name: string, steps: {group: number}[]}[],
 * }} Program
 */

/** Limits that are asked for as large as the adapter has them; the kernels live with the defaults of all others. */
const LIMITS = ["maxStorageBufferBindingSize", "maxBufferSize"];

const BINDING_TYPES = { uniform: "uniform", read: "read-only-storage", write: "storage" };

/** Writes wait in the browser's memory until a submit; submit after so many bytes. */
const MOST_PENDING = 64 << 20;

/** Firefox looks at finished work on a timer of 100 ms unless something is submitted. */
const NUDGE_MS = 2;

/**
 * The adapter, or why there is none.
 * @returns {Promise<GPUAdapter>}
 */
async function requestAdapter() {
  if (!globalThis.navigator?.gpu) {
    throw new Error("WebGPU: this browser has no navigator.gpu here (an old browser, or a page without https)");
  }
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) {
    throw new Error("WebGPU: the browser found no adapter (blocked driver, or hardware acceleration is off)");
  }
  return adapter;
}

/** @param {GPUAdapterInfo} info */
function describe(info) {
  const words = [info.description, info.vendor, info.architecture, info.device];
  return words.filter((word, i) => word && words.indexOf(word) === i).join(" ") || "unknown adapter";
}

/**
 * What the browser offers, without opening it. Rejects with the reason where there is nothing.
 * @returns {Promise<{name: string, fallback: boolean, features: string[], limits: Record<string, number>}>}
 */
export async function probe() {
  const adapter = await requestAdapter();
  return {
    name: describe(adapter.info),
    fallback: Boolean(adapter.info.isFallbackAdapter),
    features: [...adapter.features].sort(),
    limits: Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]])),
  };
}

/**
 * Opens the adapter with its largest buffers.
 * @returns {Promise<GPUDevice>}
 */
export async function openDevice() {
  const adapter = await requestAdapter();
  const requiredLimits = Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]]));
  return adapter.requestDevice({ requiredLimits });
}

/** Staging buffers for reads: mapped one at a time, kept for the next read that fits. */
class Staging {
  /** @param {GPUDevice} device */
  constructor(device) {
    this.device = device;
    /** @type {GPUBuffer[]} */
    this.free = [];
  }

  /** @param {number} size @returns {GPUBuffer} */
  take(size) {
    const found = this.free.findIndex((buffer) => buffer.size >= size);
    if (found >= 0) return this.free.splice(found, 1)[0];
    const rounded = 2 ** Math.ceil(Math.log2(Math.max(size, 256)));
    return this.device.createBuffer({
      label: "read back",
      size: rounded,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
  }
}

/**
 * One program on one device. Several hosts may share a device. Methods are called by the Rust side
 * (through Python); `ready` is awaited by whoever may wait.
 */
class Host {
  /** @param {GPUDevice} device */
  constructor(device) {
    this.device = device;
    this.name = describe(device.adapterInfo ?? {});
    this.limits = { max_binding: device.limits.maxStorageBufferBindingSize, max_buffer: device.limits.maxBufferSize };
    this.staging = new Staging(device);
    /** @type {Error | null} The first thing that went wrong. */
    this.failure = null;
    /** @type {Set<Promise<void>>} What `ready` awaits. */
    this.waiting = new Set();
    /** @type {Map<string, Uint8Array | null>} Reads by their range; null while under way. */
    this.reads = new Map();
    this.generation = 0;
    this.pendingBytes = 0;
    this.closed = false;
    device.addEventListener("uncapturederror", (event) => this.fail(event.error.message));
    device.lost.then((info) => this.fail(`the device was lost (${info.reason}): ${info.message}`));
  }

  /** @param {string} message */
  fail(message) {
    this.failure ??= new Error(`WebGPU: ${message}`);
  }

  check() {
    if (this.failure) throw this.failure;
    if (this.closed) throw new Error("WebGPU: this host was closed");
  }

  /** @param {Promise<void>} promise */
  await(promise) {
    const settled = promise.catch((error) => this.fail(error.message)).finally(() => this.waiting.delete(settled));
    this.waiting.add(settled);
  }

  /**
   * Runs `make`; what goes wrong in it is reported with a name.
   * @template T
   * @param {string} what @param {() => T} make @returns {T}
   */
  scoped(what, make) {
    const { device } = this;
    const filters = ["out-of-memory", "internal", "validation"];
    filters.forEach((filter) => device.pushErrorScope(filter));
    const made = make();
    for (const filter of filters.reverse()) {
      const reason = filter === "out-of-memory" ? "out of memory for " : "";
      this.await(
        device.popErrorScope().then((error) => {
          if (error) this.fail(`${reason}${what}: ${error.message}`);
        }),
      );
    }
    return made;
  }

  /**
   * Creates buffers, pipelines and bind groups. Errors come with the next `ready`.
   * @param {string} json a Program
   */
  create(json) {
    this.check();
    /** @type {Program} */
    const program = JSON.parse(json);
    this.createBuffers(program);
    const layouts = program.pipelines.map((pipeline) => this.createLayout(pipeline));
    this.pipelines = program.pipelines.map((pipeline, i) => this.createPipeline(pipeline, layouts[i]));
    this.groups = this.scoped("bind groups", () =>
      program.groups.map((group) => ({
        pipeline: this.pipelines[group.pipeline],
        bindings: this.device.createBindGroup({
          layout: layouts[group.pipeline],
          entries: group.entries.map(({ buffer, offset, size }, binding) => ({
            binding,
            resource: { buffer: this.buffers[buffer], offset, size },
          })),
        }),
      })),
    );
    this.lists = program.lists.map((list) => list.steps.map((step) => this.groups[step.group]));
  }

  /** @param {Program} program */
  createBuffers(program) {
    const uniform = new Set();
    for (const { pipeline, entries } of program.groups) {
      const { bindings } = program.pipelines[pipeline];
      entries.forEach((entry, i) => bindings[i] === "uniform" && uniform.add(entry.buffer));
    }
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    this.buffers = program.buffers.map(({ name, size }, i) =>
      this.scoped(`${name} of ${size} bytes`, () =>
        this.device.createBuffer({
          label: name,
          size,
          usage: uniform.has(i) ? usage | GPUBufferUsage.UNIFORM : usage,
        }),
      ),
    );
  }

  /** @param {Pipeline} pipeline */
  createLayout({ name, bindings }) {
    const entries = bindings.map((access, binding) => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: BINDING_TYPES[access] },
    }));
    return this.scoped(`layout of ${name}`, () => this.device.createBindGroupLayout({ entries }));
  }

  /**
   * Compiles in the background, on all the browser's threads, while weights stream in.
   * @param {Pipeline} pipeline @param {GPUBindGroupLayout} layout
   */
  createPipeline({ name, code, constants }, layout) {
    const { device } = this;
    const descriptor = this.scoped(`shader ${name}`, () => ({
      label: name,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: {
        module: device.createShaderModule({ label: name, code }),
        entryPoint: "main",
        constants: Object.fromEntries(constants),
      },
    }));
    const pipeline = { name, descriptor, made: null };
    const compiled = device.createComputePipelineAsync(descriptor).then(
      (made) => (pipeline.made ??= made),
      (error) => this.fail(`shader ${name}: ${error.message}`),
    );
    this.await(compiled);
    return pipeline;
  }

  /** The pipeline; compiled on the spot for those who did not await `ready`. */
  compiled(pipeline) {
    pipeline.made ??= this.scoped(`shader ${pipeline.name}`, () =>
      this.device.createComputePipeline(pipeline.descriptor),
    );
    return pipeline.made;
  }

  /**
   * Writes bytes before the next submit; they are copied at once.
   * @param {number} buffer @param {number} offset @param {Uint8Array} bytes
   */
  write(buffer, offset, bytes) {
    this.check();
    this.device.queue.writeBuffer(this.buffers[buffer], offset, bytes);
    this.pendingBytes += bytes.byteLength;
    if (this.pendingBytes > MOST_PENDING) this.flush();
  }

  /** Sends pending writes off, so that `ready` can wait for them. */
  flush() {
    this.device.queue.submit([]);
    this.pendingBytes = 0;
    this.await(this.device.queue.onSubmittedWorkDone());
  }

  /**
   * Replays a list in one compute pass. Reads of what was there before are forgotten.
   * @param {number} list @param {Uint32Array} grids three numbers a step; steps of no workgroups are skipped
   */
  submit(list, grids) {
    this.check();
    this.reads.clear();
    this.generation += 1;
    const encoder = this.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    let current = null;
    this.lists[list].forEach(({ pipeline, bindings }, i) => {
      if (grids[3 * i] === 0) return;
      if (pipeline !== current) pass.setPipeline(this.compiled(pipeline));
      current = pipeline;
      pass.setBindGroup(0, bindings);
      pass.dispatchWorkgroups(grids[3 * i], grids[3 * i + 1], grids[3 * i + 2]);
    });
    pass.end();
    this.device.queue.submit([encoder.finish()]);
    this.pendingBytes = 0;
  }

  /**
   * Bytes of a buffer, or null: then await `ready` and ask for the same range again.
   * @param {number} buffer @param {number} offset @param {number} size @returns {Uint8Array | null}
   */
  read(buffer, offset, size) {
    this.check();
    const key = `${buffer} ${offset} ${size}`;
    const known = this.reads.get(key);
    if (known) this.reads.delete(key);
    if (known !== undefined) return known;
    this.reads.set(key, null);
    const staging = this.staging.take(size);
    const encoder = this.device.createCommandEncoder();
    encoder.copyBufferToBuffer(this.buffers[buffer], offset, staging, 0, size);
    this.device.queue.submit([encoder.finish()]);
    const { generation } = this;
    const arrive = () => {
      const bytes = new Uint8Array(staging.getMappedRange(0, size)).slice();
      staging.unmap();
      this.staging.free.push(staging);
      if (generation === this.generation) this.reads.set(key, bytes);
    };
    this.await(staging.mapAsync(GPUMapMode.READ, 0, size).then(arrive));
    return null;
  }

  /** Resolves when nothing is under way; rejects with the first error there ever was. */
  async ready() {
    const nudge = globalThis.navigator?.userAgent?.includes("Firefox")
      ? setInterval(() => this.device.queue.submit([]), NUDGE_MS)
      : null;
    try {
      while (this.waiting.size > 0) await Promise.all(this.waiting);
    } finally {
      if (nudge !== null) clearInterval(nudge);
    }
    this.check();
  }

  /** Frees the buffers; the device stays. */
  close() {
    this.closed = true;
    [...(this.buffers ?? []), ...this.staging.free].forEach((buffer) => buffer.destroy());
  }
}

/**
 * A host for one executor on an opened device.
 * @param {GPUDevice} device @returns {Host}
 */
export function createHost(device) {
  return new Host(device);
}
