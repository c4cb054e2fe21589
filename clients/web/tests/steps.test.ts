import assert from "node:assert/strict";
import { test } from "node:test";
import { allTaken, areTaken } from "../src/globe/steps.ts";

function* counting(to: number, count: { now: number }): Generator<void, string> {
  for (; count.now < to; count.now += 1) yield;
  return "all";
}

test("steps are taken for so long, and go on where they were", () => {
  const count = { now: 0 };
  const steps = counting(3, count);
  assert.equal(areTaken(steps, 0), false);
  assert.equal(count.now, 0);
  assert.equal(areTaken(steps, Infinity), true);
  assert.equal(count.now, 3);
});

test("between so many steps something else has its turn", async () => {
  const count = { now: 0 };
  const seen: number[] = [];
  const watch = setInterval(() => seen.push(count.now));
  assert.equal(await allTaken(counting(40, count), 0), "all");
  clearInterval(watch);
  assert.ok(seen.some((now) => now > 0 && now < 40), String(seen));
});
