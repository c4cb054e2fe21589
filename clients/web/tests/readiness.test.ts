import assert from "node:assert/strict";
import { test } from "node:test";
import { distanceM, readiness } from "../src/proving/readiness.ts";
import { numbers } from "./chance.ts";

const RULES = { PROOF_MORATORIUM_MS: 10_000, PROOF_SPEED_LIMIT_MPS: 15, PROOF_SPEED_HORIZON_MS: 3_600_000 };
const ZURICH = { lat: 47.3769, lon: 8.5417 };
const LAST = { ...ZURICH, timestampMs: 1_780_000_000_000 };

test("an account without a proof may prove at any time", () => {
  assert.deepEqual(readiness(null, ZURICH, RULES), { fromMs: null, because: null });
});

test("at the same place the moratorium counts", () => {
  assert.deepEqual(readiness(LAST, ZURICH, RULES), { fromMs: LAST.timestampMs + 10_000, because: "moratorium" });
});

test("the distance is the node's", () => {
  // Of tests/vectors and any atlas: a degree along a meridian, and half round the equator.
  assert.ok(Math.abs(distanceM({ lat: 0, lon: 0 }, { lat: 1, lon: 0 }) - 111_194.93) < 0.01);
  assert.ok(Math.abs(distanceM({ lat: 0, lon: -90 }, { lat: 0, lon: 90 }) - Math.PI * 6_371_000) < 1);
  assert.ok(Math.abs(distanceM({ lat: 0, lon: 179.5 }, { lat: 0, lon: -179.5 }) - 111_194.93) < 0.01);
});

test("wherever one goes, it is allowed from that moment on and not before", () => {
  const chance = numbers(7);
  for (let round = 0; round < 2_000; round += 1) {
    // From some metres to thousands of kilometres.
    const reach = 10 ** (chance() * 6 - 5);
    const here = { lat: ZURICH.lat + (chance() - 0.5) * reach, lon: ZURICH.lon + (chance() - 0.5) * reach };
    const { fromMs } = readiness(LAST, here, RULES);
    assert.ok(fromMs !== null);
    assert.ok(isAllowed(fromMs - LAST.timestampMs, distanceM(LAST, here)), `${fromMs} is too early`);
    assert.ok(!isAllowed(fromMs - 2 - LAST.timestampMs, distanceM(LAST, here)), `${fromMs} is later than need be`);
  }
});

/** docs/protocol.md §2. */
function isAllowed(elapsedMs: number, metres: number): boolean {
  if (elapsedMs < RULES.PROOF_MORATORIUM_MS) return false;
  return elapsedMs > RULES.PROOF_SPEED_HORIZON_MS || metres / (elapsedMs / 1_000) <= RULES.PROOF_SPEED_LIMIT_MPS;
}
