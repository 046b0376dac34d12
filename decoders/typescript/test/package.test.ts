import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { filesAt, onnxRuntime, Package, SpeechDecoder, SwipeDecoder, Vocabulary } from "../src/index.js";
import { filesIn } from "../src/node.js";
import { sha256, sha256InScript } from "../src/sha256.js";
import * as ort from "onnxruntime-web/wasm";
import { expectError, memoryFiles, swipeMeta } from "./support.js";

const META = "meta/runtime_meta.json";

function withMeta(change: Record<string, unknown>, more: Record<string, string> = {}) {
  return memoryFiles({ [META]: JSON.stringify({ ...swipeMeta(), ...change }), ...more });
}

test("SHA-256 with and without crypto.subtle", async () => {
  for (const length of [0, 1, 55, 56, 63, 64, 65, 1000, 100_000]) {
    const bytes = Uint8Array.from({ length }, (_, at) => (at * 31 + length) & 255);
    const expected = createHash("sha256").update(bytes).digest("hex");
    assert.equal(await sha256(bytes), expected);
    assert.equal(Buffer.from(sha256InScript(bytes)).toString("hex"), expected);
  }
});

test("a sound package opens", async () => {
  const found = await Package.open(withMeta({}), "swipe");
  assert.equal(found.meta.blank_id, 27);
  assert.equal(found.characters.get("a"), 1);
  assert.equal(await found.lexicon(), undefined);
});

test("metadata that this library cannot use is a typed error", async () => {
  const open = (change: Record<string, unknown>) => Package.open(withMeta(change), "swipe");
  await assert.rejects(open({ format: 2 }), expectError("bad-package", "format 2"));
  await assert.rejects(open({ format: undefined }), expectError("bad-package", "format"));
  await assert.rejects(open({ task: "speech" }), expectError("bad-package", "speech", "swipe"));
  await assert.rejects(open({ blank_id: 0 }), expectError("bad-package", "blank"));
  await assert.rejects(open({ tokens: ["a"] }), expectError("bad-package", "tokens"));
  await assert.rejects(open({ dims: {} }), expectError("bad-package", "dimensions"));
  await assert.rejects(open({ featurizer: { version: 2, kinematics: 12 } }), expectError("bad-package", "version 2"));
  await assert.rejects(open({ layout: null }), expectError("bad-package", "layout"));
  for (const threshold of [-1, "ten"]) {
    await assert.rejects(open({ decoding: { beam: 16, threshold, prior_weight: 0.5, length_power: 0, max_symbols: 10 } }), expectError("bad-package", "settings of the search"));
  }
  await assert.rejects(Package.open(memoryFiles({ [META]: "{" }), "swipe"), expectError("bad-package", "JSON"));
  await assert.rejects(SpeechDecoder.open(withMeta({}), onnxRuntime(ort)), expectError("bad-package", "speech"));
});

test("a changed, a missing and an unlisted file are typed errors that name it", async () => {
  const graph = { file: "graphs/encoder.onnx", bytes: 5, sha256: createHash("sha256").update("graph").digest("hex") };
  const meta = { graphs: { encoder: { fp32: graph } } };
  const files = withMeta(meta, { "graphs/encoder.onnx": "graph" });
  const sums = Buffer.from(await files.read("SHA256SUMS")).toString();
  const metaText = Buffer.from(await files.read(META)).toString();
  const runtime = onnxRuntime(ort);
  const open = (content: Record<string, string>) => SwipeDecoder.open(memoryFiles({ SHA256SUMS: sums, ...content }), runtime);
  await assert.rejects(open({ [META]: metaText, "graphs/encoder.onnx": "graqh" }), expectError("hash-mismatch", "graphs/encoder.onnx"));
  await assert.rejects(open({ [META]: `${metaText} ` }), expectError("hash-mismatch", META));
  await assert.rejects(open({ [META]: metaText }), expectError("missing-file", "graphs/encoder.onnx"));
  await assert.rejects(SwipeDecoder.open(memoryFiles({ SHA256SUMS: "", [META]: metaText }), runtime), expectError("missing-file", META));
  const other = { graphs: { encoder: { fp32: { ...graph, sha256: "0".repeat(64) } } } };
  await assert.rejects(SwipeDecoder.open(withMeta(other, { "graphs/encoder.onnx": "graph" }), runtime), expectError("hash-mismatch", META));
  // What is packaged as it was, and yet no graph.
  await assert.rejects(SwipeDecoder.open(files, runtime), expectError("bad-graph", "graphs/encoder.onnx"));
  await assert.rejects(SwipeDecoder.open(files, runtime, { variant: "int9" }), expectError("bad-package", "int9", "fp32"));
  await assert.rejects(SwipeDecoder.open(withMeta({}), runtime), expectError("bad-package", "encoder"));
  const sidecars = { graphs: { encoder: { fp32: { ...graph, sidecars: [graph] } } } };
  await assert.rejects(SwipeDecoder.open(withMeta(sidecars, { "graphs/encoder.onnx": "graph" }), runtime), expectError("bad-graph", "second file"));
});

test("folders and addresses that lack files are typed errors", async () => {
  const folder = mkdtempSync(join(tmpdir(), "package-"));
  try {
    await assert.rejects(Package.open(filesIn(folder), "swipe"), expectError("missing-file", "SHA256SUMS", "ENOENT"));
  } finally {
    rmSync(folder, { recursive: true });
  }
  const gone = async () => new Response("", { status: 404 });
  await assert.rejects(Package.open(filesAt("http://localhost/package", gone), "swipe"), expectError("missing-file", "/package/SHA256SUMS", "404"));
  const offline = async () => Promise.reject(new TypeError("fetch failed"));
  await assert.rejects(Package.open(filesAt("http://localhost/package/", offline), "swipe"), expectError("missing-file", "fetch failed"));
});

test("tokens are spelt as text and words", () => {
  const heard = (labels: string[], ids: number[]) =>
    new Vocabulary(labels).transcript(ids.map((id, at) => ({ id, start: at, end: at + 0.5, confidence: 1 - at / 10 })));
  const bpe = heard(["\u2581set", "\u2581a", "larm", "<unk>"], [0, 1, 2, 3]);
  assert.equal(bpe.text, "set alarm \u2047");
  assert.deepEqual(bpe.words[1], { text: "alarm", start: 1, end: 2.5, confidence: 0.8 });
  assert.equal(heard(["set", "a", "##larm"], [0, 1, 2]).text, "set alarm");
});
