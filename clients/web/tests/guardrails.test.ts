import assert from "node:assert/strict";
import { test } from "node:test";
import "./page.ts";
import { speak } from "../src/shell/texts.ts";
import { figure, reached } from "../src/views/guardrails/readings.ts";

test("a guardrail's figure is told with its unit, in the language's marks", () => {
  speak("en");
  assert.equal(figure("400000.123456", "STEP"), "400,000.123456 STEP");
  assert.equal(figure("120.000000", "STEP per hour"), "120.00 STEP an hour");
  assert.equal(figure("31.40", "%"), "31.4 %");
  assert.equal(figure("-1.000000", "STEP"), "-1.00 STEP", "a faulty ledger may have made it less than nothing");
  assert.equal(figure("3.00", "widgets"), "3.00 widgets", "of a later release");
  speak("de");
  assert.equal(figure("120.500000", "STEP per hour"), "120,50 STEP in der Stunde");
});

test("what is no number, or one that nobody could read, is a dash", () => {
  const told = [null, "<b>", "1e3", "9".repeat(31), 12 as unknown as string].map((value) => figure(value, "STEP"));
  assert.deepEqual(told, ["–", "–", "–", "–", "–"]);
});

test("how near a figure is to its bound is a part of one, where there is a bound", () => {
  const part = (figure: string | null, bound: string | null) => reached({ figure, bound });
  assert.deepEqual([part("25.00", "50.00"), part("80.00", "50.00"), part("-1.00", "50.00")], [0.5, 1, 0]);
  assert.deepEqual([part(null, "50.00"), part("1.00", null), part("1.00", "0.00"), part("x", "1.00")], [null, null, null, null]);
});
