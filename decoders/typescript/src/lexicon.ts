/**
 * A lexicon as a trie of label ids: read from trie.bin or built from a word list, with words added at run time.
 *
 * py/transducer/swipe/trie.py describes the file. Nodes come in breadth-first order, children by label, so that the children
 * of node n are first[n] to first[n + 1] - 1. Words added later hang below in nodes of higher numbers.
 */
import { TransducerError } from "./errors.js";
import { buildTrie, logPrior, NONE, readTrie, ROOT, type Trie } from "./trie.js";

/** The prior of an added word, unless another is given, is that of this rank. */
export const USER_RANK = 1000;

export class Lexicon {
  /** The words by their index; removed ones keep their place. */
  readonly words: string[];
  /** Log prior of each word. */
  readonly prior: number[];
  /** Of each node: the label of the arc into it, its word's index or NONE, and the best prior at or below it. */
  label: Uint8Array;
  word: Int32Array;
  ahead: Float64Array;

  private readonly first: Uint32Array;
  /** Nodes that were there from the beginning; those after them are found in `added`. */
  private readonly fixed: number;
  private readonly added = new Map<number, number[]>();
  private nodes: number;
  /** Words that were added, with the prior that they had before, if any. */
  private readonly own = new Map<string, number | undefined>();

  private constructor(
    words: string[],
    trie: Trie,
    private readonly characters: ReadonlyMap<string, number>,
  ) {
    this.words = words;
    this.prior = Array.from(trie.prior);
    this.first = trie.first;
    this.label = trie.label;
    this.word = trie.word;
    this.fixed = this.nodes = trie.label.length;
    this.ahead = new Float64Array(this.nodes).fill(-Infinity);
    // Children come after their parent.
    for (let node = this.nodes - 1; node >= ROOT; node--) this.lookAhead(node);
  }

  /** Build the trie of a word list, the most frequent first; words that the labels cannot spell are left out. */
  static fromWords(list: Iterable<string>, characters: ReadonlyMap<string, number>): Lexicon {
    const words: string[] = [];
    const spelt: string[] = [];
    for (const word of new Set(list)) {
      const labels = spell(word, characters);
      if (typeof labels === "string" || !labels.length) continue;
      words.push(word);
      spelt.push(String.fromCharCode(...labels));
    }
    return new Lexicon(words, buildTrie(spelt), characters);
  }

  /** Read trie.bin and its words, one a line. Throws bad-lexicon. */
  static fromFile(trie: Uint8Array, words: readonly string[], characters: ReadonlyMap<string, number>): Lexicon {
    const found = readTrie(trie);
    if (found.prior.length !== words.length) {
      throw new TransducerError("bad-lexicon", `The trie has ${found.prior.length} words and the word list ${words.length}; use the files of one package.`);
    }
    return new Lexicon([...words], found, characters);
  }

  /** Words that can be found. */
  get size(): number {
    let removed = 0;
    for (const prior of this.prior) removed += Number.isNaN(prior) ? 1 : 0;
    return this.words.length - removed;
  }

  /** The words that were added and not removed, in that order. */
  get ownWords(): string[] {
    return [...this.own.keys()];
  }

  has(word: string): boolean {
    const path = this.walk(word);
    return path !== undefined && this.word[path[path.length - 1]!]! !== NONE;
  }

  /**
   * Add a word, or give one a new prior until it is removed.
   *
   * Throws bad-word if it is empty or the model has no label for one of its characters.
   */
  add(word: string, prior: number = logPrior(USER_RANK)): void {
    const labels = spell(word, this.characters);
    if (typeof labels === "string") {
      throw new TransducerError("bad-word", `The word "${word}" has "${labels}", which this model has no label for; spell it in other characters.`);
    }
    if (!labels.length) throw new TransducerError("bad-word", "The word is empty; give one of at least one character.");
    if (!Number.isFinite(prior)) throw new TransducerError("bad-word", `The prior of "${word}" is not a finite number; give a log probability.`);
    const path = [ROOT];
    for (const label of labels) path.push(this.child(path[path.length - 1]!, label) ?? this.append(path[path.length - 1]!, label));
    const node = path[path.length - 1]!;
    let index = this.word[node]!;
    if (!this.own.has(word)) this.own.set(word, index === NONE ? undefined : this.prior[index]);
    if (index === NONE) {
      index = this.word[node] = this.words.length;
      this.words.push(word);
    }
    this.prior[index] = prior;
    path.reverse().forEach((each) => this.lookAhead(each));
  }

  /**
   * Add another list, the most frequent first: of a second language, or of an app's own words. Each word gets the log
   * prior of its rank in that list plus the logarithm of `weight`, unless it can be found with a better one already;
   * words that the labels cannot spell are left out. Returns how many words were added or became likelier.
   */
  addList(list: Iterable<string>, weight = 1): number {
    if (!(weight > 0 && Number.isFinite(weight))) throw new TransducerError("bad-lexicon", `The weight of a word list is ${weight}; give a number above 0.`);
    const spellable = [...new Set(list)].filter((word) => word && typeof spell(word, this.characters) !== "string");
    const better = spellable.map((word, rank) => [word, logPrior(rank) + Math.log(weight)] as const).filter(([word, prior]) => !(this.priorOf(word) >= prior));
    for (const [word, prior] of better) this.add(word, prior);
    return better.length;
  }

  /** Raise the log prior of words, by their index, while `run` goes on. */
  async lifted<Result>(gains: ReadonlyMap<number, number>, run: () => Promise<Result>): Promise<Result> {
    const before = new Map<number, number>();
    const set = (index: number, prior: number) => {
      this.prior[index] = prior;
      this.walk(this.words[index]!)!.reverse().forEach((node) => this.lookAhead(node));
    };
    for (const [index, gain] of gains) {
      const prior = this.prior[index]!;
      // A word that was added with a prior of its own may have been taken back.
      if (Number.isNaN(prior)) continue;
      before.set(index, prior);
      set(index, prior + gain);
    }
    try {
      return await run();
    } finally {
      for (const [index, prior] of before) set(index, prior);
    }
  }

  /** Return the log prior of a word, or -Infinity if it cannot be found. */
  private priorOf(word: string): number {
    const path = this.walk(word);
    const index = path ? this.word[path[path.length - 1]!]! : NONE;
    return index === NONE ? -Infinity : this.prior[index]!;
  }

  /** Take back an added word; one that the lexicon had before gets its prior back. Returns whether it was there. */
  remove(word: string): boolean {
    if (!this.own.has(word)) return false;
    const path = this.walk(word)!.reverse();
    const before = this.own.get(word);
    const index = this.word[path[0]!]!;
    if (before === undefined) this.word[path[0]!] = NONE;
    this.prior[index] = before ?? NaN;
    this.own.delete(word);
    path.forEach((each) => this.lookAhead(each));
    return true;
  }

  /** Call `visit` with the label and number of every child of a node. */
  children(node: number, visit: (label: number, child: number) => void): void {
    if (node < this.fixed) {
      const end = this.first[node + 1]!;
      for (let child = this.first[node]!; child < end; child++) visit(this.label[child]!, child);
    }
    if (this.added.size) for (const child of this.added.get(node) ?? []) visit(this.label[child]!, child);
  }

  private child(node: number, label: number): number | undefined {
    let found: number | undefined;
    this.children(node, (other, child) => {
      if (other === label) found = child;
    });
    return found;
  }

  /** Return the nodes of a word from the root on, or undefined if the trie does not have it. */
  private walk(word: string): number[] | undefined {
    const labels = spell(word, this.characters);
    if (typeof labels === "string") return undefined;
    const path = [ROOT];
    for (const label of labels) {
      const next = this.child(path[path.length - 1]!, label);
      if (next === undefined) return undefined;
      path.push(next);
    }
    return path;
  }

  private append(parent: number, label: number): number {
    const node = this.nodes++;
    if (node === this.label.length) {
      const room = node + (node >> 2) + 64;
      this.label = grown(this.label, new Uint8Array(room));
      this.word = grown(this.word, new Int32Array(room));
      this.ahead = grown(this.ahead, new Float64Array(room));
    }
    this.label[node] = label;
    this.word[node] = NONE;
    this.ahead[node] = -Infinity;
    const siblings = this.added.get(parent);
    if (siblings) siblings.push(node);
    else this.added.set(parent, [node]);
    return node;
  }

  private lookAhead(node: number): void {
    const word = this.word[node]!;
    let best = word === NONE ? -Infinity : this.prior[word]!;
    this.children(node, (_, child) => {
      if (this.ahead[child]! > best) best = this.ahead[child]!;
    });
    this.ahead[node] = best;
  }
}

/** Return the labels of a word's characters, or the first character that has none. */
function spell(word: string, characters: ReadonlyMap<string, number>): number[] | string {
  const labels: number[] = [];
  for (const character of word) {
    const label = characters.get(character);
    if (label === undefined) return character;
    labels.push(label);
  }
  return labels;
}

function grown<A extends Uint8Array | Int32Array | Float64Array>(from: A, to: A): A {
  to.set(from);
  return to;
}
