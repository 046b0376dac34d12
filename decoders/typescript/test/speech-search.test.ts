/** Beam search of speech against the greedy search and against sums over all alignments, and phrases against a count. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Biases, greedySearch, LanguageModel, Phrases, ScriptLock, speechSearch, type Bias, type Label, type Step } from "../src/index.js";
import { expectError, randomNumbers } from "./support.js";

const [BLANK, D, L, H] = [2, 2, 1, 3];
const DURATIONS = { rnnt: [], tdt: [0, 1, 2], "tdt without 0": [1, 2] };

function randomModel(seed: number, durations: readonly number[], length: number) {
  const next = randomNumbers(seed);
  const numbers = (count: number, scale = 2) => Float64Array.from({ length: count }, () => scale * next());
  const V = BLANK + 1 + durations.length;
  const [recurrent, embedding, out] = [numbers(H * H), numbers((BLANK + 1) * H), numbers((H + D) * V, 3)];
  const step: Step = async (count, given, labels, h) => {
    const found = { logits: new Float32Array(count * V), h: new Float32Array(count * H), c: new Float32Array(count * H) };
    for (let row = 0; row < count; row++) {
      for (let i = 0; i < H; i++) {
        let sum = embedding[Number(labels[row]!) * H + i]!;
        for (let j = 0; j < H; j++) sum += h[row * H + j]! * recurrent[j * H + i]!;
        found.h[row * H + i] = Math.tanh(sum);
      }
      for (let label = 0; label < V; label++) {
        let sum = 0;
        for (let i = 0; i < H; i++) sum += found.h[row * H + i]! * out[i * V + label]!;
        for (let i = 0; i < D; i++) sum += given[row * D + i]! * out[(H + i) * V + label]!;
        found.logits[row * V + label] = sum;
      }
    }
    return found;
  };
  return { step, frames: Float32Array.from(numbers(length * D)), shape: { blank: BLANK, D, L, H, durations, maxSymbols: 3 } };
}

for (const [kind, durations] of Object.entries(DURATIONS)) {
  test(`a beam of one is the greedy search: ${kind}`, async () => {
    let labels = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const { step, frames, shape } = randomModel(seed, durations, 12);
      const greedy = await greedySearch(frames, step, shape);
      const [found] = await speechSearch(frames, step, shape, { beam: 1 });
      assert.deepEqual(rounded(found!.labels), rounded(greedy));
      labels += greedy.length;
    }
    assert.ok(labels > 40);
  });

  test(`all prefixes together are certain: ${kind}`, async () => {
    const { step, frames, shape } = randomModel(7, durations, 3);
    const found = await speechSearch(frames, step, shape, { beam: 1e6, threshold: Infinity });
    const total = found.reduce((sum, { logProb }) => sum + Math.exp(logProb), 0);
    assert.ok(found.length > 10);
    assert.ok(Math.abs(total - 1) < 1e-5, String(total));
    assert.equal(new Set(found.map(({ labels }) => labels.map(({ id }) => id).join())).size, found.length);
  });
}

/** Both compute confidences, in sums of other order. */
function rounded(labels: readonly Label[]) {
  return labels.map((label) => ({ ...label, confidence: label.confidence.toFixed(6) }));
}

const SPELT = [" ", "a", "b", "c", " a", " ab", "bc", " c", "ab"];

function added(bias: Bias, labels: readonly number[]): number {
  let [state, total] = [0, 0];
  for (const label of labels) {
    total += bias.gains(state)[label]!;
    state = bias.follow(state, label);
  }
  return total + bias.end(state);
}

test("phrases earn their letters however they are spelt, and whole words only", () => {
  const phrases = new Phrases(new Map([["ab", 1], ["ab c", 0.75], ["c", 0.5]]), SPELT);
  for (const labels of [[5], [4, 2], [0, 1, 2], [0, 8]]) assert.equal(added(phrases, labels), 2);
  assert.equal(added(phrases, [5, 3]), 0);
  assert.equal(added(phrases, [4]), 0);
  // "ab c" earns three letters, of which "ab" had earned more than its two; "c" is a phrase too.
  assert.equal(added(phrases, [5, 7]), 2.25 + 0.5);
  assert.equal(added(new Phrases(new Map([["東京", 1]]), ["東", "京", "都"]), [2, 0, 1, 2]), 2);
});

test("phrases that cannot be used are refused", () => {
  for (const [phrase, weight, words] of [["AB", 1, 'no token for "A"'], [" ", 1, "is empty"], ["ab", 0, "weight 0"], ["ab", NaN, "weight NaN"]] as const) {
    assert.throws(() => new Phrases(new Map([[phrase, weight]]), SPELT), expectError("bad-phrase", words));
  }
});

const ARPA = String.raw`
\data\
ngram 1=5
ngram 2=3

\1-grams:
-99	<s>	-0.5
-1	</s>
-0.5	a	-0.25
-0.75	b
-2	<unk>

\2-grams:
-0.1	<s> a
-0.2	a b
-0.3	b </s>

\end\
`;

test("an n-gram model adds the weighted probabilities that it has, backs off for others, and ends a text", () => {
  const model = new LanguageModel(ARPA, ["a", "b", "c"], 0.5);
  const expected = (...log10: number[]) => 0.5 * Math.LN10 * log10.reduce((sum, value) => sum + value, 0);
  assert.ok(Math.abs(added(model, [0, 1]) - expected(-0.1, -0.2, -0.3)) < 1e-12);
  // "b" after the beginning is by backoff, "c" is unknown, and nothing is known to follow it.
  assert.ok(Math.abs(added(model, [1, 2, 0]) - expected(-0.5 - 0.75, -2, -0.5, -0.25 - 1)) < 1e-12);
});

test("n-gram models that cannot be used are refused", () => {
  for (const [arpa, words] of [
    [ARPA.replace("-0.75\tb", "-0.75\tB"), '"B" and 0 more'],
    [ARPA.replace("-0.2\ta b", "-0.2\ta"), "line 15 is not an n-gram of 2"],
    [ARPA.replace("-0.2\ta b", "0.2\ta b"), "line 15"],
    [ARPA.replace("-0.2\ta b", "\ta b"), "line 15"],
    ["", "no n-grams"],
  ] as const) {
    assert.throws(() => new LanguageModel(arpa, ["a", "b", "c"]), expectError("bad-language-model", words));
  }
});

test("a script lock forbids letters of other scripts alone", () => {
  const spelt = [" a", "д", "7", "ー", "カ", "é", "東", "!"];
  const forbidden = (scripts: string[]) => [...new ScriptLock(scripts, spelt).gains()].map((gain) => gain < 0);
  assert.deepEqual(forbidden(["latin"]), [false, true, false, false, true, false, true, false]);
  assert.deepEqual(forbidden(["Katakana", "CJK"]), [true, true, false, false, false, true, false, false]);
  for (const script of ["Greek", "Klingon", ""]) assert.throws(() => new ScriptLock([script], spelt), expectError("bad-script", `"${script}"`));
});

test("several biases add up, and what one forbids stays forbidden", () => {
  const model = new LanguageModel(ARPA, ["a", "b", "c"], 0.5);
  const phrases = new Phrases(new Map([["ab", 1]]), ["a", "b", "c"]);
  const lock = new ScriptLock(["Latin"], ["a", "b", "д"]);
  const both = new Biases([model, phrases, lock]);
  assert.ok(Math.abs(added(both, [0, 1]) - added(model, [0, 1]) - added(phrases, [0, 1])) < 1e-12);
  assert.equal(added(both, [0, 2]), -Infinity);
});
