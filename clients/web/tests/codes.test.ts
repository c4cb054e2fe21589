import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import "./page.ts";
import type { Details } from "step-client";
import { explained } from "../src/shell/explained.ts";
import { LANGUAGES, say, speak, type Language } from "../src/shell/texts.ts";
import { codes } from "../src/texts/codes.ts";

// The tests are run in clients/web.
const table: { code: string; details: string[]; example: Details }[] = JSON.parse(readFileSync("../codes.json", "utf8")).codes;
const sources = readdirSync("../js/src").map((name) => readFileSync(`../js/src/${name}`, "utf8"));
const ofClient = [...new Set(sources.flatMap((source) => [...source.matchAll(/StepError\("([A-Z_]+)"/g)].map(([, code]) => code!)))];
const OWN = ["WRONG_CHAIN"];
const languages = Object.keys(LANGUAGES) as Language[];

test("every code of the node's table and of step-client has its sentences, and no other has", () => {
  assert.ok(ofClient.includes("NO_ANSWER") && table.length > 20);
  const wanted = new Set([...table.map(({ code }) => code), ...ofClient, ...OWN]);
  for (const code of wanted) assert.ok(Object.hasOwn(codes, code), `no sentence for ${code}`);
  for (const name of Object.keys(codes)) assert.ok(wanted.has(name.split(".")[0]!), `${name} is no code`);
});

test("sentences end as sentences do, and shout at nobody", () => {
  for (const [name, { happened, advice }] of Object.entries(codes)) {
    for (const language of languages) {
      for (const text of [happened[language], advice[language]]) assert.match(text, /^[^!]+\.$/, `${name}: ${text}`);
    }
    assert.notEqual(happened.en, happened.de);
  }
});

test("with what a node tells, nothing is left in braces", () => {
  for (const language of languages) {
    speak(language);
    for (const { code, example } of table) {
      const { happened, advice, values } = explained({ code, details: example });
      const text = `${say(happened, values)} ${say(advice, values)}`;
      assert.doesNotMatch(text, /[{}]|undefined|NaN/, text);
    }
  }
});

test("with no more than what a code always tells, nothing is left in braces either", () => {
  const values: Details = {
    ...{ value: 7, limit: 50, unit: "m", field: "lat", state: "active", have: "1.000000", need: "2.000000", expected: 3 },
    ...{ serverTime: "2026-01-31T12:00:00.000Z", driftMs: -9000, distanceM: 254, elapsedMs: 4000 },
    ...{ lastProofAt: "2026-01-31T12:00:00.000Z", retryAt: "2026-01-31T12:00:10.000Z", line: "", digest: "" },
  };
  for (const { code, details } of table) {
    const always = Object.fromEntries(details.filter((name) => name in values).map((name) => [name, values[name]]));
    const told = explained({ code, details: always });
    assert.doesNotMatch(say(told.happened, told.values) + say(told.advice, told.values), /[{}]/, code);
  }
});

test("a clock that is ahead is told from a proof that is old", () => {
  speak("en");
  const of = (driftMs: number) => {
    const { happened, values } = explained({ code: "CLOCK_DRIFT", details: { driftMs, limit: 300_000, unit: "ms" } });
    return say(happened, values);
  };
  assert.match(of(65_000), /1 min 5 s ahead/);
  assert.match(of(-400_000), /6 min 40 s old.*5 min/);
});

test("a used-up triangle leads on to the next one, or to another place", () => {
  speak("en");
  const details = { tryInstead: { triangleId: "STEP-TRI-v1:P11-13131312000000000000-3WC", level: 11 } };
  const further = explained({ code: "TRIANGLE_EXHAUSTED", details });
  assert.match(say(further.advice, further.values), /level 11/);
  assert.match(explained({ code: "TRIANGLE_EXHAUSTED" }).advice.en, /another place/);
});

test("a code of a newer node is told as one, whatever its name", () => {
  for (const code of ["SOMETHING_NEW", "constructor", "__proto__"]) assert.match(explained({ code }).happened.en, /does not know the reason/);
});
