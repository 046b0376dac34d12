import assert from "node:assert/strict";
import { test } from "node:test";
import { arrangeKeys, checkTrace, placeKeys, swipeFeatures, type LayoutMeta } from "../src/index.js";
import { expectError, points, qwerty, QWERTY, repositoryJson } from "./support.js";

interface Golden {
  name: string;
  layout: string;
  points: number[][];
  features: number[][];
}

for (const golden of repositoryJson<Golden[]>("tests/golden_features.json")) {
  test(`features of ${golden.name} on ${golden.layout}`, () => {
    const keyboard = placeKeys(repositoryJson<LayoutMeta>(`configs/layouts/${golden.layout}.json`));
    const found = swipeFeatures(points(golden.points), arrangeKeys(keyboard, qwerty().keys, golden.layout));
    assert.equal(found.rows, golden.features.length);
    const expected = golden.features.flat();
    assert.equal(found.data.length, expected.length);
    expected.forEach((value, at) => assert.ok(Math.abs(found.data[at]! - value) <= 1e-6 * Math.max(1, Math.abs(value)), `${at}: ${found.data[at]} for ${value}`));
  });
}

test("what makes no swipe is a typed error", () => {
  const good = [[0.1, 0.2, 0], [0.3, 0.2, 20], [0.5, 0.2, 40]];
  checkTrace(points(good));
  const swapped = (at: number, point: number[]) => points(good.map((each, index) => (index === at ? point : each)));
  assert.throws(() => checkTrace([]), expectError("empty-trace", "no points"));
  assert.throws(() => checkTrace(points([[0.5, 0.5, 0]])), expectError("single-point", "tap"));
  for (const place of [0, 1, 2]) {
    for (const value of [NaN, Infinity]) {
      const point = [...good[1]!];
      point[place] = value;
      assert.throws(() => checkTrace(swapped(1, point)), expectError("bad-trace", "finite"));
    }
  }
  assert.throws(() => checkTrace(swapped(1, [1.01, 0.2, 20])), expectError("bad-trace", "outside"));
  assert.throws(() => checkTrace(swapped(1, [0.3, -0.1, 20])), expectError("bad-trace", "outside"));
  assert.throws(() => checkTrace(swapped(1, [0.3, 0.2, 50])), expectError("bad-trace", "backwards"));
  assert.throws(() => checkTrace(swapped(2, [0.3, 0.2, 20_001])), expectError("bad-trace", "longer"));
});

test("a layout without a letter of the model is a typed error", () => {
  const few = placeKeys({ ...QWERTY, rows: [{ keys: "asdf", offset: 0 }] });
  assert.throws(() => arrangeKeys(few, qwerty().keys, "few"), expectError("bad-layout", 'few has no key "q"'));
});

test("a layout that cannot be is a typed error", () => {
  assert.throws(() => placeKeys({ ...QWERTY, rows: [] }), expectError("bad-package", "layout"));
  assert.throws(() => placeKeys({ ...QWERTY, rows: [{ keys: "aa", offset: 0 }] }), expectError("bad-package", "twice"));
  assert.throws(() => placeKeys({ ...QWERTY, columns: 3 }), expectError("bad-package", "outside"));
});
