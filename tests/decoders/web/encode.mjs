// Run an encoder in onnxruntime-web (WASM) on the features of a folder: node encode.mjs MODEL FOLDER.
//
// FOLDER/inputs.json lists {name, shape} of float32 files NAME.f32, each one utterance's features [1, F, T];
// NAME.out.f32 becomes the encoder's output, and FOLDER/outputs.json lists {name, shape}.
import fs from "node:fs";
import path from "node:path";
import * as ort from "onnxruntime-web/wasm";

const [model, folder] = process.argv.slice(2);
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(new Uint8Array(fs.readFileSync(model)), {
  executionProviders: ["wasm"],
});
const outputs = [];
for (const { name, shape } of JSON.parse(fs.readFileSync(path.join(folder, "inputs.json")))) {
  const bytes = fs.readFileSync(path.join(folder, `${name}.f32`));
  const features = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  const found = await session.run({
    audio_signal: new ort.Tensor("float32", features, shape),
    length: new ort.Tensor("int64", BigInt64Array.from([BigInt(shape[2])]), [1]),
  });
  const encoded = found.encoder_output;
  fs.writeFileSync(path.join(folder, `${name}.out.f32`), Buffer.from(encoded.data.buffer, encoded.data.byteOffset, encoded.data.byteLength));
  outputs.push({ name, shape: encoded.dims, length: Number(found.encoded_lengths.data[0]) });
}
fs.writeFileSync(path.join(folder, "outputs.json"), JSON.stringify(outputs));
