/** A decoder in a worker, as the page sees it. */
import type { LayoutMeta } from "../src/index.js";
import type { Methods } from "./worker.js";

export type Device = "wasm" | "webgpu";

export interface OpenOptions {
  readonly task: "swipe" | "speech";
  readonly url: string;
  readonly variant: string;
  readonly device: Device;
  readonly threads: number;
  /** A word list, one a line, for packages without a lexicon. */
  readonly words?: string | undefined;
}

export interface OpenResult {
  readonly bytes: number;
  readonly milliseconds: number;
  readonly words: number;
  readonly layout: LayoutMeta | undefined;
  /** Names of the keyboards that the package brings. */
  readonly layouts: readonly string[];
  readonly sampleRate: number | undefined;
  readonly hasLexicon: boolean;
}

export interface Request {
  readonly id: number;
  readonly method: keyof Methods;
  readonly given: unknown[];
}

export interface Answer {
  readonly id: number;
  result?: unknown;
  error?: string;
  expected?: boolean;
}

export class Engine {
  private readonly worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  private readonly waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  private last = 0;

  constructor() {
    this.worker.addEventListener("message", ({ data }: MessageEvent<Answer>) => {
      const waiting = this.waiting.get(data.id)!;
      this.waiting.delete(data.id);
      if (data.error === undefined) waiting.resolve(data.result as never);
      else waiting.reject(new Error(data.error));
    });
    this.worker.addEventListener("error", (event) => {
      const error = new Error(event.message || "The decoder's script cannot be loaded.");
      for (const { reject } of this.waiting.values()) reject(error);
      this.waiting.clear();
    });
  }

  call<M extends keyof Methods>(method: M, ...given: Parameters<Methods[M]>): ReturnType<Methods[M]> {
    const id = ++this.last;
    this.worker.postMessage({ id, method, given } satisfies Request);
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject })) as unknown as ReturnType<Methods[M]>;
  }
}
