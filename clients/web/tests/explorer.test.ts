import assert from "node:assert/strict";
import { test } from "node:test";
import { children, polygon, triangleInteger, vertices } from "step-client";
import { attendance, participation, wasInSet } from "../src/views/explorer/attendance.ts";
import type { Validator } from "../src/views/explorer/answers.ts";
import { drawing, sideM } from "../src/views/explorer/flat.ts";
import { citiesNamed } from "../src/views/explorer/places.ts";
import { saidInProof } from "../src/views/explorer/proof-line.ts";
import { recognise, type Sought } from "../src/views/explorer/recognise.ts";
import { shortened } from "../src/shell/shortened.ts";

const ADDRESS = "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf";
const ID = `0x${"ab".repeat(32)}`;
const FACE_F = "STEP-TRI-v1:F1-00000000000000000000-5W6";

const SEARCHES: [text: string, sought: Sought[]][] = [
  ["42", [{ kind: "batch", height: 42 }]],
  [" #42 ", [{ kind: "batch", height: 42 }]],
  ["0", []],
  ["#0", []],
  ["9999999999999999", []],
  [ADDRESS, [{ kind: "account", address: ADDRESS }]],
  [ADDRESS.toUpperCase(), [{ kind: "account", address: ADDRESS }]],
  [ADDRESS.slice(2), [{ kind: "account", address: ADDRESS }]],
  [ID, [{ kind: "id", id: ID }]],
  [ID.slice(2).toUpperCase(), [{ kind: "id", id: ID }]],
  [FACE_F, [{ kind: "triangle", triangleId: FACE_F }]],
  ["f1-00000000000000000000-5w6", [{ kind: "triangle", triangleId: FACE_F }]],
  // Of a triangle's form, with a checksum that does not match.
  ["F1-00000000000000000000-5W7", []],
  ["F1-10000000000000000000-5W6", []],
  [String(triangleInteger(FACE_F)), [{ kind: "triangle", triangleId: FACE_F }, { kind: "batch", height: triangleInteger(FACE_F) }]],
  // 1 is a height, and the triangle A1.
  ["1", [{ kind: "batch", height: 1 }, { kind: "triangle", triangleId: "STEP-TRI-v1:A1-00000000000000000000-NCM" }]],
  ["47.3769, 8.5417", [{ kind: "point", lat: 47.3769, lon: 8.5417 }]],
  ["47.3769 8.5417", [{ kind: "point", lat: 47.3769, lon: 8.5417 }]],
  ["47,3769; 8,5417", [{ kind: "point", lat: 47.3769, lon: 8.5417 }]],
  ["-33.87,151.21", [{ kind: "point", lat: -33.87, lon: 151.21 }]],
  ["33.87° S, 70.5° W", [{ kind: "point", lat: -33.87, lon: -70.5 }]],
  ["48.2 N 16.4 O", [{ kind: "point", lat: 48.2, lon: 16.4 }]],
  ["90, 180", [{ kind: "point", lat: 90, lon: 180 }]],
  ["91, 0", []],
  ["0, 181", []],
  ["Zürich", [{ kind: "name", name: "Zürich" }]],
  ["東京", [{ kind: "name", name: "東京" }]],
  ["<img src=x onerror=alert(1)>", [{ kind: "name", name: "<img src=x onerror=alert(1)>" }]],
  ["0x12", []],
  ["?", []],
  ["", []],
  ["a".repeat(201), []],
];

for (const [text, sought] of SEARCHES) {
  test(`a search for ${JSON.stringify(text.slice(0, 60))} may mean ${sought.map((one) => one.kind).join(" or ") || "nothing"}`, () => {
    const got = recognise(text);
    assert.deepEqual(
      got.map((one) => (one.kind === "triangle" ? { ...one, triangleId: one.triangleId.slice(0, -4) } : one)),
      sought.map((one) => (one.kind === "triangle" ? { ...one, triangleId: one.triangleId.slice(0, -4) } : one)),
    );
  });
}

test("a city is found by any of its spellings, and shown by the one that was meant", () => {
  const of = (text: string, language: "en" | "de" = "en") => citiesNamed(text, language).map((city) => city.name);
  assert.deepEqual(of("zurich"), ["Zürich"]);
  assert.deepEqual(of("ZÜRICH"), ["Zürich"]);
  assert.deepEqual(of("wien"), ["Wien"]);
  assert.deepEqual(of("Warsch", "de"), ["Warschau"]);
  assert.deepEqual(of("strassburg"), ["Straßburg"]);
  assert.deepEqual(of("paulo"), ["São Paulo"]);
  // A name that is just this goes before those that begin so.
  assert.deepEqual(of("Bern"), ["Bern"]);
  assert.ok(of("San").length > 3);
  assert.deepEqual(of("Nowhere"), []);
  assert.deepEqual(of("!!"), []);
});

test("every city of the list has a name and is on Earth", () => {
  const all = "abcdefghijklmnopqrstuvwxyz".split("").flatMap((letter) => citiesNamed(letter, "en"));
  assert.ok(all.length > 100);
  for (const { name, lat, lon } of all) assert.ok(name !== "" && Math.abs(lat) <= 90 && Math.abs(lon) <= 180, name);
});

function validator(address: string, some: Partial<Validator> = {}): Validator {
  return { address, owner: address, publicKey: "0x", state: "active", inSet: true, stake: "1", p2pAddress: "", activeFromHeight: 1, lockedUntil: null, ...some };
}

const batch = (height: number, ...signers: string[]) => ({ height, commit: { round: 0, signatures: signers.map((one) => ({ validator: one, signature: "" })) } });

test("who was in the set and did not sign is missing; who signed was in the set, whatever the records say", () => {
  const records = [validator("c"), validator("a"), validator("later", { activeFromHeight: 11 }), validator("gone", { activeUntilHeight: 10, state: "jailed" }), validator("waits", { state: "waiting" })];
  assert.deepEqual(attendance(batch(10, "a", "withdrawn"), records), [
    { validator: "a", signed: true },
    { validator: "c", signed: false },
    { validator: "withdrawn", signed: true },
  ]);
  assert.equal(wasInSet(records[3]!, 9), true);
});

test("participation counts the batches in which it was in the set", () => {
  const joined = validator("a", { activeFromHeight: 2 });
  assert.deepEqual(participation(joined, [batch(1, "b"), batch(2, "a", "b"), batch(3, "b")]), { of: 2, signed: 1 });
});

test("a triangle is drawn inside its square, with north up and its children inside it", () => {
  const id = "STEP-TRI-v1:F1-00000000000000000000-5W6";
  let triangle = id;
  for (let level = 1; level <= 21; level++) {
    const { corners, children: inner, spotOf } = drawing(triangle, 240, 12);
    for (const [x, y] of corners) assert.ok(x >= 11.9 && x <= 228.1 && y >= 11.9 && y <= 228.1, `${triangle}: ${x}, ${y}`);
    const ring = polygon(triangle);
    const northernmost = vertices(triangle).map((vector) => vector[2]).reduce((best, z, index, all) => (z > all[best]! ? index : best), 0);
    const top = corners.map(([, y]) => y).reduce((best, y, index, all) => (y < all[best]! ? index : best), 0);
    if (level > 4) assert.equal(top, northernmost, `north is up at level ${level}`);
    const [lon, lat] = ring[0]!;
    const [x, y] = spotOf(lat, lon);
    assert.ok(corners.some((corner) => Math.hypot(corner[0] - x, corner[1] - y) < 1), "a corner is where it is on Earth");
    assert.equal(inner.length, level < 21 ? 4 : 0);
    if (level < 21) triangle = children(triangle)[1]!;
  }
  assert.ok(sideM(id) > 7_000_000 && sideM(id) < 7_500_000);
  assert.ok(sideM(triangle) > 5 && sideM(triangle) < 9);
});

test("a proof's line tells who was where; a nonce cannot make up a field", () => {
  const line = `STEP-PROOF-v1|account:${ADDRESS}|triangle:${FACE_F}|lat:47.3769|lon:-8.5|acc:5|ts:2026-01-31T12:00:00.000Z|nonce:a.b-c_1`;
  assert.deepEqual(saidInProof(line), {
    account: ADDRESS, triangle: FACE_F, lat: 47.3769, lon: -8.5, accuracyM: 5, timestamp: "2026-01-31T12:00:00.000Z", nonce: "a.b-c_1",
  });
  assert.equal(saidInProof(line.replace("v1", "v2")), null);
  assert.equal(saidInProof("STEP-TRANSFER-v1|chain:x"), null);
});

test("long ids are shortened to what they begin and end with", () => {
  assert.equal(shortened(ADDRESS), "0x7e5f…5bdf");
  assert.equal(shortened(FACE_F), "F1-5W6");
  assert.equal(shortened("STEP-TRI-v1:P10-01230123000000000000-ABC"), "P10-012…230-ABC");
  assert.equal(shortened("STEP-TRI-v1:P5-01230000000000000000-ABC"), "P5-0123-ABC");
  assert.equal(shortened("16Uiu2HAmNrZ4TZ9jEcHxXFE3ugbRpHtRwEF7ps4T3aMcY5DQxGgG"), "16Uiu2…DQxGgG");
  assert.equal(shortened("0x12"), "0x12");
  assert.equal(shortened("<b>"), "<b>");
});
