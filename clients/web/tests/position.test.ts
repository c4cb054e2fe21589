import assert from "node:assert/strict";
import { test } from "node:test";
import { BEGUN, failed, heard, signalOf, type Watch } from "../src/proving/position.ts";
import { placeOfText, watchAt } from "../src/proving/simulated.ts";

const NOW = 1_780_000_000_000;
const AT = { lat: 47.3769, lon: 8.5417, accuracy: 5 };
const kind = (watch: Watch, nowMs = NOW, limitM = 50) => signalOf(watch, nowMs, limitM).kind;

test("before anything is heard, it is looked for", () => assert.equal(kind(BEGUN), "searching"));

test("a fix of now that is exact enough is good, at the limit too", () => {
  assert.equal(kind(heard(BEGUN, { ...AT, timestamp: NOW - 900 }, NOW)), "good");
  assert.equal(kind(heard(BEGUN, { ...AT, accuracy: 50, timestamp: NOW }, NOW)), "good");
  assert.equal(kind(heard(BEGUN, { ...AT, accuracy: 50.1, timestamp: NOW }, NOW)), "poor");
  assert.equal(kind(heard(BEGUN, { ...AT, accuracy: 0, timestamp: NOW }, NOW)), "poor");
});

test("a fix that the device had kept is refused", () => {
  const kept = heard(BEGUN, { ...AT, timestamp: NOW - 60_000 }, NOW);
  assert.equal(kind(kept), "old");
  // And again, when it comes once more.
  assert.equal(kind(heard(kept, { ...AT, timestamp: NOW - 60_000 }, NOW + 1_000), NOW + 1_000), "old");
});

test("several that were kept, and come all at once, are refused", () => {
  let watch = BEGUN;
  for (const ageMs of [90_000, 80_000, 70_000]) watch = heard(watch, { ...AT, timestamp: NOW - ageMs }, NOW);
  assert.equal(kind(watch), "old");
});

test("where the receiver's clock differs, a fix is of now once that clock is seen to run", () => {
  for (const skewMs of [-600_000, 600_000]) {
    const first = heard(BEGUN, { ...AT, timestamp: NOW + skewMs }, NOW);
    assert.equal(kind(first), "old");
    const second = heard(first, { ...AT, timestamp: NOW + skewMs + 1_100 }, NOW + 1_000);
    const signal = signalOf(second, NOW + 1_500, 50);
    assert.equal(signal.kind, "good");
    // What is signed is the device's time, which the node's is compared with.
    assert.equal(signal.kind === "good" && signal.heard.measuredAtMs, NOW + 1_000);
  }
});

test("a fix ages", () => {
  const watch = heard(BEGUN, { ...AT, timestamp: NOW }, NOW);
  assert.equal(kind(watch, NOW + 9_000), "good");
  assert.equal(kind(watch, NOW + 11_000), "silent");
  // One that was on its way for long is old sooner: what counts is when it was measured.
  assert.equal(kind(heard(BEGUN, { ...AT, timestamp: NOW - 8_000 }, NOW), NOW + 3_000), "old");
});

test("a fix from the future is never signed with a time that is still to come", () => {
  const signal = signalOf(heard(BEGUN, { ...AT, timestamp: NOW + 3_000 }, NOW), NOW, 50);
  assert.equal(signal.kind === "good" && signal.heard.measuredAtMs, NOW);
});

test("0, 0 is no position", () => assert.equal(kind(heard(BEGUN, { ...AT, lat: 0, lon: 0, timestamp: NOW }, NOW)), "searching"));

test("each trouble is told, and a short loss of signal does not undo a fresh fix", () => {
  for (const trouble of ["insecure", "unsupported", "denied", "noSignal"] as const) assert.equal(kind(failed(BEGUN, trouble)), trouble);
  const good = heard(BEGUN, { ...AT, timestamp: NOW }, NOW);
  assert.equal(kind(failed(good, "noSignal")), "good");
  assert.equal(kind(failed(good, "denied")), "denied");
  assert.equal(kind(heard(failed(BEGUN, "noSignal"), { ...AT, timestamp: NOW }, NOW)), "good");
});

test("a made-up place is read as people write numbers, and nothing else is", () => {
  assert.deepEqual(placeOfText("47,3769", " 8.5417 "), { lat: 47.3769, lon: 8.5417 });
  for (const [lat, lon] of [["91", "0"], ["1", "181"], ["", "8"], ["1e1", "8"], ["0", "0"], ["NaN", "8"]] as const) {
    assert.equal(placeOfText(lat, lon), null);
  }
  assert.equal(kind(watchAt({ lat: 47.3769, lon: 8.5417 }, NOW)), "good");
});
