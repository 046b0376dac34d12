/** The worker that holds a decoder, so that the page never waits: one for each tab. */
import { filesAt, onnxRuntime, readWords, SpeechDecoder, SwipeDecoder, TransducerError, type Point, type Runtime, type Steering } from "../src/index.js";
import type { Answer, OpenOptions, OpenResult, Request } from "./engine.js";

const ORT = new URL("../../ort/", import.meta.url).href;

let swipe: SwipeDecoder | undefined;
let speech: SpeechDecoder | undefined;

const methods = {
  async open(options: OpenOptions): Promise<OpenResult> {
    await Promise.all([swipe?.close(), speech?.close()]);
    swipe = speech = undefined;
    const begin = performance.now();
    let bytes = 0;
    const source = filesAt(options.url);
    const files = {
      name: source.name,
      async read(path: string) {
        const found = await source.read(path);
        bytes += found.length;
        return found;
      },
    };
    const { large, small } = await runtimes(options.device, options.threads);
    const choice = { variant: options.variant, stepRuntime: small };
    if (options.task === "swipe") {
      swipe = await SwipeDecoder.open(files, large, options.words ? { ...choice, words: readWords(options.words) } : choice);
    } else {
      speech = await SpeechDecoder.open(files, large, choice);
    }
    const { meta } = (swipe ?? speech)!;
    return {
      bytes,
      milliseconds: performance.now() - begin,
      words: swipe?.lexicon.size ?? 0,
      layout: meta.layout,
      layouts: swipe?.layouts ?? [],
      sampleRate: meta.sample_rate,
      hasLexicon: Boolean(meta.lexicon),
    };
  },
  decode: (points: Point[], count: number) => opened(swipe).decode(points, count),
  useLayout: (name: string) => opened(swipe).useLayout(name),
  async add(word: string): Promise<number> {
    opened(swipe).lexicon.add(word);
    return opened(swipe).lexicon.size;
  },
  async remove(word: string): Promise<number> {
    opened(swipe).lexicon.remove(word);
    return opened(swipe).lexicon.size;
  },
  has: async (word: string) => opened(swipe).lexicon.has(word),
  transcribe: (wave: Float32Array, steering: Steering) => opened(speech).transcribe(wave, steering),
};

export type Methods = typeof methods;

function opened<T>(decoder: T | undefined): T {
  if (!decoder) throw new Error("No package is open.");
  return decoder;
}

/** The encoder goes where the page says; the step, which is called hundreds of times, would only lose on a GPU. */
async function runtimes(device: OpenOptions["device"], threads: number): Promise<{ large: Runtime; small: Runtime }> {
  // Resolved by the browser below ort/, not when this is compiled.
  const build: string = ORT + (device === "webgpu" ? "ort.webgpu.min.mjs" : "ort.wasm.min.mjs");
  const ort = (await import(build)) as typeof import("onnxruntime-web/wasm");
  ort.env.wasm.wasmPaths = ORT;
  ort.env.wasm.numThreads = threads;
  // Errors alone: some nodes always run on the CPU.
  const small = onnxRuntime(ort, { executionProviders: ["wasm"], logSeverityLevel: 3 });
  return { small, large: device === "webgpu" ? onnxRuntime(ort, { executionProviders: ["webgpu", "wasm"], logSeverityLevel: 3 }) : small };
}

addEventListener("message", async ({ data }: MessageEvent<Request>) => {
  const answer: Answer = { id: data.id };
  try {
    answer.result = await (methods[data.method] as (...given: unknown[]) => Promise<unknown>)(...data.given);
  } catch (error) {
    answer.error = error instanceof Error ? error.message : String(error);
    answer.expected = error instanceof TransducerError;
  }
  postMessage(answer);
});
