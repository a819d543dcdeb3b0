// The peer in the tab: wllama on one thread, no GPU. It runs its own worker.

import { LoggerWithoutDebug, Wllama } from '/wllama/index.js';

// One token each in the vocabulary of make_model.py.
const WORDS = ['ab', 'cd', 'ef', 'gh', 'ij', 'kl', 'mn', 'op', 'qr', 'st', 'uv', 'wx'];

const words = (n) => Array.from({ length: n }, (_, i) => WORDS[i % WORDS.length]).join(' ');

/** The timings of one greedy completion from an empty cache; the engine puts one token before the prompt. */
async function complete(engine, prompt, max_tokens) {
  const options = { prompt, max_tokens, temperature: 0, ignore_eos: true, cache_prompt: false };
  return (await engine.createCompletion(options)).timings;
}

/**
 * @param {{model: string, nPrompt: number, nGen: number, reps: number}} job model: a URL path
 * @returns {Promise<{pp: number, tg: number, load_s: number}>} tokens a second, best of `reps`
 */
export async function run({ model, nPrompt, nGen, reps }) {
  const engine = new Wllama({ default: '/wllama/wasm/wllama.wasm' }, { logger: LoggerWithoutDebug });
  const start = performance.now();
  await engine.loadModelFromUrl(new URL(model, location.href).href, {
    n_gpu_layers: 0,
    n_threads: 1,
    n_ctx: nPrompt + nGen + 64,
    n_batch: 512,
  });
  const best = { pp: 0, tg: 0, load_s: (performance.now() - start) / 1000 };
  for (let rep = 0; rep < reps; rep++) {
    const prompted = await complete(engine, words(nPrompt - 1), 1);
    if (prompted.prompt_n !== nPrompt) throw new Error(`the prompt became ${prompted.prompt_n} tokens, not ${nPrompt}`);
    best.pp = Math.max(best.pp, prompted.prompt_per_second);
    best.tg = Math.max(best.tg, (await complete(engine, words(1), nGen)).predicted_per_second);
  }
  await engine.exit();
  return best;
}
