/** Beam and greedy search against exhaustive sums and written-out paths, with small models in TypeScript. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BeamSearch, greedySearch, Lexicon, logPrior, type Step } from "../src/index.js";
import { randomNumbers } from "./support.js";

const LABELS = new Map([["a", 0], ["b", 1], ["c", 2]]);
const WORDS = ["a", "ab", "abc", "b", "ba", "cab", "cc", "bac"];
const [BLANK, D, L, H, T] = [3, 4, 2, 5, 5];
const V = BLANK + 1;
const SHAPE = { blank: BLANK, D, L, H };
const WIDE = { beam: 1000, maxSymbols: 10, priorWeight: 0, lengthPower: 0 };

/** A step whose logits depend on the frame and, through the states of both layers, on all labels before. */
function randomModel(seed: number) {
  const next = randomNumbers(seed);
  const numbers = (count: number, scale = 1) => Float64Array.from({ length: count }, () => 2 * scale * next());
  const [recurrent, embedding, out] = [numbers(H * H), numbers(V * H), numbers((H + D) * V, 1.5)];
  const frames = Float32Array.from(numbers(T * D));
  const batches: number[] = [];
  const step: Step = async (count, given, labels, h, c) => {
    batches.push(count);
    const found = { logits: new Float32Array(count * V), h: new Float32Array(L * count * H), c: new Float32Array(L * count * H) };
    for (let row = 0; row < count; row++) {
      const [low, high] = [row * H, (count + row) * H];
      for (let i = 0; i < H; i++) {
        let sum = embedding[Number(labels[row]!) * H + i]!;
        for (let j = 0; j < H; j++) sum += h[low + j]! * recurrent[j * H + i]!;
        found.h[low + i] = Math.tanh(sum);
        found.h[high + i] = Math.tanh(found.h[low + i]! + h[high + i]!);
        found.c[low + i] = found.h[low + i]! + c[low + i]!;
        found.c[high + i] = c[high + i]! - found.h[low + i]!;
      }
      for (let label = 0; label < V; label++) {
        let sum = 0;
        for (let i = 0; i < H; i++) sum += (found.h[high + i]! + 0.1 * found.c[low + i]!) * out[i * V + label]!;
        for (let i = 0; i < D; i++) sum += given[row * D + i]! * out[(H + i) * V + label]!;
        found.logits[row * V + label] = sum;
      }
    }
    return found;
  };
  return { step, frames, batches };
}

const add = (a: number, b: number) => (a === -Infinity ? b : Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b))));

/** The log probability of a word over all its alignments. */
async function logProb({ step, frames }: ReturnType<typeof randomModel>, word: string): Promise<number> {
  const labels = [...word].map((letter) => LABELS.get(letter)!);
  let h = new Float32Array(L * H);
  let c = new Float32Array(L * H);
  // before[t]: all ways to stand at frame t with the labels so far.
  let before = Float64Array.from({ length: T }, (_, t) => (t ? -Infinity : 0));
  let end = -Infinity;
  for (let u = 0; u <= labels.length; u++) {
    const next = new Float64Array(T).fill(-Infinity);
    let last;
    for (let t = 0; t < T; t++) {
      last = await step(1, frames.subarray(t * D, (t + 1) * D), BigInt64Array.of(BigInt(u ? labels[u - 1]! : BLANK)), h, c);
      const total = [...last.logits].reduce((sum, value) => add(sum, value), -Infinity);
      if (u < labels.length) next[t] = before[t]! + last.logits[labels[u]!]! - total;
      const left = before[t]! + last.logits[BLANK]! - total;
      if (t + 1 < T) before[t + 1] = add(before[t + 1]!, left);
      else if (u === labels.length) end = left;
    }
    h = last!.h as Float32Array<ArrayBuffer>;
    c = last!.c as Float32Array<ArrayBuffer>;
    before = next;
  }
  return end;
}

for (let seed = 1; seed <= 6; seed++) {
  test(`a wide beam finds every word with its exact probability, model ${seed}`, async () => {
    const model = randomModel(seed);
    const expected = new Map<string, number>();
    for (const word of WORDS) expected.set(word, await logProb(model, word));
    const search = new BeamSearch(Lexicon.fromWords(WORDS, LABELS), SHAPE, WIDE);
    const found = await search.decode(model.frames, model.step, WORDS.length);
    assert.deepEqual(found.map(({ word }) => word), [...WORDS].sort((a, b) => expected.get(b)! - expected.get(a)!));
    for (const { word, logProb, score } of found) {
      assert.ok(Math.abs(logProb - expected.get(word)!) < 1e-4, `${word}: ${logProb} for ${expected.get(word)}`);
      assert.equal(score, logProb);
    }
  });

  test(`prior and length change scores as they say, model ${seed}`, async () => {
    const model = randomModel(seed);
    const options = { ...WIDE, priorWeight: 0.7, lengthPower: 0.5 };
    for (const { word, score } of await new BeamSearch(Lexicon.fromWords(WORDS, LABELS), SHAPE, options).decode(model.frames, model.step, 8)) {
      const expected = (await logProb(model, word)) / word.length ** 0.5 + 0.7 * logPrior(WORDS.indexOf(word));
      assert.ok(Math.abs(score - expected) < 1e-4);
    }
  });

  test(`a narrow beam claims no more than there is, and batches its steps, model ${seed}`, async () => {
    const model = randomModel(seed);
    const search = new BeamSearch(Lexicon.fromWords(WORDS, LABELS), SHAPE, { ...WIDE, beam: 4 });
    const found = await search.decode(model.frames, model.step, 4);
    assert.ok(found.length);
    assert.equal(Math.max(...model.batches), 4);
    assert.ok(model.batches.length < 5 * T);
    const near = new BeamSearch(Lexicon.fromWords(WORDS, LABELS), SHAPE, { ...WIDE, threshold: 2 });
    assert.ok((await near.decode(model.frames, model.step, 8)).length < WORDS.length);
    for (const { word, logProb: claimed } of found) assert.ok(claimed <= (await logProb(model, word)) + 1e-4);
  });
}

test("a word of one's own is found, and not when it is taken back", async () => {
  const model = randomModel(2);
  const lexicon = Lexicon.fromWords(WORDS, LABELS);
  const search = new BeamSearch(lexicon, SHAPE, WIDE);
  const words = async () => (await search.decode(model.frames, model.step, 20)).map(({ word }) => word);
  assert.ok(!(await words()).includes("acb"));
  lexicon.add("acb");
  assert.ok((await words()).includes("acb"));
  lexicon.remove("acb");
  assert.ok(!(await words()).includes("acb"));
});

/** A step that says at every frame, by the label before, what the script says: the label, and the duration's index. */
function scripted(script: Record<string, [number, number]>, labels: number, durations: number): Step {
  return async (_, frames, last, h, c) => {
    const [label, duration] = script[`${frames[0]},${last[0]}`] ?? [labels - 1, 1];
    const logits = new Float32Array(labels + durations);
    logits[label] = 5;
    if (durations) logits[labels + duration] = 5;
    return { logits, h: h.slice(), c: c.slice() };
  };
}

const GREEDY = { blank: 2, D: 1, L: 1, H: 1, maxSymbols: 3 };
const FRAMES = Float32Array.of(0, 1, 2, 3, 4, 5);

test("greedy RNN-T: labels stay on a frame until blank, or until there are too many", async () => {
  const script: Record<string, [number, number]> = { "0,2": [0, 0], "0,0": [1, 0], "3,1": [0, 0], "3,0": [0, 0], "4,0": [1, 0] };
  const found = await greedySearch(FRAMES, scripted(script, 3, 0), { ...GREEDY, durations: [] });
  assert.deepEqual(found.map(({ id, frame }) => [id, frame]), [[0, 0], [1, 0], [0, 3], [0, 3], [0, 3], [1, 4]]);
  assert.ok(Math.abs(found[0]!.confidence - 1 / (1 + 2 * Math.exp(-5))) < 1e-6);
});

test("greedy TDT: durations lead on, a blank by one frame at least", async () => {
  const script: Record<string, [number, number]> = { "0,2": [0, 2], "2,0": [2, 0], "3,0": [1, 0], "3,1": [1, 1] };
  const found = await greedySearch(FRAMES, scripted(script, 3, 3), { ...GREEDY, durations: [0, 1, 2] });
  assert.deepEqual(found.map(({ id, frame, duration }) => [id, frame, duration]), [[0, 0, 2], [1, 3, 0], [1, 3, 1]]);
});
