/** The golden cases, with the graphs of the package in SWIPE_PACKAGE, in onnxruntime-web and onnxruntime-node. */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { BeamSearch, encode, graphStep, Lexicon, Package, placeKeys, SwipeDecoder, swipeFeatures, type Candidate, type RuntimeMeta } from "../../src/index.js";
import { filesIn } from "../../src/node.js";
import { difference, expectError, points, repositoryFile, repositoryJson, unpack, type Packed } from "../support.js";
import { environment, RUNTIMES } from "./runtimes.js";

interface Golden {
  meta: RuntimeMeta;
  words: string;
  cases: {
    word: string;
    points: number[][];
    features: Packed;
    encoder_frames: Packed;
    beams: { prefixes: string[]; log_probs: number[] }[];
    n_best: { word: string; log_prob: number; score: number }[];
    context?: { previous: string; n_best: { word: string; log_prob: number; score: number }[] };
  }[];
}

const TOLERANCE = 1e-3;
const golden = repositoryJson<Golden>("decoders/golden/cases.json.gz");
const words = repositoryFile(`decoders/golden/${golden.words}`).toString().split("\n").filter(Boolean);
const files = filesIn(environment("SWIPE_PACKAGE"));

function same(found: readonly Candidate[], expected: Golden["cases"][0]["n_best"]): void {
  assert.deepEqual(found.map(({ word }) => word), expected.map(({ word }) => word));
  found.forEach(({ logProb, score }, at) => {
    assert.ok(Math.abs(score - expected[at]!.score) <= TOLERANCE, `${score} for ${expected[at]!.score}`);
    assert.ok(Math.abs(logProb - expected[at]!.log_prob) <= TOLERANCE);
  });
}

/** The prefix that every node of a trie stands for. */
function spellNodes(lexicon: Lexicon, tokens: readonly string[]): string[] {
  const prefixes = [""];
  for (let node = 0; node < lexicon.label.length; node++) {
    lexicon.children(node, (label, child) => (prefixes[child] = prefixes[node]! + tokens[label]!));
  }
  return prefixes;
}

test("200 cases, of the model that is packaged", async () => {
  assert.equal(golden.cases.length, 200);
  const { meta } = await Package.open(files, "swipe");
  assert.deepEqual(meta.source, golden.meta.source, "the package and the golden cases are of different checkpoints: build either again");
});

test("features are those of every case", () => {
  const layout = placeKeys(golden.meta.layout!);
  for (const one of golden.cases) {
    const found = swipeFeatures(points(one.points), layout);
    assert.deepEqual([found.rows, found.columns], one.features.shape);
    assert.ok(difference(found.data, unpack(one.features)) <= 2e-6, one.word);
  }
});

for (const { name, open } of RUNTIMES) {
  describe(name, () => {
    let decoder: SwipeDecoder;
    before(async () => {
      decoder = await SwipeDecoder.open(files, await open(), { words });
    });

    test("points to words: the n-best of every case", async () => {
      for (const one of golden.cases) same((await decoder.decode(points(one.points), 10)).words, one.n_best);
    });

    // What follows is of this library, whatever runs the graphs.
    if (name !== "onnxruntime-web") return;

    test("features to encoder frames", async () => {
      const found = await Package.open(files, "swipe");
      const encoder = await found.load(await open(), "encoder");
      for (const one of golden.cases) {
        const frames = await encode(encoder, unpack(one.features), ...one.features.shape);
        assert.ok(difference(frames, unpack(one.encoder_frames)) <= TOLERANCE, one.word);
      }
      await encoder.close();
    });

    test("encoder frames to words: the beam after every frame", async () => {
      const found = await Package.open(files, "swipe");
      const { dims, blank_id: blank, tokens, decoding } = golden.meta;
      const shape = { blank, D: dims.D, L: dims.L, H: dims.H };
      const step = await found.load(await open(), "rnnt_step");
      const lexicon = Lexicon.fromWords(words, found.characters);
      const prefixes = spellNodes(lexicon, tokens);
      const settings = decoding!;
      const search = new BeamSearch(lexicon, shape, { beam: settings.beam, threshold: settings.threshold, maxSymbols: settings.max_symbols, priorWeight: settings.prior_weight, lengthPower: settings.length_power });
      for (const one of golden.cases) {
        let frame = 0;
        const found = await search.decode(unpack(one.encoder_frames), graphStep(step, shape), 10, (nodes, logProbs) => {
          const expected = one.beams[frame++]!;
          const known = new Map(expected.prefixes.map((prefix, at) => [prefix, expected.log_probs[at]!]));
          const ours = new Map(Array.from(nodes, (node, at) => [prefixes[node]!, logProbs[at]!]));
          const rank = ([prefix, logProb]: [string, number]) => logProb + settings.prior_weight * aheadOf(lexicon, prefix, prefixes);
          const edge = Math.min(...[...known].map(rank));
          // At the beam's edge prefixes of equal rank may take each other's place.
          for (const [prefix, logProb] of [...ours, ...known]) {
            const other = ours.has(prefix) ? known.get(prefix) : undefined;
            if (other === undefined) assert.ok(rank([prefix, logProb]) - edge < TOLERANCE, `${one.word}, frame ${frame}: ${prefix}`);
            else assert.ok(Math.abs(ours.get(prefix)! - other) <= TOLERANCE, `${one.word}, frame ${frame}: ${prefix}`);
          }
        });
        assert.equal(frame, one.beams.length);
        same(found, one.n_best);
      }
      await step.close();
    });

    test("after another word: the n-best of every case that has one, and the same as before without", async () => {
      const packaged = await SwipeDecoder.open(files, await open());
      const cases = golden.cases.filter(({ context }) => context);
      assert.ok(cases.length > 50);
      for (const one of cases) {
        same((await packaged.decode(points(one.points), 10, one.context!.previous)).words, one.context!.n_best);
        same((await packaged.decode(points(one.points), 10)).words, one.n_best);
      }
      await packaged.close();
    });

    test("bad traces are typed errors, and the next swipe is found all the same", async () => {
      const [one] = golden.cases;
      const good = points(one!.points);
      await assert.rejects(decoder.decode([]), expectError("empty-trace"));
      await assert.rejects(decoder.decode(good.slice(0, 1)), expectError("single-point"));
      await assert.rejects(decoder.decode([...good.slice(0, -1), { ...good.at(-1)!, x: NaN }]), expectError("bad-trace"));
      same((await decoder.decode(good, 10)).words, one!.n_best);
    });

    test("swipes that are asked for at once are decoded one after the other", async () => {
      const some = golden.cases.slice(0, 8);
      const found = await Promise.all(some.map((one) => decoder.decode(points(one.points), 10)));
      found.forEach(({ words }, at) => same(words, some[at]!.n_best));
    });
  });
}

let aheads: Map<string, number> | undefined;

function aheadOf(lexicon: Lexicon, prefix: string, prefixes: readonly string[]): number {
  aheads ??= new Map(prefixes.map((each, node) => [each, lexicon.ahead[node]!]));
  return aheads.get(prefix)!;
}
