/** Both runtimes, one thread each: the graphs are small, and tests share the machine. */
import { onnxRuntime, type Runtime } from "../../src/index.js";

export const RUNTIMES: { name: string; open: () => Promise<Runtime> }[] = [
  {
    name: "onnxruntime-web",
    open: async () => {
      const ort = await import("onnxruntime-web/wasm");
      ort.env.wasm.numThreads = 1;
      return onnxRuntime(ort, { executionProviders: ["wasm"] });
    },
  },
  {
    name: "onnxruntime-node",
    open: async () => onnxRuntime(await import("onnxruntime-node"), { intraOpNumThreads: 1 }),
  },
];

export function environment(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`Set ${name} to the folder of a built package.`);
  return value;
}
