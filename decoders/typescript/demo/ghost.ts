import type { Layout, Point } from "../src/index.js";

const SAMPLE_MS = 8;

/**
 * Return a smooth swipe of a word over a layout: minimum-jerk strokes from key to key, each begun before the last ends.
 *
 * Characters without a key are passed over; returns nothing if fewer than one key is left.
 */
export function ghostSwipe(word: string, layout: Layout): Point[] {
  const keys = [...word].map((character) => layout.keys.indexOf(character)).filter((key, at, all) => key >= 0 && key !== all[at - 1]);
  if (!keys.length) return [];
  const places = keys.map((key) => [layout.centres[2 * key]!, layout.centres[2 * key + 1]!] as const);
  if (places.length === 1) places.push([places[0]![0] + 0.3, places[0]![1]]);
  const strokes: { begin: number; duration: number; dx: number; dy: number }[] = [];
  let begin = 20;
  for (let at = 1; at < places.length; at++) {
    const [dx, dy] = [places[at]![0] - places[at - 1]![0], places[at]![1] - places[at - 1]![1]];
    const duration = 100 + 65 * Math.log2(1 + Math.hypot(dx, dy));
    strokes.push({ begin, duration, dx, dy });
    begin += duration * 0.8;
  }
  const last = strokes[strokes.length - 1]!;
  const end = last.begin + last.duration + 40;
  const points: Point[] = [];
  for (let t = 0; t <= end; t += SAMPLE_MS) {
    let [x, y] = places[0]!;
    for (const { begin, duration, dx, dy } of strokes) {
      const s = Math.min(Math.max((t - begin) / duration, 0), 1);
      const share = s ** 3 * (10 - 15 * s + 6 * s * s);
      x += dx * share;
      y += dy * share;
    }
    const within = (value: number, most: number) => Math.min(Math.max(value / most, 0), 1);
    points.push({ x: within(x, layout.width), y: within(y, layout.height), t });
  }
  return points;
}
