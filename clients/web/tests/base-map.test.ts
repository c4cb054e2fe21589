import assert from "node:assert/strict";
import { test } from "node:test";
import { Projection, spotOf, type Camera } from "../src/globe/camera.ts";
import { onSphere, tilesIn } from "../src/globe/tiling.ts";
import { vectorTile } from "../src/globe/vector-tile.ts";

const SIZE = { width: 800, height: 600 };

// Protocol Buffers, as far as a tile needs them.
const varint = (value: number): number[] => (value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))]);
const field = (number: number, bytes: number[]) => [...varint(number * 8 + 2), ...varint(bytes.length), ...bytes];
const whole = (number: number, value: number) => [...varint(number * 8), ...varint(value)];
const text = (number: number, value: string) => field(number, [...new TextEncoder().encode(value)]);
const packed = (number: number, values: number[]) => field(number, values.flatMap(varint));
const zigzag = (value: number) => (value < 0 ? -2 * value - 1 : 2 * value);
const move = (x: number, y: number) => [9, zigzag(x), zigzag(y)];
const lines = (...deltas: number[]) => [(deltas.length / 2) * 8 + 2, ...deltas.map(zigzag)];

const PARK = [...packed(2, [0, 0, 1, 1]), ...whole(3, 3), ...packed(4, [...move(10, 10), ...lines(20, 0, 0, 20), 15, ...move(-5, -15), ...lines(2, 0, 0, 2), 15])];
const LAYER = [...whole(15, 2), ...text(1, "landuse"), ...field(2, PARK), ...text(3, "kind"), ...text(3, "height"), ...field(4, text(1, "park")), ...field(4, whole(5, 7)), ...whole(5, 512)];
const TILE = Uint8Array.from([...field(3, LAYER), ...field(3, text(1, "transit"))]);

test("a tile's layers, shapes and texts are read", () => {
  const [layer, ...others] = vectorTile(TILE, new Set(["landuse"]));
  assert.deepEqual(others, []);
  assert.deepEqual([layer!.name, layer!.extent], ["landuse", 512]);
  const [park] = layer!.features;
  assert.equal(park!.kind, "area");
  assert.deepEqual(park!.tags, { kind: "park" }, "numbers are left out");
  assert.deepEqual(park!.parts.map((part) => [...part]), [[10, 10, 30, 10, 30, 30], [25, 15, 27, 15, 27, 17]]);
});

test("whatever bytes come instead of a tile, it is read or refused, and soon", () => {
  let state = 7;
  const random = () => (state = (state * 16807) % 2147483647);
  for (let times = 0; times < 3_000; times += 1) {
    const bytes = Uint8Array.from(TILE);
    for (let changes = 0; changes <= times % 4; changes += 1) bytes[random() % bytes.length] = random() % 256;
    try {
      vectorTile(times % 3 === 0 ? bytes.subarray(0, random() % bytes.length) : bytes, new Set(["landuse"]));
    } catch (error) {
      assert.ok(error instanceof RangeError, String(error));
    }
  }
});

test("a tile cannot claim more points than a map can have", () => {
  const many = packed(4, [...move(0, 0), 300_000 * 8 + 2, ...Array.from({ length: 600_000 }, () => 0)]);
  const layer = [...text(1, "landuse"), ...field(2, [...whole(3, 2), ...many])];
  assert.throws(() => vectorTile(Uint8Array.from(field(3, layer)), new Set(["landuse"])), /more than 200000 points/);
});

test("tiles fill the view, and each point lies in its tile", () => {
  const cameras: Camera[] = [{ lat: 47.4, lon: 8.5, zoom: 11 }, { lat: -33, lon: 179.99, zoom: 13 }, { lat: 70, lon: -180, zoom: 9 }, { lat: 0, lon: 0, zoom: 18 }];
  for (const camera of cameras) {
    const projection = new Projection(camera, SIZE);
    const tiles = tilesIn(camera, projection, 15);
    assert.ok(tiles.length > 0 && tiles.length <= 48);
    for (const [x, y] of [[0, 0], [-399, -299], [399, 299], [-399, 299], [399, -299]] as const) {
      const { lat, lon } = spotOf(projection.under(x, y)!);
      const holding = tiles.filter((tile) => {
        const [west, east] = [spotOf(onSphere(tile, 0, 0)), spotOf(onSphere(tile, 0.999999, 0.999999))];
        return lat <= west.lat && lat >= east.lat && lon >= west.lon && lon <= east.lon;
      });
      assert.equal(holding.length, 1, `${lat}, ${lon} of ${JSON.stringify(camera)}`);
    }
  }
});

test("where Mercator's map ends there are no tiles, and never too many", () => {
  for (const camera of [{ lat: 89, lon: 0, zoom: 9 }, { lat: 84.9, lon: 0, zoom: 3 }]) {
    assert.ok(tilesIn(camera, new Projection(camera, SIZE), 15).length <= 48);
  }
  assert.deepEqual(tilesIn({ lat: 89, lon: 0, zoom: 9 }, new Projection({ lat: 89, lon: 0, zoom: 9 }, SIZE), 15), []);
});
