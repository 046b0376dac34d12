/** Files of the repository, and a package in memory that tests may damage. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import type { Files, Layout, LayoutMeta, Point } from "../src/index.js";
import { placeKeys, TransducerError, type ErrorCode } from "../src/index.js";
import assert from "node:assert/strict";

// From build/test.
const ROOT = new URL("../../../../", import.meta.url);

export function repositoryFile(path: string): Buffer {
  const bytes = readFileSync(new URL(path, ROOT));
  return path.endsWith(".gz") ? gunzipSync(bytes) : bytes;
}

export function repositoryJson<T>(path: string): T {
  return JSON.parse(repositoryFile(path).toString("utf8")) as T;
}

export const QWERTY: LayoutMeta = repositoryJson("configs/layouts/qwerty.json");

export function qwerty(): Layout {
  return placeKeys(QWERTY);
}

export function points(list: readonly (readonly number[])[]): Point[] {
  return list.map(([x, y, t]) => ({ x: x!, y: y!, t: t! }));
}

/** A float32 array of a golden case. */
export interface Packed {
  shape: [number, number];
  float32: string;
}

export function unpack({ float32 }: Packed): Float32Array {
  return new Float32Array(new Uint8Array(Buffer.from(float32, "base64")).buffer);
}

/** How far numbers are from what they should be, at most. */
export function difference(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  assert.equal(found.length, expected.length);
  return Array.from(found).reduce((most, value, at) => Math.max(most, Math.abs(value - expected[at]!)), 0);
}

/** Numbers that are the same in every run. */
export function randomNumbers(seed: number): () => number {
  let state = seed * 2654435761 + 1;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 2246822519) + 3266489917) | 0;
    state ^= state >>> 13;
    return ((state >>> 0) / 2 ** 32) * 2 - 1;
  };
}

/** Expect a TransducerError of this code whose message is one sentence that contains these words. */
export function expectError(code: ErrorCode, ...words: string[]): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof TransducerError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, /^[^\n]+\.$/);
    for (const word of words) assert.ok(error.message.includes(word), `${error.message} lacks ${word}`);
    return true;
  };
}

/** A package of these files, with their sums unless it brings its own. */
export function memoryFiles(content: Record<string, Uint8Array | string>): Files {
  const bytes = new Map(Object.entries(content).map(([path, value]) => [path, new Uint8Array(Buffer.from(value as string))]));
  if (!bytes.has("SHA256SUMS")) {
    const lines = [...bytes].map(([path, value]) => `${createHash("sha256").update(value).digest("hex")}  ${path}\n`);
    bytes.set("SHA256SUMS", new Uint8Array(Buffer.from(lines.join(""))));
  }
  return {
    name: "memory",
    async read(path) {
      const found = bytes.get(path);
      if (!found) throw new TransducerError("missing-file", `${path} is not there.`);
      return found;
    },
  };
}

/** Metadata of a small swipe model over the letters of QWERTY. */
export function swipeMeta(): Record<string, unknown> {
  const tokens = [..."'abcdefghijklmnopqrstuvwxyz", "<blk>"];
  return {
    format: 1,
    task: "swipe",
    model_type: "rnnt",
    tokens,
    blank_id: 27,
    unknown_id: null,
    characters: Object.fromEntries(tokens.slice(0, -1).map((token, id) => [token, id])),
    dims: { F: 38, D: 4, L: 1, H: 4, V: 28, K: 0 },
    durations: [],
    max_symbols: 10,
    subsampling_factor: 2,
    featurizer: { version: 1, frame_seconds: 0.025, kinematics: 12, proximity_width: 0.8 },
    layout: QWERTY,
    decoding: { beam: 16, threshold: 10, prior_weight: 0.5, length_power: 0, max_symbols: 10 },
    lexicon: null,
    graphs: {},
  };
}
