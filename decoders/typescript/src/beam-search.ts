/**
 * Beam search of an RNN transducer over a lexicon: the likeliest words of a swipe.
 *
 * py/transducer/swipe/beam_search.py is the reference, step for step. A frame is left by blank alone, which keeps the last
 * label and the predictor's state from before it; up to `max_symbols` labels may come before. A prefix is a node of the
 * trie; the probabilities of paths to the same prefix are added. One call of the step serves the whole beam.
 */
import type { Lexicon } from "./lexicon.js";
import { NONE, ROOT } from "./trie.js";

/** A word, its log probability under the model, and the score that it is ranked by. */
export interface Candidate {
  readonly word: string;
  readonly logProb: number;
  readonly score: number;
}

/** Logits [A, V] and LSTM states [L, A, H] of A prefixes. */
export interface Stepped {
  readonly logits: Float32Array;
  readonly h: Float32Array;
  readonly c: Float32Array;
}

/**
 * One step of the model for A prefixes: encoder frames [A, D], last labels [A] and the LSTM states [L, A, H] before
 * these labels, to raw logits [A, V] and the states after them. The inputs' memory is used again by the next call.
 */
export type Step = (count: number, frames: Float32Array, labels: BigInt64Array, h: Float32Array, c: Float32Array) => Promise<Stepped>;

export interface SearchOptions {
  /** Prefixes kept at most. */
  readonly beam: number;
  /** Nats that the rank of a prefix kept may lie below the best one's; any unless given. */
  readonly threshold?: number | undefined;
  /** Labels at most in one frame. */
  readonly maxSymbols: number;
  /** Of the words' log prior, which guides the search as soon as a prefix excludes likelier words. */
  readonly priorWeight: number;
  /** The log probability of a word is divided by its letters to this power. */
  readonly lengthPower: number;
}

export interface ModelShape {
  /** The blank's id, which is the last label: V = blank + 1. */
  readonly blank: number;
  /** Width of encoder frames. */
  readonly D: number;
  /** Layers and width of the predictor's LSTM. */
  readonly L: number;
  readonly H: number;
}

/** Called after every frame with the prefixes that have left it, the best first: trie nodes and log probabilities. */
export type Watcher = (nodes: Int32Array, logProbs: Float64Array) => void;

/** LSTM states [L, size, H] that a step gave; prefixes refer to a row of them. */
interface States {
  readonly h: Float32Array;
  readonly c: Float32Array;
  readonly size: number;
}

/** Prefixes: trie nodes, last labels, states before these labels, log probabilities, and what they are ranked by. */
class Beams {
  count = 0;
  readonly node: Int32Array;
  readonly label: Int32Array;
  readonly row: Int32Array;
  readonly score: Float64Array;
  readonly rank: Float64Array;
  readonly states: States[] = [];

  constructor(capacity: number) {
    this.node = new Int32Array(capacity);
    this.label = new Int32Array(capacity);
    this.row = new Int32Array(capacity);
    this.score = new Float64Array(capacity);
    this.rank = new Float64Array(capacity);
  }

  set(at: number, node: number, label: number, states: States, row: number, score: number, rank: number): void {
    this.node[at] = node;
    this.label[at] = label;
    this.states[at] = states;
    this.row[at] = row;
    this.score[at] = score;
    this.rank[at] = rank;
  }

  copy(at: number, from: Beams, index: number): void {
    this.set(at, from.node[index]!, from.label[index]!, from.states[index]!, from.row[index]!, from.score[index]!, from.rank[index]!);
  }
}

export class BeamSearch {
  // What a step is given, for the whole beam.
  private readonly frames: Float32Array;
  private readonly labels: BigInt64Array;
  private readonly h: Float32Array;
  private readonly c: Float32Array;
  /** Log of the sum of a row's exponentiated logits. */
  private readonly norms: Float64Array;
  private readonly order: Int32Array;
  /** Prefixes that have left the frame, the best first. */
  private left: Beams;
  /** Prefixes that may take another label in the frame. */
  private active: Beams;
  /** Room for what becomes `active` or `left`. */
  private grown: Beams;
  private readonly leaving: Beams;

  constructor(
    private readonly lexicon: Lexicon,
    private readonly shape: ModelShape,
    private readonly options: SearchOptions,
  ) {
    const { beam } = options;
    this.frames = new Float32Array(beam * shape.D);
    this.labels = new BigInt64Array(beam);
    this.h = new Float32Array(shape.L * beam * shape.H);
    this.c = new Float32Array(shape.L * beam * shape.H);
    this.norms = new Float64Array(beam);
    this.order = new Int32Array(2 * beam);
    this.left = new Beams(beam);
    this.active = new Beams(beam);
    this.grown = new Beams(beam);
    this.leaving = new Beams(2 * beam);
  }

  /**
   * Return the best `count` words of encoder frames [T, D], the best first; fewer where fewer were found.
   *
   * One search at a time: its memory is used again.
   */
  async decode(frames: Float32Array, step: Step, count = 5, watch?: Watcher): Promise<Candidate[]> {
    const { D, L, H, blank } = this.shape;
    const zeros: States = { h: new Float32Array(L * H), c: new Float32Array(L * H), size: 1 };
    this.left.set(0, ROOT, blank, zeros, 0, 0, this.rank(ROOT, 0));
    this.left.count = 1;
    for (let at = 0; at < frames.length; at += D) {
      await this.throughFrame(frames.subarray(at, at + D), step);
      watch?.(this.left.node.slice(0, this.left.count), this.left.score.slice(0, this.left.count));
    }
    const found: Candidate[] = [];
    for (let at = 0; at < this.left.count; at++) {
      const word = this.lexicon.word[this.left.node[at]!]!;
      if (word !== NONE) found.push(this.candidate(word, this.left.score[at]!));
    }
    return found.sort((a, b) => b.score - a.score || (a.word < b.word ? -1 : 1)).slice(0, count);
  }

  private candidate(index: number, logProb: number): Candidate {
    const word = this.lexicon.words[index]!;
    const { lengthPower, priorWeight } = this.options;
    const score = logProb / [...word].length ** lengthPower + priorWeight * this.lexicon.prior[index]!;
    return { word, logProb, score };
  }

  /** Replace `left`, the prefixes that enter a frame [D], by the best that have left it. */
  private async throughFrame(frame: Float32Array, step: Step): Promise<void> {
    [this.active, this.left] = [this.left, this.active];
    this.left.count = 0;
    for (let symbols = 0; symbols <= this.options.maxSymbols && this.active.count; symbols++) {
      const stepped = await this.run(frame, step);
      this.leave(stepped.logits);
      if (symbols < this.options.maxSymbols) this.grow(stepped);
    }
  }

  /** Run the step on all active prefixes at once. */
  private async run(frame: Float32Array, step: Step): Promise<Stepped> {
    const { D, L, H, blank } = this.shape;
    const { active } = this;
    const { count } = active;
    for (let at = 0; at < count; at++) {
      this.frames.set(frame, at * D);
      this.labels[at] = BigInt(active.label[at]!);
      const { h, c, size } = active.states[at]!;
      for (let layer = 0; layer < L; layer++) {
        const from = (layer * size + active.row[at]!) * H;
        const to = (layer * count + at) * H;
        this.h.set(h.subarray(from, from + H), to);
        this.c.set(c.subarray(from, from + H), to);
      }
    }
    const end = L * count * H;
    const stepped = await step(
      count,
      this.frames.subarray(0, count * D),
      this.labels.subarray(0, count),
      this.h.subarray(0, end),
      this.c.subarray(0, end),
    );
    for (let at = 0; at < count; at++) this.norms[at] = logSumExp(stepped.logits, at * (blank + 1), blank + 1);
    return stepped;
  }

  /** Let the active prefixes leave the frame by blank, and keep the best of all that have left it. */
  private leave(logits: Float32Array): void {
    const { active, left, leaving, order } = this;
    const { blank } = this.shape;
    for (let at = 0; at < left.count; at++) leaving.copy(at, left, at);
    for (let at = 0; at < active.count; at++) {
      const score = active.score[at]! + logits[at * (blank + 1) + blank]! - this.norms[at]!;
      leaving.copy(left.count + at, active, at);
      leaving.score[left.count + at] = score;
      leaving.rank[left.count + at] = this.rank(active.node[at]!, score);
    }
    let total = left.count + active.count;
    for (let at = 0; at < total; at++) order[at] = at;
    if (left.count) {
      // Equal prefixes come to lie side by side, and have the same states.
      sort(order, total, (a, b) => leaving.node[a]! - leaving.node[b]!);
      let distinct = 0;
      for (let place = 0; place < total; place++) {
        const at = order[place]!;
        const last = distinct ? order[distinct - 1]! : NONE;
        if (last !== NONE && leaving.node[last] === leaving.node[at]) {
          leaving.score[last] = logAddExp(leaving.score[last]!, leaving.score[at]!);
          leaving.rank[last] = this.rank(leaving.node[last]!, leaving.score[last]!);
        } else {
          order[distinct++] = at;
        }
      }
      total = distinct;
    }
    sort(order, total, (a, b) => leaving.rank[b]! - leaving.rank[a]!);
    const { beam, threshold = Infinity } = this.options;
    const worst = leaving.rank[order[0]!]! - threshold;
    left.count = Math.min(total, beam);
    while (left.count > 1 && leaving.rank[order[left.count - 1]!]! < worst) left.count--;
    for (let place = 0; place < left.count; place++) left.copy(place, leaving, order[place]!);
  }

  /** Let `active` be the best prefixes one letter longer, only those that may still come before the worst of `left`. */
  private grow({ logits, h, c }: Stepped): void {
    const { active, grown, left, lexicon, norms } = this;
    const { beam, threshold = Infinity } = this.options;
    const V = this.shape.blank + 1;
    const states: States = { h, c, size: active.count };
    const worst = left.count >= beam ? left.rank[left.count - 1]! : left.rank[0]! - threshold;
    grown.count = 0;
    for (let at = 0; at < active.count; at++) {
      lexicon.children(active.node[at]!, (label, node) => {
        const score = active.score[at]! + logits[at * V + label]! - norms[at]!;
        const rank = this.rank(node, score);
        if (!(rank > worst)) return;
        // In order, the best first; of equals the one that came first.
        let place = grown.count;
        while (place > 0 && grown.rank[place - 1]! < rank) place--;
        if (place === beam) return;
        if (grown.count < beam) grown.count++;
        for (let later = grown.count - 1; later > place; later--) grown.copy(later, grown, later - 1);
        grown.set(place, node, label, states, at, score, rank);
      });
    }
    [this.active, this.grown] = [grown, active];
  }

  private rank(node: number, score: number): number {
    return score + this.options.priorWeight * this.lexicon.ahead[node]!;
  }
}

/** Sort the first `count` of `order` by insertion, which is stable. */
function sort(order: Int32Array, count: number, compare: (a: number, b: number) => number): void {
  for (let at = 1; at < count; at++) {
    const one = order[at]!;
    let place = at;
    for (; place > 0 && compare(order[place - 1]!, one) > 0; place--) order[place] = order[place - 1]!;
    order[place] = one;
  }
}

function logSumExp(values: Float32Array, from: number, length: number): number {
  let most = -Infinity;
  for (let at = from; at < from + length; at++) if (values[at]! > most) most = values[at]!;
  let sum = 0;
  for (let at = from; at < from + length; at++) sum += Math.exp(values[at]! - most);
  return most + Math.log(sum);
}

function logAddExp(a: number, b: number): number {
  return Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));
}
