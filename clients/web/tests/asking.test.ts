import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { hereOf } from "../src/proving/told.ts";
import { knownOf, lookedAfter } from "../src/shell/known.ts";

test("an answer to one question is not shown as that to another", () => {
  const known = { asksFor: "/account/one", answer: 1 };
  assert.equal(knownOf(known, "/account/one"), known);
  assert.deepEqual(knownOf(known, "/account/other"), { asksFor: "/account/other" });
});

test("a page that is opened in the background has its answer, and asks again only while it is seen", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  let isHidden = true;
  let looks = 0;
  const end = lookedAfter(1_000, () => isHidden, async () => void (looks += 1));
  const pass = async (ms: number) => {
    await settled();
    mock.timers.tick(ms);
    await settled();
  };
  assert.equal(looks, 1);
  await pass(1_000);
  await pass(1_000);
  assert.equal(looks, 1);
  isHidden = false;
  await pass(1_000);
  assert.equal(looks, 2);
  end();
  await pass(5_000);
  assert.equal(looks, 2);
  mock.timers.reset();
});

test("what a node says of the triangle here is taken only if it is one", () => {
  const good = { triangleId: "STEP-TRI-v1:A1-00000000000000000000-AAA", level: 1, reward: "1.000000", clicks: 0, state: "active" };
  assert.deepEqual(hereOf({ ...good, more: true }), good);
  for (const bad of [undefined, null, 7, {}, { ...good, level: 0 }, { ...good, level: 22 }, { ...good, level: "1" }, { ...good, reward: "NaN" }, { ...good, reward: 1 }, { ...good, clicks: null }]) {
    assert.equal(hereOf(bad), null);
  }
});
