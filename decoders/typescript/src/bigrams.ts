/**
 * What the word before tells of a word: pairs that are likelier together than apart, read from bigrams.bin.
 *
 * py/transducer/swipe/bigrams.py describes the file.
 */
import { TransducerError } from "./errors.js";

const HEADER_BYTES = 20;
const VERSION = 1;
/** Gains are stored in steps of a nat's sixteenth. */
const STEPS = 16;
/** Before the first word of a sentence. */
const BEGIN = "";

export class Bigrams {
  private constructor(
    private readonly ids: ReadonlyMap<string, number>,
    private readonly view: DataView,
    private readonly count: number,
    private readonly pairs: number,
  ) {}

  /** Read bigrams.bin, of the words of a lexicon's file. Throws bad-lexicon. */
  static fromFile(bytes: Uint8Array, words: readonly string[]): Bigrams {
    const fail = (what: string): never => {
      throw new TransducerError("bad-lexicon", `The bigrams ${what}; package the model again.`);
    };
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < HEADER_BYTES || String.fromCharCode(...bytes.subarray(0, 4)) !== "BIGR" || view.getUint32(4, true) !== VERSION) {
      fail(`are not of format ${VERSION}`);
    }
    const [count, pairs, digest] = [8, 12, 16].map((at) => view.getUint32(at, true)) as [number, number, number];
    if (bytes.length !== HEADER_BYTES + 4 * (count + 2) + 5 * pairs) fail(`have ${bytes.length} bytes, which is not what their header says`);
    if (count !== words.length || digest !== digestOf(words)) fail("are of another word list");
    const ids = new Map(words.map((word, index) => [word, index]));
    ids.set(BEGIN, count);
    const found = new Bigrams(ids, view, count, pairs);
    let sound = found.first(0) === 0 && found.first(count + 1) === pairs;
    for (let word = 0; sound && word <= count; word++) sound = found.first(word) <= found.first(word + 1);
    for (let pair = 0; sound && pair < pairs; pair++) sound = found.next(pair) < count;
    return sound ? found : fail("are damaged: their pairs are not those of their words");
  }

  /** Return the gains of words, in nats by their index, after another word; "" is the beginning of a sentence. */
  gains(previous: string): Map<number, number> {
    const gains = new Map<number, number>();
    const index = this.ids.get(previous);
    if (index === undefined) return gains;
    const at = HEADER_BYTES + 4 * (this.count + 2) + 4 * this.pairs;
    for (let pair = this.first(index); pair < this.first(index + 1); pair++) gains.set(this.next(pair), this.view.getUint8(at + pair) / STEPS);
    return gains;
  }

  private first(word: number): number {
    return this.view.getUint32(HEADER_BYTES + 4 * word, true);
  }

  private next(pair: number): number {
    return this.view.getUint32(HEADER_BYTES + 4 * (this.count + 2 + pair), true);
  }
}

/** Return FNV-1a, 32 bits, of the words' UTF-8, each with a line feed after it. */
function digestOf(words: readonly string[]): number {
  let digest = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(words.map((word) => `${word}\n`).join(""))) digest = Math.imul(digest ^ byte, 0x01000193);
  return digest >>> 0;
}
