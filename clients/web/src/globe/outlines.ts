// Land and borders of Natural Earth, as points of the unit sphere. The coarse set does from afar; the finer one is fetched
// when somebody first looks closer.
import type { Vector } from "step-client";
import { dot, vectorOf } from "./camera.ts";
import { allTaken } from "./steps.ts";

/** A piece of land, or a border. `cap`: how far its points lie from its middle at most, radians. */
export interface Outline {
  /** x, y and z of one point after the other. */
  points: Float32Array;
  middle: Vector;
  capRad: number;
}

export interface Outlines {
  land: Outline[];
  borders: Outline[];
}

export type Detail = "coarse" | "fine";

/** What scripts/outlines.mjs writes. */
export interface Written {
  perDegree: number;
  land: readonly (readonly number[])[];
  borders: readonly (readonly number[])[];
}

/** For reading what has come, at a time. */
const STEPS_MS = 8;

const loading = new Map<Detail, Promise<Outlines>>();

/** Asked for once; after a failure, again. */
export function outlines(detail: Detail): Promise<Outlines> {
  const before = loading.get(detail);
  if (before) return before;
  const now = load(detail).catch((error: unknown) => {
    loading.delete(detail);
    throw error;
  });
  loading.set(detail, now);
  return now;
}

async function load(detail: Detail): Promise<Outlines> {
  const { default: written } = detail === "coarse" ? await import("outlines:coarse") : await import("outlines:fine");
  return allTaken(reading(written), STEPS_MS);
}

function* reading({ perDegree, land, borders }: Written): Generator<void, Outlines> {
  const read: Outlines = { land: [], borders: [] };
  for (const [from, to] of [[land, read.land], [borders, read.borders]] as const) {
    for (const differences of from) {
      to.push(outlineOf(differences, perDegree));
      yield;
    }
  }
  return read;
}

function outlineOf(differences: readonly number[], perDegree: number): Outline {
  const points = new Float32Array((differences.length / 2) * 3);
  const sum: Vector = [0, 0, 0];
  let [lon, lat] = [0, 0];
  for (let index = 0; index < differences.length / 2; index += 1) {
    lon += differences[2 * index]!;
    lat += differences[2 * index + 1]!;
    const point = vectorOf({ lat: lat / perDegree, lon: lon / perDegree });
    points.set(point, 3 * index);
    point.forEach((value, axis) => (sum[axis]! += value));
  }
  const length = Math.hypot(...sum) || 1;
  const middle = sum.map((value) => value / length) as Vector;
  let nearest = 1;
  for (let at = 0; at < points.length; at += 3) {
    nearest = Math.min(nearest, dot(middle, [points[at]!, points[at + 1]!, points[at + 2]!]));
  }
  return { points, middle, capRad: Math.acos(Math.max(-1, nearest)) };
}
