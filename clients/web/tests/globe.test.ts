import assert from "node:assert/strict";
import { test } from "node:test";
import { locate, parseTriangle, triangleText, vertices } from "step-client";
import { addressParts, cameraOf, dot, lookingAt, Projection, pulled, spotOf, vectorOf, wholeEarthZoom, within, zoomed, ZOOM_MAX, type Camera } from "../src/globe/camera.ts";
import { inFlight } from "../src/globe/flight.ts";
import { byKey } from "../src/globe/gestures.ts";
import { flare, FLARE_MS, Lights, STEADY_MS } from "../src/globe/lights.ts";
import { roundLengthM } from "../src/globe/round-length.ts";
import { edgePx, edges, FACE_CORNERS, finestLevel, holds } from "../src/globe/mesh.ts";
import { outlines, type Outline } from "../src/globe/outlines.ts";
import { Pulse } from "../src/globe/pulse.ts";
import { clicked, nearbyQuery, standings } from "../src/globe/standing.ts";

const SIZE = { width: 800, height: 600 };
const TRIANGLE = locate(47.3769, 8.5417, 10);

/** The same numbers from 0 to 1 in every run. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 16807) % 2147483647) / 2147483647;
}

const next = numbers(11);
const cameras: Camera[] = Array.from({ length: 60 }, () => within({ lat: next() * 170 - 85, lon: next() * 360 - 180, zoom: next() * 20 }, SIZE));

test("what is under a pixel is seen at that pixel, from afar and from near", () => {
  for (const camera of cameras) {
    const projection = new Projection(camera, SIZE);
    for (const [x, y] of [[0, 0], [150, -90], [-200, 120]] as const) {
      const point = projection.under(x, y);
      assert.ok(point);
      const seen = projection.see(point);
      assert.ok(Math.hypot(seen.x - x, seen.y - y) < 1e-4 && seen.depth > 0);
    }
  }
});

test("beside the globe there is nothing, and its far side is behind", () => {
  const projection = new Projection({ lat: 0, lon: 0, zoom: wholeEarthZoom(SIZE) }, SIZE);
  assert.equal(projection.under(399, 299), null);
  assert.ok(projection.see(vectorOf({ lat: 0, lon: 180 })).depth < 0);
});

test("north is up, and east to the right", () => {
  const projection = new Projection({ lat: 47, lon: 8, zoom: 5 }, SIZE);
  assert.ok(projection.see(vectorOf({ lat: 48, lon: 8 })).y < 0);
  assert.ok(projection.see(vectorOf({ lat: 47, lon: 9 })).x > 0);
});

test("zooming keeps the place under the finger, within what a turn can do", () => {
  for (const camera of cameras.filter(({ lat, zoom }) => Math.abs(lat) < 60 && zoom > 5 && zoom < 18)) {
    const held = new Projection(camera, SIZE).under(120, -80)!;
    const { x, y } = new Projection(zoomed(camera, SIZE, 0.5, 120, -80), SIZE).see(held);
    assert.ok(Math.hypot(x - 120, y + 80) < 12, `${x}, ${y} at ${JSON.stringify(camera)}`);
  }
});

test("a pull moves the ground with the finger", () => {
  const camera = { lat: 47, lon: 8, zoom: 12 };
  const held = new Projection(camera, SIZE).under(0, 0)!;
  const { x, y } = new Projection(pulled(camera, SIZE, 60, -40), SIZE).see(held);
  assert.ok(Math.abs(x - 60) < 1 && Math.abs(y + 40) < 1);
});

test("a camera never leaves what can be looked at", () => {
  for (const [lat, lon, zoom] of [[1e9, 1e9, 1e9], [-1e9, -1e9, -1e9], [90, 180, 0]] as const) {
    const camera = within({ lat, lon, zoom }, SIZE);
    assert.ok(Math.abs(camera.lat) < 90 && camera.lon >= -180 && camera.lon < 180);
    assert.ok(camera.zoom >= wholeEarthZoom(SIZE) && camera.zoom <= ZOOM_MAX);
  }
});

test("an address gives the view that it was made of, and none if it says no place", () => {
  const camera = { lat: 47.37691, lon: -8.54172, zoom: 14.3 };
  const read = cameraOf(addressParts(camera), SIZE)!;
  assert.ok(Math.abs(read.lat - camera.lat) < 1e-4 && Math.abs(read.lon - camera.lon) < 1e-4 && read.zoom === 14.3);
  for (const parts of [[], ["47"], ["a", "b"], ["47", "x", "3"], ["Infinity", "0", "1"], ["<b>", "0"]]) assert.equal(cameraOf(parts, SIZE), null);
  assert.deepEqual(cameraOf(["999", "190", "99"], SIZE), { lat: 89.9, lon: -170, zoom: ZOOM_MAX });
});

test("what is looked at fills the view", () => {
  const { zoom } = lookingAt({ lat: 0, lon: 0 }, 40_000, SIZE);
  const metres = (SIZE.height * 2 * Math.PI * 6_371_000) / (256 * 2 ** zoom);
  assert.ok(Math.abs(metres - 40_000) < 1);
});

test("a flight begins and ends where it should, and sees both places in between", () => {
  const [from, to] = [{ lat: 47, lon: 170, zoom: 12 }, { lat: -30, lon: -170, zoom: 14 }];
  assert.deepEqual(inFlight(from, to, SIZE, 0), from);
  const end = inFlight(from, to, SIZE, 1);
  assert.ok(Math.abs(end.lat - to.lat) < 1e-9 && Math.abs(end.lon - to.lon) < 1e-9 && Math.abs(end.zoom - to.zoom) < 1e-9);
  const half = inFlight(from, to, SIZE, 0.5);
  assert.ok(half.zoom < 4 && (half.lon > 170 || half.lon < -170), "over the antimeridian, from afar");
});

test("keys turn and zoom, and leave all others to the browser", () => {
  const camera = { lat: 10, lon: 20, zoom: 6 };
  assert.ok(byKey("ArrowLeft", camera, SIZE)!.lon < 20 && byKey("ArrowRight", camera, SIZE)!.lon > 20);
  assert.ok(byKey("ArrowUp", camera, SIZE)!.lat > 10 && byKey("ArrowDown", camera, SIZE)!.lat < 10);
  assert.ok(byKey("+", camera, SIZE)!.zoom > 6 && byKey("-", camera, SIZE)!.zoom < 6);
  assert.equal(byKey("Home", camera, SIZE)!.zoom, wholeEarthZoom(SIZE));
  assert.equal(byKey("Tab", camera, SIZE), null);
});

test("the mesh has each edge once", () => {
  const whole = new Projection({ lat: 0, lon: 0, zoom: 4.5 }, { width: 4_000, height: 4_000 });
  const levels = edges(whole);
  assert.ok(levels.length >= 3);
  const all = levels.flatMap(({ lines }) => lines.map((line) => line.map(String).sort().join(" ")));
  assert.equal(new Set(all).size, all.length);
  assert.equal(levels[0]!.lines.length, 30);
});

test("edges that are drawn are those of the chain's triangles", () => {
  const projection = new Projection({ lat: 47.3769, lon: 8.5417, zoom: 9 }, SIZE);
  const finest = finestLevel(projection.radius);
  const drawn = new Set(edges(projection).flatMap(({ lines }) => lines.flat()).map((point) => point.map((value) => value.toFixed(9)).join()));
  for (const corner of vertices(locate(47.3769, 8.5417, finest))) assert.ok(drawn.has(corner.map((value) => value.toFixed(9)).join()));
  assert.ok(edgePx(finest, projection.radius) >= 56 && edgePx(finest + 1, projection.radius) < 56);
});

test("the triangle that holds a point is the one that the chain says", () => {
  for (const level of [1, 4, 10, 21]) {
    for (let times = 0; times < 30; times += 1) {
      const [lat, lon] = [next() * 178 - 89, next() * 358 - 179];
      const { face, digits } = parseTriangle(locate(lat, lon, level));
      assert.ok(holds(vertices(triangleText({ face, level, digits })), vectorOf({ lat, lon })));
      assert.ok(FACE_CORNERS.filter((corners) => holds(corners, vectorOf({ lat, lon }))).length === 1);
    }
  }
});

/** Whether a point is in a piece of land: the turns of its corners around the point, as seen from the point. */
function isOn(piece: Outline, spot: { lat: number; lon: number }): boolean {
  const projection = new Projection({ ...spot, zoom: 8 }, SIZE);
  if (dot(piece.middle, projection.centre) < Math.cos(piece.capRad)) return false;
  let turns = 0;
  const at = (index: number) => {
    const from = 3 * (index % (piece.points.length / 3));
    const { x, y } = projection.see([piece.points[from]!, piece.points[from + 1]!, piece.points[from + 2]!]);
    return Math.atan2(y, x);
  };
  for (let index = 0; index < piece.points.length / 3; index += 1) {
    const turn = at(index + 1) - at(index);
    turns += turn > Math.PI ? turn - 2 * Math.PI : turn < -Math.PI ? turn + 2 * Math.PI : turn;
  }
  return Math.abs(turns) > 1;
}

for (const detail of ["coarse", "fine"] as const) {
  test(`land is where it is, at the poles and at the antimeridian too (${detail})`, async () => {
    const { land, borders } = await outlines(detail);
    // A hole is a piece of its own: where two lie on one another, they take each other out.
    const isLand = (lat: number, lon: number) => land.filter((piece) => isOn(piece, { lat, lon })).length % 2 === 1;
    for (const [lat, lon] of [[47.4, 8.5], [-25, 134], [-89, 3], [-87, 179], [-75, 160], [66.5, -173], [67.5, 179.3], [0.5, 25], [40.5, -100.2]] as const) assert.ok(isLand(lat, lon), `${lat}, ${lon}`);
    for (const [lat, lon] of [[0.3, -30], [89, 3], [42, 50.5], [-50, 179.5], [40, 5], [30.5, -160]] as const) assert.ok(!isLand(lat, lon), `${lat}, ${lon}`);
    assert.ok(borders.length > 100);
    assert.ok(Math.max(...land.map(({ capRad }) => capRad)) < 0.25, "no piece reaches around the globe");
  });
}

test("as much of the Earth is land as is", async () => {
  const { land } = await outlines("coarse");
  const twist = numbers(5);
  let found = 0;
  for (let times = 0; times < 4_000; times += 1) {
    const spot = spotOf(vectorOf({ lat: (Math.asin(2 * twist() - 1) * 180) / Math.PI, lon: twist() * 360 - 180 }));
    found += land.filter((piece) => isOn(piece, spot)).length % 2;
  }
  assert.ok(Math.abs(found / 4_000 - 0.292) < 0.02, String(found / 4_000));
});

test("a triangle flares up and fades, and where nothing may move it is lit or not", () => {
  const lights = new Lights();
  assert.ok(lights.light(TRIANGLE, 1_000));
  const [light] = lights.all();
  assert.deepEqual([1_000, 1_000 + FLARE_MS / 2, 1_000 + FLARE_MS].map((now) => flare(light!, now, false)), [1, 0.5, 0]);
  assert.deepEqual([1_000, 1_000 + STEADY_MS - 1, 1_000 + STEADY_MS].map((now) => flare(light!, now, true)), [1, 1, 0]);
  assert.equal(lights.changesAt(1_500, false), 1_500);
  assert.equal(lights.changesAt(1_000 + FLARE_MS, false), null);
  assert.equal(lights.changesAt(1_500, true), 1_000 + STEADY_MS);
});

test("what is no triangle does not light up, and there are never too many lights", () => {
  const lights = new Lights();
  for (const hostile of ["", "<img src=x onerror=alert(1)>", "STEP-TRI-v1:F10-21212130000000000000-AAA"]) assert.ok(!lights.light(hostile, 0));
  for (let times = 0; times < 400; times += 1) lights.light(locate(next() * 170 - 85, next() * 350 - 175, 10), times);
  assert.equal(lights.all().length, 256);
  const [, again] = lights.all();
  lights.light(again!.triangleId, 999);
  assert.equal(lights.all().at(-1)!.triangleId, again!.triangleId);
});

test("proofs a second are those of the last half minute, from the first answer on", () => {
  const pulse = new Pulse();
  assert.deepEqual(pulse.figures(0), { height: null, heardAtMs: null, proofsPerSecond: null, finalityMs: null });
  const at = (second: number) => new Date(second * 1_000).toISOString();
  pulse.begin([20, 15, 10].map((second) => ({ height: second, proofs: 5, timestamp: at(second) })), 100_000);
  assert.equal(pulse.figures(100_000).proofsPerSecond, 1);
  pulse.beat({ height: 21, proofs: 20, timestamp: at(21) }, 105_000);
  pulse.beat({ height: 21, proofs: 20, timestamp: at(21) }, 105_000);
  assert.deepEqual(pulse.figures(110_000), { height: 21, heardAtMs: 105_000, proofsPerSecond: 1.5, finalityMs: null });
  assert.equal(pulse.figures(200_000).proofsPerSecond, 0);
});

test("finality is measured for proofs that were seen when they were accepted", () => {
  const pulse = new Pulse();
  pulse.finalised("unseen", 5);
  for (const [id, ms] of [["a", 900], ["b", 1_100], ["c", 5_000]] as const) {
    pulse.accepted(id, 0);
    pulse.finalised(id, ms);
  }
  assert.equal(pulse.figures(5_000).finalityMs, 1_100);
});

test("triangles are asked for where one can see them, and clicks are kept up", () => {
  assert.equal(nearbyQuery({ lat: 0, lon: 0, zoom: 5 }, SIZE, 10, null), null);
  const query = nearbyQuery({ lat: 47.1234567, lon: 8.5, zoom: 11 }, SIZE, 10, "0xabc")!;
  assert.deepEqual([query["lat"], query["account"], query["level"]], [47.123457, "0xabc", "active"]);
  assert.equal(nearbyQuery({ lat: 0, lon: 0, zoom: 20 }, SIZE, 10, null)!["radius_m"], 75);
  const near = { triangleId: TRIANGLE, level: 10, state: "active" as const, clicks: 3, reward: "0.001953" };
  const drawn = standings([near, { ...near, triangleId: "<script>" }]);
  assert.equal(drawn.length, 1);
  assert.equal(clicked(drawn, TRIANGLE, 4)[0]!.clicks, 4);
  assert.equal(clicked(drawn, TRIANGLE, 2)[0]!.clicks, 3, "what is told late takes nothing back");
  assert.equal(clicked(drawn, "another", 9), drawn);
});

test("a scale is a round length that fits", () => {
  assert.deepEqual([999, 1_000, 2_300, 49, 7].map(roundLengthM), [500, 1_000, 2_000, 20, 5]);
});

test("the icosahedron that is drawn is the chain's", () => {
  const faces = FACE_CORNERS.map((_, face) => vertices(triangleText({ face, level: 1, digits: "" })));
  assert.equal(FACE_CORNERS.length, 20);
  FACE_CORNERS.forEach((corners, face) => corners.forEach((corner, index) => corner.forEach((value, axis) => assert.ok(Math.abs(value - faces[face]![index]![axis]!) < 1e-15))));
});
