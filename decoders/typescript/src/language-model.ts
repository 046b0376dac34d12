/**
 * N-gram models of tokens in ARPA format, fused into a beam search: docs/decoding.md specifies it, and
 * py/transducer/decoding/language_model.py is the reference.
 */
import type { Bias } from "./bias.js";
import { TransducerError } from "./errors.js";

/** Of the log probabilities of an n-gram model. */
export const LANGUAGE_MODEL_WEIGHT = 0.1;
// Log probability of a label that the model has not: as rare as the rarest that a text of a million tokens holds.
const UNSEEN = -Math.log(1e6);
const [BEGIN, END, UNKNOWN] = ["<s>", "</s>", "<unk>"];
const AGAIN = "make it again with `make token-lm TEXT=FILE`";

/** Natural logarithms of probability and backoff weight. */
interface Entry {
  readonly logProb: number;
  readonly backoff: number;
}

/** A backoff n-gram model as a bias: weight times ln p(label | labels before). */
export class LanguageModel implements Bias {
  private readonly entries: Map<string, Entry>;
  private readonly order: number;
  /** What may follow a context, with its log probability. */
  private readonly followers = new Map<string, [label: number, logProb: number][]>();
  private readonly contexts: string[][] = [];
  private readonly numbers = new Map<string, number>();
  private readonly rows = new Map<number, Float64Array>();

  /** `arpa` is the file's text, `labels` are the model's tokens in order of their ids. Throws bad-language-model. */
  constructor(arpa: string, private readonly labels: readonly string[], private readonly weight: number = LANGUAGE_MODEL_WEIGHT) {
    this.entries = readArpa(arpa);
    const numbers = new Map(labels.map((label, number) => [label, number]));
    const foreign = [...this.entries.keys()].filter((key) => !key.includes(" ") && !numbers.has(key) && ![BEGIN, END, UNKNOWN].includes(key));
    if (foreign.length) fail(`"${foreign[0]}" and ${foreign.length - 1} more of its words are not tokens of the model; ${AGAIN}, of the model's own tokens`);
    this.order = 1;
    for (const [key, { logProb }] of this.entries) {
      const words = key.split(" ");
      this.order = Math.max(this.order, words.length);
      const label = numbers.get(words.pop()!);
      const context = words.join(" ");
      // A context that only the end may follow is one, too.
      const list = this.followers.get(context) ?? [];
      this.followers.set(context, list);
      if (label !== undefined) list.push([label, logProb]);
    }
    this.number(this.shortened([BEGIN!]));
  }

  gains(state: number): Float64Array {
    let row = this.rows.get(state);
    if (!row) {
      const context = this.contexts[state]!;
      // The log probability of each label; a longer context takes the place of a shorter one.
      row = new Float64Array(this.labels.length).fill(this.entries.get(UNKNOWN!)?.logProb ?? UNSEEN);
      for (let start = context.length; start >= 0; start--) {
        const rest = context.slice(start);
        const backoff = this.backoff(rest);
        if (rest.length) row = row.map((value) => value + backoff);
        for (const [label, logProb] of this.followers.get(rest.join(" ")) ?? []) row[label] = logProb;
      }
      row = row.map((value) => this.weight * value);
      this.rows.set(state, row);
    }
    return row;
  }

  follow(state: number, label: number): number {
    return this.number(this.shortened([...this.contexts[state]!, this.labels[label]!]));
  }

  end(state: number): number {
    return this.entries.has(END!) ? this.weight * this.logProb(this.contexts[state]!, END!) : 0;
  }

  private logProb(context: readonly string[], word: string): number {
    const entry = this.entries.get([...context, word].join(" "));
    if (entry) return entry.logProb;
    return context.length ? this.backoff(context) + this.logProb(context.slice(1), word) : (this.entries.get(UNKNOWN!)?.logProb ?? UNSEEN);
  }

  private backoff(context: readonly string[]): number {
    return this.entries.get(context.join(" "))?.backoff ?? 0;
  }

  /** The part of a context that what follows depends on. */
  private shortened(words: string[]): string[] {
    let context = this.order > 1 ? words.slice(1 - this.order) : [];
    while (context.length && !this.followers.has(context.join(" ")) && !this.backoff(context)) context = context.slice(1);
    return context;
  }

  private number(context: string[]): number {
    const key = context.join(" ");
    if (!this.numbers.has(key)) this.numbers.set(key, this.contexts.push(context) - 1);
    return this.numbers.get(key)!;
  }
}

function readArpa(text: string): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  let order = 0;
  for (const [index, line] of text.split(/\r?\n/u).entries()) {
    if (line.startsWith("\\end\\")) break;
    const header = /^\\(\d+)-grams:\s*$/u.exec(line);
    if (header) order = Number(header[1]);
    else if (order && line.trim()) {
      // A token may be a space of another kind than these.
      const fields = line.split(/[ \t]/u);
      const words = fields.slice(1, order + 1);
      const [logProb, backoff] = [number(fields[0]!), fields.length === order + 2 ? number(fields[order + 1]!) : 0];
      const damaged = words.length !== order || fields.length > order + 2 || words.includes("") || !(logProb <= 0) || !Number.isFinite(backoff);
      if (damaged) fail(`line ${index + 1} is not an n-gram of ${order}; ${AGAIN}`);
      entries.set(words.join(" "), { logProb: logProb * Math.LN10, backoff: backoff * Math.LN10 });
    }
  }
  if (!entries.size) fail(`it has no n-grams; ${AGAIN}`);
  return entries;
}

function number(field: string): number {
  return field === "-inf" ? -Infinity : field ? Number(field) : NaN;
}

function fail(problem: string): never {
  throw new TransducerError("bad-language-model", `The language model cannot be used: ${problem}.`);
}
