/**
 * Transcribe recordings with parakeet.js and a folder as it lies:
 *
 *     node transcribe.mjs FOLDER INPUT OUTPUT
 *
 * INPUT is JSON: `paths` of float32 samples, `nMels`, `quantization` ("" or ".int8") and, for models of other sizes than
 * those that parakeet.js has in its code, `states`, the layers and width of the predictor. OUTPUT becomes a list of texts.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const [folder, input, output] = process.argv.slice(2);
const { paths, nMels, quantization, states } = JSON.parse(readFileSync(input, "utf8"));
console.log = () => {};
const { ParakeetModel } = await import("parakeet.js");
// Without this it asks a content delivery network for ONNX Runtime's WebAssembly.
const { env } = await import("onnxruntime-web");
env.wasm.wasmPaths = `${pathToFileURL(dirname(fileURLToPath(import.meta.resolve("onnxruntime-web"))))}/`;
const model = await ParakeetModel.fromUrls({
  // In Node, ONNX Runtime opens files, and fetch does not.
  encoderUrl: join(folder, `encoder-model${quantization}.onnx`),
  decoderUrl: join(folder, `decoder_joint-model${quantization}.onnx`),
  tokenizerUrl: `data:text/plain;base64,${readFileSync(join(folder, "vocab.txt"), "base64")}`,
  backend: "wasm",
  cpuThreads: 1,
  nMels,
});
if (states) {
  const [layers, width] = states;
  for (const name of ["_combState1", "_combState2"]) model[name] = new model.ort.Tensor("float32", new Float32Array(layers * width), [layers, 1, width]);
}
const texts = [];
for (const path of paths) {
  const wave = new Float32Array(new Uint8Array(readFileSync(path)).buffer);
  texts.push((await model.transcribe(wave, 16000)).utterance_text);
}
writeFileSync(output, JSON.stringify(texts));
process.exit(0);
