import { TransducerError } from "./errors.js";

/** A keyboard layout as metadata has it: rows of keys one key width apart, each shifted by its offset. */
export interface LayoutMeta {
  readonly name: string;
  /** Height of the letter area over its width. */
  readonly aspect: number;
  /** Width of the letter area in keys. */
  readonly columns: number;
  readonly rows: readonly { readonly keys: string; readonly offset: number }[];
}

/** The letter keys of a keyboard; all lengths are in key widths, from the top left corner of the letter area. */
export interface Layout {
  readonly keys: readonly string[];
  /** Centres of the keys: x0, y0, x1, y1, ... */
  readonly centres: Float64Array;
  readonly width: number;
  readonly height: number;
  /** Height of a key. */
  readonly rowHeight: number;
}

/** Place the keys of a layout. Throws bad-package if it is none. */
export function placeKeys(meta: LayoutMeta): Layout {
  const rows = Array.isArray(meta?.rows) ? meta.rows : [];
  const width = Number(meta?.columns);
  const height = width * Number(meta?.aspect);
  const rowHeight = height / rows.length;
  const keys: string[] = [];
  const centres: number[] = [];
  rows.forEach((row, index) => {
    [...String(row.keys)].forEach((key, number) => {
      keys.push(key);
      centres.push(Number(row.offset) + number + 0.5, (index + 0.5) * rowHeight);
    });
  });
  const inside = centres.every((value, place) => value > 0 && value < (place % 2 ? height : width));
  if (!keys.length || !inside || new Set(keys).size !== keys.length) {
    throw new TransducerError("bad-package", "The package's keyboard layout has no keys, a key twice, or keys outside its letter area; package the model again.");
  }
  return { keys, centres: Float64Array.from(centres), width, height, rowHeight };
}

/**
 * Return a layout with its keys in the order of a model's letters, as its features have them, so that the model reads
 * swipes on it; keys that the model does not know are left out. Throws bad-layout if a letter has no key.
 */
export function arrangeKeys(layout: Layout, slots: readonly string[], name: string): Layout {
  const centres = slots.flatMap((letter) => {
    const key = layout.keys.indexOf(letter);
    if (key < 0) throw new TransducerError("bad-layout", `The layout ${name} has no key "${letter}", which the model needs; add the key.`);
    return [layout.centres[2 * key]!, layout.centres[2 * key + 1]!];
  });
  return { ...layout, keys: slots, centres: Float64Array.from(centres) };
}
