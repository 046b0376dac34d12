/**
 * The features of a swipe: what the encoder sees of a trace.
 *
 * py/transducer/swipe/features.py is the reference and docs/swipe.md the description. All arithmetic is in float64,
 * in the reference's order, and rounded to float32 at last.
 */
import { TransducerError } from "./errors.js";
import type { Layout } from "./layout.js";

/** A point of a trace: x and y in [0, 1] of the letter area from its top left corner, time in milliseconds. */
export interface Point {
  readonly x: number;
  readonly y: number;
  readonly t: number;
}

/** Rows of numbers, one after the other. */
export interface Matrix {
  readonly data: Float32Array;
  readonly rows: number;
  readonly columns: number;
}

export const FEATURIZER_VERSION = 1;
/** Features that are not of keys. */
export const KINEMATICS = 12;
const FRAME_SECONDS = 0.025;
// A frame that the end of a trace misses by rounding alone is not another frame.
const FRAME_TOLERANCE = 1e-6;
const PROXIMITY_WIDTH = 0.8;
const MAX_SECONDS = 20;

/** Throw a typed error unless the points make a swipe. */
export function checkTrace(points: readonly Point[]): void {
  const bad = (what: string): never => {
    throw new TransducerError("bad-trace", what);
  };
  const first = points[0];
  const last = points[points.length - 1];
  if (!first || !last) throw new TransducerError("empty-trace", "The trace has no points; give the points of one swipe.");
  if (points.length === 1) throw new TransducerError("single-point", "The trace is a single point, which is a tap; give two points or more.");
  let before = first.t;
  for (const { x, y, t } of points) {
    if (!Number.isFinite(x) || !Number.isFinite(y) || !Number.isFinite(t)) bad("A coordinate or time of the trace is not a finite number; leave that point out.");
    if (x < 0 || x > 1 || y < 0 || y > 1) bad("A point lies outside the letter area, whose x and y go from 0 to 1; hold it to the edge.");
    if (t < before) bad("Time runs backwards in the trace; give the points in the order of their times.");
    before = t;
  }
  if (last.t - first.t > MAX_SECONDS * 1000) bad(`The trace lasts longer than ${MAX_SECONDS} s; give t in milliseconds, one swipe at a time.`);
}

/** Return a trace's features, [frames, 12 + keys]. The points must be in the order of their times. */
export function swipeFeatures(points: readonly Point[], layout: Layout): Matrix {
  const { width, height, centres } = layout;
  const [pathX, pathY] = resample(points);
  const rows = pathX.length;
  const keys = centres.length / 2;
  const columns = KINEMATICS + keys;
  for (let frame = 0; frame < rows; frame++) {
    pathX[frame]! *= width;
    pathY[frame]! *= height;
  }
  const data = new Float32Array(rows * columns);
  for (let frame = 0, at = 0; frame < rows; frame++) {
    const x = pathX[frame]!;
    const y = pathY[frame]!;
    const [vx, ax] = derivatives(pathX, frame);
    const [vy, ay] = derivatives(pathY, frame);
    const squared = vx * vx + vy * vy;
    const moving = Math.sqrt(squared + 1);
    data[at++] = (2 * x) / width - 1;
    data[at++] = (2 * y) / height - 1;
    data[at++] = vx / 10;
    data[at++] = vy / 10;
    data[at++] = Math.log1p(Math.sqrt(squared));
    data[at++] = ax / 100;
    data[at++] = ay / 100;
    data[at++] = vx / moving;
    data[at++] = vy / moving;
    data[at++] = (vx * ay - vy * ax) / (squared + 25) / 10;
    data[at++] = frame * FRAME_SECONDS;
    data[at++] = (rows - 1 - frame) * FRAME_SECONDS;
    for (let key = 0; key < keys; key++) {
      const dx = x - centres[2 * key]!;
      const dy = y - centres[2 * key + 1]!;
      data[at++] = Math.exp(-(dx * dx + dy * dy) / (2 * PROXIMITY_WIDTH ** 2));
    }
  }
  return { data, rows, columns };
}

/** Return x and y at every 25 ms from the first point on; of points at one and the same time the last counts. */
function resample(points: readonly Point[]): [Float64Array, Float64Array] {
  const begin = points[0]!.t;
  const known = points
    .map(({ x, y, t }) => ({ x, y, s: (t - begin) / 1000 }))
    .filter((point, index, all) => index === all.length - 1 || all[index + 1]!.s > point.s);
  const last = known.length - 1;
  const frames = Math.ceil(known[last]!.s / FRAME_SECONDS - FRAME_TOLERANCE) + 1;
  const xs = new Float64Array(frames);
  const ys = new Float64Array(frames);
  for (let frame = 0, at = 0; frame < frames; frame++) {
    const time = frame * FRAME_SECONDS;
    while (at < last && known[at + 1]!.s <= time) at++;
    const here = known[at]!;
    const next = known[at + 1];
    if (!next || time <= here.s) {
      xs[frame] = here.x;
      ys[frame] = here.y;
    } else {
      xs[frame] = ((next.x - here.x) / (next.s - here.s)) * (time - here.s) + here.x;
      ys[frame] = ((next.y - here.y) / (next.s - here.s)) * (time - here.s) + here.y;
    }
  }
  return [xs, ys];
}

/** Return velocity and acceleration at a frame, of the parabola fitted to five frames; those beyond the ends repeat. */
function derivatives(path: Float64Array, frame: number): [number, number] {
  const last = path.length - 1;
  const p0 = path[Math.max(frame - 2, 0)]!;
  const p1 = path[Math.max(frame - 1, 0)]!;
  const p2 = path[frame]!;
  const p3 = path[Math.min(frame + 1, last)]!;
  const p4 = path[Math.min(frame + 2, last)]!;
  return [
    (2 * (p4 - p0) + (p3 - p1)) / (10 * FRAME_SECONDS),
    (2 * (p4 + p0) - (p3 + p1) - 2 * p2) / (7 * FRAME_SECONDS ** 2),
  ];
}
