/** A trie of label ids as arrays: read from trie.bin, which py/transducer/swipe/trie.py describes, or built from words. */
import { TransducerError } from "./errors.js";

export const ROOT = 0;
export const NONE = -1;
const HEADER_BYTES = 20;

/** The arrays of a trie of N nodes and W words. */
export interface Trie {
  /** [N + 1] */
  first: Uint32Array;
  /** [N], of the arc into a node */
  label: Uint8Array;
  /** [N], index of the word that ends at a node, or NONE */
  word: Int32Array;
  /** [W] */
  prior: ArrayLike<number>;
}

/** Return the log prior of a word by its rank from 0 on in a list, the most frequent first. */
export function logPrior(rank: number): number {
  return -Math.log(rank + 10) - rank / 30_000;
}

/** Build the trie of distinct words, spelt as strings of label ids, whose index is their rank. */
export function buildTrie(spelt: readonly string[]): Trie {
  const order = Array.from(spelt.keys()).sort((a, b) => (spelt[a]! < spelt[b]! ? -1 : 1));
  // A node is a run of words in that order that begin alike; runs are found breadth first.
  const label = [0];
  const word: number[] = [];
  const first: number[] = [];
  const begins = [0];
  const ends = [order.length];
  const depths = [0];
  for (let node = 0; node < begins.length; node++) {
    let at = begins[node]!;
    const end = ends[node]!;
    const depth = depths[node]!;
    const complete = at < end && spelt[order[at]!]!.length === depth;
    word.push(complete ? order[at++]! : NONE);
    first.push(begins.length);
    while (at < end) {
      const next = spelt[order[at]!]!.charCodeAt(depth);
      label.push(next);
      begins.push(at);
      while (at < end && spelt[order[at]!]!.charCodeAt(depth) === next) at++;
      ends.push(at);
      depths.push(depth + 1);
    }
  }
  first.push(begins.length);
  return {
    first: Uint32Array.from(first),
    label: Uint8Array.from(label),
    word: Int32Array.from(word),
    prior: Float64Array.from(spelt, (_, rank) => logPrior(rank)),
  };
}

/** Take trie.bin apart, on a machine of any byte order. */
export function readTrie(bytes: Uint8Array): Trie {
  const fail = (what: string): never => {
    throw new TransducerError("bad-lexicon", `The trie ${what}; package the model again.`);
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER_BYTES || String.fromCharCode(...bytes.subarray(0, 4)) !== "TRIE" || view.getUint32(4, true) !== 1) {
    fail("is not of format 1");
  }
  const [nodes, words, labels] = [8, 12, 16].map((at) => view.getUint32(at, true)) as [number, number, number];
  const padded = nodes + ((4 - (nodes % 4)) % 4);
  if (bytes.length !== HEADER_BYTES + 4 * (nodes + 1) + padded + 4 * nodes + 4 * words) {
    fail(`has ${bytes.length} bytes, which is not what its header says`);
  }
  let at = HEADER_BYTES;
  const numbers = <A extends Uint32Array | Int32Array | Float32Array>(into: A, get: (at: number) => number): A => {
    for (let i = 0; i < into.length; i++, at += 4) into[i] = get(at);
    return into;
  };
  const first = numbers(new Uint32Array(nodes + 1), (place) => view.getUint32(place, true));
  const label = bytes.slice(at, at + nodes);
  at += padded;
  const word = numbers(new Int32Array(nodes), (place) => view.getInt32(place, true));
  const prior = numbers(new Float32Array(words), (place) => view.getFloat32(place, true));
  // Children lie behind their parent and behind those of the nodes before it, so that every walk ends.
  let sound = nodes > 0 && first[0] === 1 && first[nodes] === nodes;
  for (let node = 0; sound && node < nodes; node++) {
    const ordered = first[node]! > node && first[node]! <= first[node + 1]!;
    sound = ordered && label[node]! < labels && word[node]! >= NONE && word[node]! < words;
  }
  return sound ? { first, label, word, prior } : fail("is damaged: its nodes do not make a tree");
}
