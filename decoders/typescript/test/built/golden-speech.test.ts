/** The golden cases of speech, with the step of the packages in SPEECH_PACKAGES, in onnxruntime-web. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { graphStep, greedySearch, Package, Phrases, speechSearch, Vocabulary, type Label, type RuntimeMeta } from "../../src/index.js";
import { filesIn } from "../../src/node.js";
import { difference, repositoryJson, unpack, type Packed } from "../support.js";
import { environment, RUNTIMES } from "./runtimes.js";

interface Found {
  steps: { frame: number; prefixes: number[][]; scores: number[] }[];
  n_best: { labels: number[]; frames: number[]; durations: number[]; confidences: number[]; text: string; log_prob: number; score: number }[];
}

interface Golden {
  meta: RuntimeMeta;
  searches: Record<string, { beam: number; threshold: number; hotwords: Record<string, number> }>;
  cases: { audio: string; encoder_frames: Packed; searches: Record<string, Found> }[];
}

const TOLERANCE = 1e-3;
/** Hypotheses of a case at most. */
const TEXTS = 8;

/** The labels of a hypothesis as the file has them. */
function columns(labels: readonly Label[]) {
  return { labels: labels.map(({ id }) => id), frames: labels.map(({ frame }) => frame), durations: labels.map(({ duration }) => duration) };
}

for (const folder of environment("SPEECH_PACKAGES").split(":")) {
  describe(folder, async () => {
    const found = await Package.open(filesIn(folder), "speech");
    const { dims, blank_id: blank, tokens, tokenizer, durations, max_symbols: maxSymbols, source } = found.meta;
    const golden = repositoryJson<Golden>(`decoders/golden/${durations.length ? "demo-tdt" : "demo-streaming"}.json.gz`);
    const shape = { blank, D: dims.D, L: dims.L, H: dims.H, durations, maxSymbols };
    const vocabulary = new Vocabulary(tokens.slice(0, blank), tokenizer);
    const step = graphStep(await found.load(await RUNTIMES[0]!.open(), "rnnt_step"), shape);

    test("60 cases, of the model that is packaged", () => {
      assert.equal(golden.cases.length, 60);
      assert.deepEqual(source, golden.meta.source, "the package and the golden cases are of different checkpoints: build either again");
    });

    for (const [name, { beam, threshold, hotwords }] of Object.entries(golden.searches)) {
      test(`every step and the n-best of every case: ${name}`, async () => {
        const phrases = new Map(Object.entries(hotwords));
        const bias = phrases.size ? new Phrases(phrases, vocabulary.spelt) : undefined;
        for (const { audio, encoder_frames: packed, searches } of golden.cases) {
          const { steps, n_best: expected } = searches[name]!;
          let at = 0;
          const watch = (frame: number, prefixes: number[][], scores: number[]) => {
            const known = steps[at++]!;
            assert.deepEqual([frame, prefixes], [known.frame, known.prefixes], `${audio}, step ${at}`);
            assert.ok(difference(scores, known.scores) <= TOLERANCE, `${audio}, step ${at}`);
          };
          const hypotheses = (await speechSearch(unpack(packed), step, shape, { beam, threshold, bias, watch })).slice(0, TEXTS);
          assert.deepEqual([at, hypotheses.length], [steps.length, expected.length], audio);
          hypotheses.forEach(({ labels, logProb, score }, place) => {
            const { log_prob: knownLogProb, score: knownScore, text, confidences, ...known } = expected[place]!;
            assert.deepEqual(columns(labels), known, audio);
            assert.ok(difference(labels.map(({ confidence }) => confidence), confidences) <= TOLERANCE, audio);
            assert.ok(difference([logProb, score], [knownLogProb, knownScore]) <= TOLERANCE, audio);
            assert.equal(vocabulary.transcript(labels.map((label) => ({ ...label, start: 0, end: 0 }))).text, text);
          });
        }
      });
    }

    test("the greedy search finds what a beam of one does", async () => {
      for (const { audio, encoder_frames: packed, searches } of golden.cases) {
        const { labels, frames, durations } = searches.greedy!.n_best[0]!;
        assert.deepEqual(columns(await greedySearch(unpack(packed), step, shape)), { labels, frames, durations }, audio);
      }
    });
  });
}
