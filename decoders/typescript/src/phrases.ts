/**
 * Phrases that a beam search prefers, whatever tokens spell them: docs/decoding.md specifies it, and
 * py/transducer/decoding/phrases.py is the reference.
 *
 * An automaton (Aho and Corasick 1975) follows the text letter by letter. Each letter of a phrase adds the phrase's weight
 * as soon as it is spelt, and all of it is taken back where the phrase does not go on or does not end with a word.
 */
import type { Bias } from "./bias.js";
import { TransducerError } from "./errors.js";

/** Nats for each letter of a phrase. */
export const PHRASE_WEIGHT = 0.5;
const SPACE = " ";

interface Node {
  readonly children: Map<string, Node>;
  /** Where a mismatch goes on: the longest proper suffix that is a node. */
  suffix: Node | undefined;
  /** What the letters so far have earned, and what the phrases that end here have earned for good. */
  partial: number;
  whole: number;
}

/** Of one node: the node after each label, and what the label adds in nats. */
interface Row {
  readonly nodes: readonly Node[];
  readonly gains: Float64Array;
}

export class Phrases implements Bias {
  private readonly root = newNode();
  private readonly bound: string;
  private readonly rows = new Map<Node, Row>();
  // A state is a node's number; the first is that of an empty text.
  private readonly nodes: Node[] = [];
  private readonly numbers = new Map<Node, number>();

  /** `weights` are in nats a letter; `spelt` are the labels' texts, a space before what begins a word. Throws bad-phrase. */
  constructor(weights: ReadonlyMap<string, number>, private readonly spelt: readonly string[]) {
    this.bound = spelt.some((label) => label.startsWith(SPACE)) ? SPACE : "";
    const phrases = [...weights].map(([phrase, weight]) => [phrase.trim().split(/\s+/u).join(SPACE), weight] as const);
    // A phrase comes before those that begin with it.
    for (const [phrase, weight] of phrases.sort(([one], [other]) => (one < other ? -1 : 1))) {
      if (!(weight > 0 && weight <= 100)) throw new TransducerError("bad-phrase", `The weight ${weight} of "${phrase}" is not a number of nats above 0 and up to 100; correct it.`);
      if (!phrase) throw new TransducerError("bad-phrase", "A phrase is empty; leave it out.");
      const wrong = this.unspellable(phrase);
      if (wrong) throw new TransducerError("bad-phrase", `The model has no token for "${wrong}" in "${phrase}"; spell the phrase with the letters and the case of the model's own transcripts.`);
      this.add(phrase, weight);
    }
    this.connect();
    this.number(this.bound ? this.step(this.root, this.bound)[0] : this.root);
  }

  gains(state: number): Float64Array {
    return this.row(this.nodes[state]!).gains;
  }

  follow(state: number, label: number): number {
    return this.number(this.row(this.nodes[state]!).nodes[label]!);
  }

  end(state: number): number {
    const node = this.nodes[state]!;
    return (this.bound ? this.step(node, this.bound)[1] : 0) - node.partial;
  }

  private number(node: Node): number {
    if (!this.numbers.has(node)) this.numbers.set(node, this.nodes.push(node) - 1);
    return this.numbers.get(node)!;
  }

  private row(node: Node): Row {
    let row = this.rows.get(node);
    if (!row) {
      const nodes: Node[] = [];
      const gains = new Float64Array(this.spelt.length);
      this.spelt.forEach((text, label) => {
        let [at, total] = [node, 0];
        for (const letter of text) {
          const [next, earned] = this.step(at, letter);
          at = next;
          total += earned;
        }
        nodes.push(at);
        gains[label] = total + at.partial - node.partial;
      });
      row = { nodes, gains };
      this.rows.set(node, row);
    }
    return row;
  }

  private add(phrase: string, weight: number): void {
    let [node, earned, locked] = [this.root, 0, 0];
    for (const letter of `${this.bound}${phrase}${this.bound}`) {
      let child = node.children.get(letter);
      if (!child) node.children.set(letter, (child = newNode()));
      node = child;
      if (letter !== SPACE) earned += weight;
      locked += node.whole;
      // What a shorter phrase has earned for good is not earned twice.
      node.partial = Math.max(node.partial, earned - locked);
    }
    node.partial = 0;
    node.whole += Math.max(earned - locked, 0);
  }

  private connect(): void {
    let level = [...this.root.children.values()];
    for (const node of level) node.suffix = this.root;
    while (level.length) {
      const below: Node[] = [];
      for (const node of level) {
        for (const [letter, child] of node.children) {
          child.suffix = this.next(node.suffix!, letter);
          below.push(child);
        }
      }
      level = below;
    }
  }

  private next(node: Node, letter: string): Node {
    let at = node;
    while (!at.children.has(letter) && at.suffix) at = at.suffix;
    return at.children.get(letter) ?? this.root;
  }

  /** The node after a letter, and what the phrases that end with it earn for good. */
  private step(node: Node, letter: string): [Node, number] {
    const next = this.next(node, letter);
    let earned = 0;
    for (let at: Node | undefined = next; at; at = at.suffix) earned += at.whole;
    return [next, earned];
  }

  /** The first letter of a phrase that no tokens spell; empty where tokens spell it all. */
  private unspellable(phrase: string): string {
    const letters = [...`${this.bound}${phrase}`];
    const labels = new Set(this.spelt);
    const reached = [true];
    for (let end = 1; end <= letters.length; end++) {
      reached[end] = reached.some((possible, start) => possible && start < end && labels.has(letters.slice(start, end).join("")));
    }
    return reached[letters.length] ? "" : letters[reached.lastIndexOf(true)]!;
  }
}

function newNode(): Node {
  return { children: new Map(), suffix: undefined, partial: 0, whole: 0 };
}
