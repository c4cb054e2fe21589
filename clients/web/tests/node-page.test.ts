import assert from "node:assert/strict";
import { test } from "node:test";
import { linePath, scaleFor, timeTicks } from "../src/views/node/scaling.ts";
import { stepsOf } from "../src/views/node/steps.ts";

const SCALES: [values: (number | null)[], isWhole: boolean, ticks: number[]][] = [
  [[], false, [0, 1]],
  [[0, null, 0], true, [0, 1]],
  [[1], true, [0, 1]],
  [[3], true, [0, 1, 2, 3]],
  [[1, 7], true, [0, 2, 4, 6, 8]],
  [[100], false, [0, 20, 40, 60, 80, 100]],
  [[101], false, [0, 50, 100, 150]],
  [[0.3], false, [0, 0.1, 0.2, 0.3]],
  [[0.0004], false, [0, 0.0001, 0.0002, 0.0003, 0.0004]],
  [[1_234_567], true, [0, 500_000, 1_000_000, 1_500_000]],
];

for (const [values, isWhole, ticks] of SCALES) {
  test(`an axis for ${JSON.stringify(values)} has ${ticks.join(" ")}`, () => {
    const scale = scaleFor(values, isWhole);
    assert.deepEqual(scale.ticks, ticks);
    assert.equal(scale.max, ticks.at(-1));
    assert.ok(values.every((value) => (value ?? 0) <= scale.max));
  });
}

test("a line leaves a gap where nothing was measured, and shows a lone point", () => {
  const at = (atMs: number, value: number | null) => ({ atMs, value });
  const points = [at(0, 0), at(10, 5), at(20, null), at(30, 10), at(40, null), at(50, 2), at(60, 4)];
  assert.equal(linePath(points, { max: 10, ticks: [] }, 0, 60, { width: 60, height: 100 }), "M0.0 100.0L10.0 50.0M30.0 0.0h0.1M50.0 80.0L60.0 60.0");
  assert.equal(linePath([], { max: 1, ticks: [] }, 0, 0, { width: 1, height: 1 }), "");
});

test("moments below a chart are whole minutes, some four of them", () => {
  const from = Date.UTC(2026, 0, 1, 12, 3, 30);
  for (const minutes of [2, 5, 12, 30, 60]) {
    const ticks = timeTicks(from, from + minutes * 60_000);
    assert.ok(ticks.length >= 1 && ticks.length <= 6, `${minutes}: ${ticks.length}`);
    assert.ok(ticks.every((tick) => tick % 60_000 === 0 && tick >= from && tick <= from + minutes * 60_000));
  }
});

test("each of the node's steps is one of four, and those before it are done", () => {
  const states = (step: string) => stepsOf({ step }).map((one) => one.state).join(" ");
  assert.equal(states("IDLE"), "later later later later");
  assert.equal(states("PROPOSE"), "now later later later");
  assert.equal(states("PRE_VOTE_WAIT"), "done now later later");
  assert.equal(states("TIMEOUT_PRE_COMMIT"), "done done now later");
  assert.equal(states("COMMIT"), "done done done now");
  assert.equal(states("of a later release"), "later later later later");
});
