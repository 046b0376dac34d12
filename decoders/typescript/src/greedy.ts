/**
 * Greedy decoding of RNN-T and TDT models, one stream: py/transducer/decoding/greedy.py is the reference.
 */
import type { Step } from "./beam-search.js";

export interface GreedyShape {
  readonly blank: number;
  readonly D: number;
  readonly L: number;
  readonly H: number;
  /** TDT durations in encoder frames; none for RNN-T. */
  readonly durations: readonly number[];
  /** Labels at most in one frame. */
  readonly maxSymbols: number;
}

/** A label, the encoder frame where it was found, its duration in frames (0 for RNN-T), and its probability. */
export interface Label {
  readonly id: number;
  readonly frame: number;
  readonly duration: number;
  readonly confidence: number;
}

/** Return the labels of encoder frames [T, D]. */
export async function greedySearch(frames: Float32Array, step: Step, shape: GreedyShape): Promise<Label[]> {
  const { blank, D, L, H, durations, maxSymbols } = shape;
  const found: Label[] = [];
  const last = BigInt64Array.of(BigInt(blank));
  let h = new Float32Array(L * H);
  let c = new Float32Array(L * H);
  let repeats = 0;
  for (let frame = 0; frame < frames.length / D; ) {
    const stepped = await step(1, frames.subarray(frame * D, (frame + 1) * D), last, h, c);
    const { logits } = stepped;
    const id = best(logits, 0, blank + 1);
    const duration = durations.length ? durations[best(logits, blank + 1, durations.length)]! : 0;
    // A blank leaves label and states as they were.
    if (id !== blank) {
      found.push({ id, frame, duration, confidence: probability(logits, id, blank + 1) });
      last[0] = BigInt(id);
      h = stepped.h as Float32Array<ArrayBuffer>;
      c = stepped.c as Float32Array<ArrayBuffer>;
    }
    const advance = id === blank ? Math.max(duration, 1) : duration;
    frame += advance;
    // Label after label may fall on one frame, but not without end.
    repeats = advance ? 0 : repeats + 1;
    if (repeats === maxSymbols) {
      frame++;
      repeats = 0;
    }
  }
  return found;
}

function best(values: Float32Array, from: number, length: number): number {
  let place = from;
  for (let at = from + 1; at < from + length; at++) if (values[at]! > values[place]!) place = at;
  return place - from;
}

function probability(logits: Float32Array, id: number, labels: number): number {
  let sum = 0;
  for (let label = 0; label < labels; label++) sum += Math.exp(logits[label]! - logits[id]!);
  return 1 / sum;
}
