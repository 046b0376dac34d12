/** The one seam to an inference engine: graphs are loaded from bytes and run on named tensors. */
import type { InferenceSession, Tensor as OrtTensor, TensorConstructor, InferenceSessionFactory } from "onnxruntime-common";
import { TransducerError } from "./errors.js";

export interface Tensor {
  readonly data: Float32Array | BigInt64Array;
  readonly dims: readonly number[];
}

export interface Graph {
  /** Names of the inputs, in their order. */
  readonly inputs: readonly string[];
  run(inputs: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>>;
  close(): Promise<void>;
}

export interface Runtime {
  /** Load a graph; `name` is for messages. Throws bad-graph. */
  load(bytes: Uint8Array, name: string): Promise<Graph>;
}

/** What is used of onnxruntime-web and onnxruntime-node alike. */
export interface Ort {
  readonly InferenceSession: InferenceSessionFactory;
  readonly Tensor: TensorConstructor;
}

/**
 * Run graphs in ONNX Runtime: `onnxRuntime(await import("onnxruntime-web/wasm"))`.
 *
 * `options` are ONNX Runtime's own, such as `{ executionProviders: ["webgpu", "wasm"] }`.
 */
export function onnxRuntime(ort: Ort, options: InferenceSession.SessionOptions = {}): Runtime {
  return {
    async load(bytes, name) {
      try {
        return new OrtGraph(ort, await ort.InferenceSession.create(bytes, options));
      } catch (error) {
        const reason = String(error instanceof Error ? error.message : error).split("\n")[0]!.replace(/\.$/, "");
        throw new TransducerError("bad-graph", `${name} cannot be loaded (${reason}); package the model again.`);
      }
    },
  };
}

class OrtGraph implements Graph {
  readonly inputs: readonly string[];

  constructor(
    private readonly ort: Ort,
    private readonly session: InferenceSession,
  ) {
    this.inputs = session.inputNames;
  }

  async run(inputs: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
    const feeds: Record<string, OrtTensor> = {};
    for (const name in inputs) {
      const { data, dims } = inputs[name]!;
      feeds[name] = data instanceof Float32Array ? new this.ort.Tensor("float32", data, dims) : new this.ort.Tensor("int64", data, dims);
    }
    return (await this.session.run(feeds)) as unknown as Record<string, Tensor>;
  }

  close(): Promise<void> {
    return this.session.release();
  }
}
