/** Which words follow which: a file written here, its gains, and what is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Bigrams, Lexicon } from "../src/index.js";
import { expectError } from "./support.js";

const WORDS = ["the", "sea", "end"];
const CHARACTERS = new Map(Array.from("adehnst", (letter, id) => [letter, id]));

/** bigrams.bin with "sea" 2.5 nats and "end" 0.25 nats after "the", and "the" 1 nat at the beginning of a sentence. */
function file(words = WORDS): Buffer {
  let digest = 0x811c9dc5n;
  for (const byte of Buffer.from(words.map((word) => `${word}\n`).join(""))) digest = ((digest ^ BigInt(byte)) * 0x01000193n) & 0xffffffffn;
  const numbers = [1, 3, 3, Number(digest), 0, 2, 2, 2, 3, 1, 2, 0];
  const bytes = Buffer.alloc(4 + 4 * numbers.length);
  bytes.write("BIGR");
  numbers.forEach((number, at) => bytes.writeUInt32LE(number, 4 + 4 * at));
  return Buffer.concat([bytes, Buffer.of(40, 4, 16)]);
}

test("gains are those of the word before", () => {
  const bigrams = Bigrams.fromFile(file(), WORDS);
  assert.deepEqual([...bigrams.gains("the")], [[1, 2.5], [2, 0.25]]);
  assert.deepEqual([...bigrams.gains("")], [[0, 1]]);
  assert.deepEqual([...bigrams.gains("sea")], []);
  assert.deepEqual([...bigrams.gains("ocean")], []);
});

test("priors are raised while a search goes on, whatever becomes of it, and no longer", async () => {
  const lexicon = Lexicon.fromWords(WORDS, CHARACTERS);
  const gains = Bigrams.fromFile(file(), WORDS).gains("the");
  const [priors, ahead] = [[...lexicon.prior], [...lexicon.ahead]];
  const best = await lexicon.lifted(gains, async () => {
    assert.equal(lexicon.prior[1], priors[1]! + 2.5);
    return lexicon.ahead[0];
  });
  assert.equal(best, priors[1]! + 2.5);
  await assert.rejects(lexicon.lifted(gains, () => Promise.reject(new Error("the search failed"))), /the search failed/);
  assert.deepEqual([[...lexicon.prior], [...lexicon.ahead]], [priors, ahead]);
});

test("a word that was added and taken back is passed over", async () => {
  const lexicon = Lexicon.fromWords(WORDS, CHARACTERS);
  lexicon.add("sand");
  lexicon.remove("sand");
  await lexicon.lifted(new Map([[3, 5]]), async () => assert.equal(lexicon.has("sand"), false));
});

test("what is not such a file, is damaged or of other words is refused", () => {
  const open = (bytes: Uint8Array, words = WORDS) => () => Bigrams.fromFile(bytes, words);
  const damaged = (change: (bytes: Buffer) => void) => {
    const bytes = file();
    change(bytes);
    return bytes;
  };
  assert.throws(open(file().subarray(0, 10)), expectError("bad-lexicon", "format"));
  assert.throws(open(damaged((bytes) => bytes.write("TRIE"))), expectError("bad-lexicon", "format"));
  assert.throws(open(damaged((bytes) => bytes.writeUInt32LE(2, 4))), expectError("bad-lexicon", "format"));
  assert.throws(open(file().subarray(0, -1)), expectError("bad-lexicon", "bytes"));
  assert.throws(open(damaged((bytes) => bytes.writeUInt32LE(9, 20))), expectError("bad-lexicon", "damaged"));
  assert.throws(open(damaged((bytes) => bytes.writeUInt32LE(3, 40))), expectError("bad-lexicon", "damaged"));
  assert.throws(open(file(), ["the", "sea", "ends"]), expectError("bad-lexicon", "another word list"));
  assert.throws(open(file(), ["the", "sea"]), expectError("bad-lexicon", "another word list"));
});
