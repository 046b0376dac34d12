import assert from "node:assert/strict";
import { test } from "node:test";
import { Lexicon, logPrior } from "../src/index.js";
import { USER_RANK } from "../src/lexicon.js";
import { NONE, ROOT } from "../src/trie.js";
import { expectError, repositoryFile } from "./support.js";

const CHARACTERS = new Map([..."'abcdefghijklmnopqrstuvwxyz"].map((character, id) => [character, id]));

/** Every word below a node with its index, and what the trie says of the best prior there. */
function check(lexicon: Lexicon): Map<string, number> {
  const letters = [...CHARACTERS.keys()];
  const found = new Map<string, number>();
  const visit = (node: number, prefix: string): number => {
    const word = lexicon.word[node]!;
    let best = -Infinity;
    if (word !== NONE) {
      assert.equal(lexicon.words[word], prefix);
      found.set(prefix, word);
      best = lexicon.prior[word]!;
    }
    lexicon.children(node, (label, child) => (best = Math.max(best, visit(child, prefix + letters[label]))));
    assert.equal(lexicon.ahead[node], best);
    return best;
  };
  visit(ROOT, "");
  return found;
}

/** A trie as trie.bin has it. */
function file(lexicon: Lexicon): Uint8Array {
  const first: number[] = [];
  const queue = [ROOT];
  for (let at = 0; at < queue.length; at++) {
    first.push(queue.length);
    lexicon.children(queue[at]!, (_, child) => queue.push(child));
  }
  first.push(queue.length);
  const nodes = queue.length;
  const header = Uint32Array.of(1, nodes, lexicon.words.length, CHARACTERS.size);
  const labels = new Uint8Array(Math.ceil(nodes / 4) * 4);
  queue.forEach((node, at) => (labels[at] = lexicon.label[node]!));
  const parts = [Buffer.from("TRIE"), header, Uint32Array.from(first), labels, Int32Array.from(queue, (node) => lexicon.word[node]!), Float32Array.from(lexicon.prior)];
  return Buffer.concat(parts.map((part) => Buffer.from(part.buffer, part.byteOffset, part.byteLength)));
}

test("the trie of 70,000 words spells each of them, by rank, and looks ahead to the best", () => {
  const words = repositoryFile("decoders/golden/words.txt.gz").toString().split("\n").filter(Boolean);
  const lexicon = Lexicon.fromWords(words, CHARACTERS);
  assert.equal(lexicon.size, words.length);
  const found = check(lexicon);
  assert.equal(found.size, words.length);
  words.forEach((word, rank) => assert.equal(found.get(word), rank));
  assert.equal(lexicon.prior[41], logPrior(41));
});

test("words that cannot be spelt and words that come twice are left out of a list", () => {
  const lexicon = Lexicon.fromWords(["b", "ab", "b", "a-b", "", "abc"], CHARACTERS);
  assert.deepEqual(lexicon.words, ["b", "ab", "abc"]);
  assert.equal(Lexicon.fromWords([], CHARACTERS).size, 0);
});

test("trie.bin and the list it was made from are the same lexicon", () => {
  const list = ["the", "then", "a", "don't", "at", "ate"];
  const built = Lexicon.fromWords(list, CHARACTERS);
  const read = Lexicon.fromFile(file(built), list, CHARACTERS);
  assert.deepEqual(check(read), check(built));
  built.prior.forEach((prior, index) => assert.ok(Math.abs(read.prior[index]! - prior) < 1e-6));
});

test("a damaged trie is a typed error", () => {
  const list = ["the", "then", "a"];
  const good = file(Lexicon.fromWords(list, CHARACTERS));
  const damaged = (change: (bytes: Buffer) => void): Uint8Array => {
    const bytes = Buffer.from(good);
    change(bytes);
    return bytes;
  };
  const open = (bytes: Uint8Array) => () => Lexicon.fromFile(bytes, list, CHARACTERS);
  assert.throws(open(good.subarray(0, 10)), expectError("bad-lexicon", "format"));
  assert.throws(open(damaged((bytes) => bytes.write("TIRE"))), expectError("bad-lexicon", "format"));
  assert.throws(open(damaged((bytes) => bytes.writeUInt32LE(2, 4))), expectError("bad-lexicon", "format"));
  assert.throws(open(good.subarray(0, good.length - 1)), expectError("bad-lexicon", "bytes"));
  assert.throws(open(damaged((bytes) => bytes.writeUInt32LE(0, 20))), expectError("bad-lexicon", "tree"));
  assert.throws(() => Lexicon.fromFile(good, ["the"], CHARACTERS), expectError("bad-lexicon", "3 words", "1"));
});

test("words are added and taken back at run time", () => {
  const lexicon = Lexicon.fromWords(["the", "then", "a"], CHARACTERS);
  const before = check(lexicon);
  lexicon.add("thermidor");
  lexicon.add("zork", -1);
  lexicon.add("the", -0.5);
  assert.deepEqual(lexicon.ownWords, ["thermidor", "zork", "the"]);
  const found = check(lexicon);
  assert.equal(lexicon.prior[found.get("thermidor")!], logPrior(USER_RANK));
  assert.equal(lexicon.prior[found.get("zork")!], -1);
  assert.equal(lexicon.prior[0], -0.5);
  assert.equal(lexicon.size, 5);
  assert.ok(lexicon.has("zork") && !lexicon.has("zor") && !lexicon.has("zorks"));
  for (const word of ["zork", "the", "thermidor"]) assert.ok(lexicon.remove(word));
  assert.ok(!lexicon.remove("zork") && !lexicon.remove("then"));
  assert.deepEqual(check(lexicon), before);
  assert.equal(lexicon.prior[0], logPrior(0));
  assert.equal(lexicon.size, 3);
  lexicon.add("zork");
  assert.equal(lexicon.size, 4);
  check(lexicon);
  // More nodes than there was room for.
  for (let number = 0; number < 300; number++) lexicon.add([...String(number + 1000)].map((digit) => "abcdefghij"[Number(digit)]).join(""));
  assert.equal(check(lexicon).size, 304);
  assert.throws(() => lexicon.add("naïve"), expectError("bad-word", "naïve", "ï"));
  assert.throws(() => lexicon.add(""), expectError("bad-word", "empty"));
  assert.throws(() => lexicon.add("word", NaN), expectError("bad-word", "finite"));
});

test("a second list counts by its weight, and a word of both once, with the better prior", () => {
  const lexicon = Lexicon.fromWords(["the", "then", "a"], CHARACTERS);
  assert.equal(lexicon.addList(["zork", "a", "naïve", "the"], 0.5), 1);
  const found = check(lexicon);
  assert.equal(found.size, 4);
  assert.equal(lexicon.prior[found.get("zork")!], logPrior(0) + Math.log(0.5));
  // Rank 1 at half the weight is less likely than rank 2.
  assert.equal(lexicon.prior[found.get("a")!], logPrior(2));
  assert.equal(lexicon.prior[found.get("the")!], logPrior(0));
  assert.throws(() => lexicon.addList(["x"], 0), expectError("bad-lexicon", "weight", "0"));
});
