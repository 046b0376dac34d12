/**
 * Beam search of RNN-T and TDT models, one recording: docs/decoding.md specifies it, and
 * py/transducer/decoding/beam_search.py is the reference.
 */
import type { Step, Stepped } from "./beam-search.js";
import type { Bias } from "./bias.js";
import type { GreedyShape, Label } from "./greedy.js";

/** Nats behind the best at which a prefix is dropped, also where something steers, which may bring back what is behind. */
const [THRESHOLD, STEERED_THRESHOLD] = [2.5, 5];

export interface SpeechSearchOptions {
  /** Prefixes kept. */
  readonly beam: number;
  /** What steers it beside the model. */
  readonly bias?: Bias | undefined;
  /** Nats behind the best at which a prefix is dropped: 2.5, or 5 with a bias, unless given. */
  readonly threshold?: number;
  /** Called before every step with the frame, and the labels and scores of the prefixes that go on, the best first. */
  readonly watch?: (frame: number, prefixes: number[][], scores: number[]) => void;
}

/** The labels of a hypothesis, their log probability over all alignments found, and the score it is ranked by. */
export interface Hypothesis {
  readonly labels: Label[];
  readonly logProb: number;
  readonly score: number;
}

/** An alignment's last label, and the rest of it. */
interface Link extends Label {
  readonly before: Link | undefined;
}

/** A prefix and the frame that it sees next. The states are those before its last label, in a row of a step's. */
interface Row {
  readonly prefix: number;
  readonly link: Link | undefined;
  readonly frame: number;
  readonly last: number;
  readonly states: Pick<Stepped, "h" | "c"> & { readonly size: number };
  readonly at: number;
  readonly bias: number;
  readonly logProb: number;
  readonly score: number;
}

/** Return the hypotheses of encoder frames [T, D], the best first. */
export async function speechSearch(frames: Float32Array, step: Step, shape: GreedyShape, options: SpeechSearchOptions): Promise<Hypothesis[]> {
  const { blank, D, L, H, maxSymbols } = shape;
  const { beam, bias, threshold = bias ? STEERED_THRESHOLD : THRESHOLD, watch } = options;
  const spans = shape.durations.length ? shape.durations : [0];
  const numbers = new Map<number, number>();
  const length = frames.length / D;
  const zeros = { h: new Float32Array(L * H), c: new Float32Array(L * H), size: 1 };
  let rows: Row[] = [{ prefix: 0, link: undefined, frame: 0, last: blank, states: zeros, at: 0, bias: 0, logProb: 0, score: 0 }];
  let before = -1;
  let symbols = 0;
  for (;;) {
    const now = rows.reduce((least, { frame }) => Math.min(least, frame), Infinity);
    if (now >= length) break;
    symbols = now === before ? symbols + 1 : 0;
    before = now;
    const waiting = rows.filter(({ frame }) => frame !== now);
    const due = merged(rows.filter(({ frame }) => frame === now));
    const every = best([...due, ...waiting], beam);
    const going = every.filter((row) => row.frame === now && row.score >= every[0]!.score - threshold);
    if (going.length) watch?.(now, going.map(({ link }) => labelsOf(link).map(({ id }) => id)), going.map(({ score }) => score));
    rows = going.length ? [...waiting, ...(await grown(now, going, symbols === maxSymbols - 1))] : waiting;
  }
  const ended = merged(rows.map((row) => ({ ...row, frame: length })));
  const found = ended.map((row) => ({ labels: labelsOf(row.link), logProb: row.logProb, score: row.score + (bias?.end(row.bias) ?? 0) }));
  return found.sort((one, other) => other.score - one.score);

  /** Return the likeliest successors of prefixes at a frame: after the blank, or one label longer. */
  async function grown(frame: number, beams: Row[], lastSymbol: boolean): Promise<Row[]> {
    const count = beams.length;
    const inputs = new Float32Array(count * D);
    const last = new BigInt64Array(count);
    const [h, c] = [new Float32Array(L * count * H), new Float32Array(L * count * H)];
    beams.forEach(({ states, at, last: label }, row) => {
      inputs.set(frames.subarray(frame * D, (frame + 1) * D), row * D);
      last[row] = BigInt(label);
      for (let layer = 0; layer < L; layer++) {
        const from = (layer * states.size + at) * H;
        h.set(states.h.subarray(from, from + H), (layer * count + row) * H);
        c.set(states.c.subarray(from, from + H), (layer * count + row) * H);
      }
    });
    const stepped = await step(count, inputs, last, h, c);
    const states = { h: stepped.h.slice(), c: stepped.c.slice(), size: count };
    const width = stepped.logits.length / count;
    const arcs: { row: number; label: number; span: number; logProb: number; score: number; confidence: number }[] = [];
    let top = -Infinity;
    const scored = beams.map(({ bias: state }, row) => {
      const logits = stepped.logits.subarray(row * width, (row + 1) * width);
      const labels = logSoftmax(logits.subarray(0, blank + 1));
      const durations = shape.durations.length ? logSoftmax(logits.subarray(blank + 1)) : Float64Array.of(0);
      const gains = bias?.gains(state);
      const longest = durations.reduce((most, value) => Math.max(most, value), -Infinity);
      for (let label = 0; label <= blank; label++) top = Math.max(top, beams[row]!.score + labels[label]! + (label === blank ? 0 : (gains?.[label] ?? 0)) + longest);
      return { labels, durations, gains };
    });
    scored.forEach(({ labels, durations, gains }, row) => {
      for (let label = 0; label <= blank; label++) {
        const gain = label === blank ? 0 : (gains?.[label] ?? 0);
        for (let span = 0; span < spans.length; span++) {
          const step = labels[label]! + durations[span]!;
          const score = beams[row]!.score + step + gain;
          if (score >= top - threshold) arcs.push({ row, label, span, logProb: beams[row]!.logProb + step, score, confidence: Math.exp(labels[label]!) });
        }
      }
    });
    return best(arcs, beam).map(({ row, label, span, logProb, score, confidence }) => {
      const from = beams[row]!;
      const duration = spans[span]!;
      const next = frame + Math.max(duration, label === blank || lastSymbol ? 1 : 0);
      if (label === blank) return { ...from, frame: next, logProb, score };
      const key = from.prefix * (blank + 1) + label;
      if (!numbers.has(key)) numbers.set(key, numbers.size + 1);
      const link = { before: from.link, id: label, frame, duration, confidence };
      return { prefix: numbers.get(key)!, link, frame: next, last: label, states, at: row, bias: bias?.follow(from.bias, label) ?? 0, logProb, score };
    });
  }
}

/** The `count` best by score, the best first. */
function best<T extends { readonly score: number }>(rows: T[], count: number): T[] {
  return [...rows].sort((one, other) => other.score - one.score).slice(0, count);
}

/** Rows of the same prefix as one, their probabilities added; the likeliest alignment stays known. */
function merged(rows: Row[]): Row[] {
  const groups = new Map<number, Row[]>();
  for (const row of rows) groups.set(row.prefix, [...(groups.get(row.prefix) ?? []), row]);
  return [...groups.values()].map((group) => {
    const likeliest = group.reduce((one, other) => (other.logProb > one.logProb ? other : one));
    const logProb = likeliest.logProb + Math.log(group.reduce((sum, row) => sum + Math.exp(row.logProb - likeliest.logProb), 0));
    return { ...likeliest, logProb, score: likeliest.score + logProb - likeliest.logProb };
  });
}

function labelsOf(link: Link | undefined): Label[] {
  const found: Label[] = [];
  for (let at = link; at; at = at.before) found.push({ id: at.id, frame: at.frame, duration: at.duration, confidence: at.confidence });
  return found.reverse();
}

function logSoftmax(logits: Float32Array): Float64Array {
  const most = logits.reduce((one, other) => Math.max(one, other), -Infinity);
  const sum = logits.reduce((total, value) => total + Math.exp(value - most), 0);
  return Float64Array.from(logits, (value) => value - most - Math.log(sum));
}
