import assert from "node:assert/strict";
import { test } from "node:test";
import "./page.ts";
import { locate, vertices } from "step-client";
import { wholeEarthZoom, type Camera } from "../src/globe/camera.ts";
import { regionAt, regionsOf, wholeLevel } from "../src/globe/trends.ts";
import { radiusPx } from "../src/globe/camera.ts";
import { viewBox } from "../src/globe/view-box.ts";
import { speak } from "../src/shell/texts.ts";
import { citiesIn, nearestCity } from "../src/views/explorer/places.ts";
import type { Headline } from "../src/views/fairness/answers.ts";
import { GROWN_EPOCHS_MAX, withEarlier, withNewest, type Known } from "../src/views/fairness/growing.ts";
import { reportHash } from "../src/views/fairness/report-hash.ts";
import { evenness, linePath, part, percent, points } from "../src/views/fairness/shares.ts";
import { figuresOf } from "../src/views/plausibility/figures.ts";

const SIZE = { width: 360, height: 360 };
const ZURICH = { lat: 47.3769, lon: 8.5417 };

test("what is seen is asked for by its box, a little more at most; and all, where all is seen", () => {
  const box = (camera: Camera) => viewBox(camera, SIZE)!.split(",").map(Number);
  const [west, south, east, north] = box({ ...ZURICH, zoom: 10 }) as [number, number, number, number];
  // A pixel of zoom 10 is 360 / 256 / 1024 degrees of the equator; the circle around the view's corners is taken.
  const reach = (Math.hypot(180, 180) * 360) / (256 * 1_024);
  assert.ok(south <= ZURICH.lat - reach && south > ZURICH.lat - reach - 0.02);
  assert.ok(north >= ZURICH.lat + reach && north < ZURICH.lat + reach + 0.02);
  const across = reach / Math.cos((ZURICH.lat * Math.PI) / 180);
  assert.ok(Math.abs((east - west) / 2 - across) < 0.02);
  assert.equal(viewBox({ ...ZURICH, zoom: wholeEarthZoom(SIZE) }, SIZE), null);
  assert.equal(viewBox({ lat: 89.9, lon: 0, zoom: 8 }, SIZE), null, "a pole is in it");
  // Over the antimeridian the box begins in the east.
  const [begins, , ends] = box({ lat: -17, lon: 179.9, zoom: 9 });
  assert.ok(begins! > 179 && ends! < -179, `${begins} ${ends}`);
  for (let zoom = 2; zoom <= 20; zoom += 1) for (const bound of viewBox({ lat: 12, lon: 33, zoom }, SIZE)?.split(",") ?? []) assert.match(bound, /^-?\d{1,3}\.\d{2,10}$/);
});

test("regions are drawn by their share of the greatest score; what is no triangle is left out", () => {
  const triangle = locate(ZURICH.lat, ZURICH.lon, 8);
  const parts = {};
  const regions = regionsOf([
    { triangleId: triangle, score: 4_000, parts },
    { triangleId: locate(-33.86, 151.2, 8), score: 1_000, parts },
    { triangleId: "<b>", score: 9_000_000, parts },
    { triangleId: locate(10, 10, 8), score: "lots" as unknown as number, parts },
  ].slice(0, 2).concat([{ triangleId: "<b>", score: 1, parts }]));
  assert.deepEqual(regions.map(({ share }) => share), [1, 0.25]);
  assert.deepEqual(regions[0]!.corners, vertices(triangle));
  assert.equal(regionAt(regions, ZURICH)?.triangleId, triangle);
  assert.equal(regionAt(regions, { lat: -ZURICH.lat, lon: ZURICH.lon - 180 }), null, "not on the other side of the Earth");
  assert.deepEqual(regionsOf([{ triangleId: triangle, score: "lots" as unknown as number, parts }]), []);
});

test("from afar triangles are asked for that can be seen", () => {
  assert.equal(wholeLevel(radiusPx(0)), 2);
  assert.equal(wholeLevel(1e9), 8);
});

test("shares are told in percent, and differences of them in points", () => {
  speak("en");
  assert.deepEqual([0, 375_000, 1_000_000, 12_345, null].map(percent), ["0\u00a0%", "37.5\u00a0%", "100\u00a0%", "1.2\u00a0%", "–"]);
  assert.deepEqual([60_000, -15_000, 0, -400, null].map(points), ["+6", "−1.5", "0", "0", "–"]);
  assert.deepEqual([null, 250_000, 9e9, -5, "x" as unknown as number].map(part), [0, 0.25, 1, 0, 0]);
});

test("a line over epochs has a gap where an epoch has no figure, or no report", () => {
  const values = [[1, 0], [2, 500_000], [3, null], [4, 1_000_000], [7, 0]] as const;
  const path = linePath(values.map(([epoch, ppm]) => ({ epoch, ppm })), (epoch) => epoch * 10, (share) => 100 - 100 * share);
  assert.equal(path, "M10.0 100.0h0.01L20.0 50.0M40.0 0.0h0.01M70.0 100.0h0.01");
});

test("figures of a signal are told by their unit; what is none is a dash", () => {
  speak("de");
  const told = figuresOf({ intervalMs: 10_001, sameIntervalBps: 9_875, newcomers: 1_234, level: "<b>", spanMs: null });
  assert.deepEqual(told, { interval: "10 s", sameInterval: "98,8 %", newcomers: "1.234", level: "–", span: "–" });
});

test("a report's hash is that of the bytes in which it came", () => {
  const canonical = '{"accounts":1,"begins":"2026-01-01T00:00:00.000Z","income":{"giniPpm":null,"topAccounts":1},"levels":[],"paid":"0.001953"}';
  assert.equal(reportHash(JSON.parse(canonical)), "0x2965e8d87cba10385b8fac21fb9ce78b09b065c579b4b430ea43b55daa5b16ce");
});

test("how evenly pay was spread has a word for each Gini coefficient", () => {
  assert.deepEqual([0, 149_999, 150_000, 349_999, 350_000, 599_999, 600_000, 1_000_000].map(evenness), [
    "nearlyAlike", "nearlyAlike", "ratherEven", "ratherEven", "uneven", "uneven", "veryUneven", "veryUneven",
  ]);
});

/** A page of the list of epochs, from `newest` down to `oldest`. */
function page(newest: number, oldest: number, nextCursor: string | null = `before ${oldest}`) {
  const epochs = Array.from({ length: newest - oldest + 1 }, (_, index) => ({ epoch: newest - index }) as Headline);
  return { epochs, nextCursor };
}

const numbers = (known: Known | undefined) => known!.epochs.map(({ epoch }) => epoch);

test("earlier epochs are added below, and new ones above, each once", () => {
  let known: Known | undefined = withNewest(undefined, page(9, 7));
  known = withEarlier(known, "before 7", page(6, 4));
  known = withNewest(known, page(10, 8));
  assert.deepEqual(numbers(known), [10, 9, 8, 7, 6, 5, 4]);
  assert.equal(known.earlier, "before 4");
  known = withEarlier(known, "before 4", page(3, 1, null))!;
  assert.deepEqual([numbers(known).at(-1), known.earlier], [1, null]);
  assert.deepEqual(numbers(withNewest(known, page(10, 8))), numbers(known), "nothing is new");
});

test("where the newest page does not reach back to what is known, all begins anew: there might be a gap", () => {
  const known = withEarlier(withNewest(undefined, page(9, 7)), "before 7", page(6, 4));
  const anew = withNewest(known, page(20, 18));
  assert.deepEqual(numbers(anew), [20, 19, 18]);
  assert.equal(anew.earlier, "before 18");
  assert.equal(withEarlier(anew, "before 4", page(3, 1)), anew, "a page that was asked for before that is of no use");
});

test("epochs that came by themselves do not become ever more; those that somebody asked for stay", () => {
  let known: Known | undefined = withEarlier(withNewest(undefined, page(50, 1)), "before 1", page(0, 0, null))!;
  let most = 0;
  for (let newest = 51; newest < 60 + 2 * GROWN_EPOCHS_MAX; newest += 1) {
    known = withNewest(known, page(newest, newest - 49));
    most = Math.max(most, known.epochs.length);
  }
  assert.equal(most, 51 + GROWN_EPOCHS_MAX);
});

test("a region is told by the cities in it that are nearest to its middle", () => {
  const region = locate(-33.86, 151.2, 1);
  const english = citiesIn(region, "en").map(({ name }) => name);
  assert.ok(english.includes("Sydney") && !english.includes("Zurich"), String(english));
  assert.ok(citiesIn(locate(48.2, 16.37, 1), "de").some(({ name }) => name === "Wien"));
  assert.throws(() => citiesIn("<b>", "en"), RangeError);
});

test("a place is told by the city that is nearest", () => {
  const { name, metres } = nearestCity(48.3, 16.37, "de");
  assert.equal(name, "Wien");
  // A tenth of a degree of latitude is 11.1 km; the city's own place is rounded to a hundredth.
  assert.ok(metres > 8_500 && metres < 12_500, String(metres));
  assert.equal(nearestCity(-18, 179.9, "en").name, "Suva", "over the antimeridian");
});
