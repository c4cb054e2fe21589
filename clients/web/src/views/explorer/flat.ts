// A triangle laid flat for a small drawing: north up, seen from above its middle, fitted into a square of `size`.
import { children, parseTriangle, unitVector, vertices, LEVEL_MAX, type Vector } from "step-client";

export type Spot = readonly [x: number, y: number];

export interface Drawing {
  corners: Spot[];
  /** The four inside it, child 0 to child 3; none at the last level. */
  children: { triangleId: string; corners: Spot[] }[];
  /** Where a point on Earth is in the drawing. */
  spotOf: (lat: number, lon: number) => Spot;
}

const EARTH_RADIUS_M = 6_371_000;

export function drawing(triangleId: string, size: number, margin: number): Drawing {
  const corners = vertices(triangleId);
  const middle = scaled(sum(corners), 1);
  const east = eastOf(middle);
  const north = cross(middle, east);
  const onPlane = (vector: Vector): Spot => {
    const depth = dot(vector, middle);
    return [dot(vector, east) / depth, -dot(vector, north) / depth];
  };
  const flat = corners.map(onPlane);
  const [left, right] = bounds(flat.map(([x]) => x));
  const [top, bottom] = bounds(flat.map(([, y]) => y));
  const scale = (size - 2 * margin) / Math.max(right - left, bottom - top);
  const fitted = ([x, y]: Spot): Spot => [size / 2 + (x - (left + right) / 2) * scale, size / 2 + (y - (top + bottom) / 2) * scale];
  const inner = parseTriangle(triangleId).level < LEVEL_MAX ? children(triangleId) : [];
  return {
    corners: flat.map(fitted),
    children: inner.map((child) => ({ triangleId: child, corners: vertices(child).map(onPlane).map(fitted) })),
    spotOf: (lat, lon) => fitted(onPlane(unitVector(lat, lon))),
  };
}

/** The mean length of the sides, in metres along the ground. */
export function sideM(triangleId: string): number {
  const [a, b, c] = vertices(triangleId);
  return ((angle(a, b) + angle(b, c) + angle(c, a)) / 3) * EARTH_RADIUS_M;
}

/** As an attribute of SVG. */
export function points(spots: readonly Spot[]): string {
  return spots.map(([x, y]) => `${x.toFixed(2)},${y.toFixed(2)}`).join(" ");
}

function eastOf(middle: Vector): Vector {
  const [x, y] = middle;
  // At a pole every direction is as good as another.
  return Math.hypot(x, y) < 1e-12 ? [0, 1, 0] : scaled([-y, x, 0], 1);
}

/** By sine and cosine: the cosine alone is 1 for the smallest triangles. */
function angle(one: Vector, other: Vector): number {
  return Math.atan2(Math.hypot(...cross(one, other)), dot(one, other));
}

function sum([a, b, c]: readonly [Vector, Vector, Vector]): Vector {
  return [a[0] + b[0] + c[0], a[1] + b[1] + c[1], a[2] + b[2] + c[2]];
}

function scaled(vector: Vector, length: number): Vector {
  const by = length / Math.hypot(...vector);
  return [vector[0] * by, vector[1] * by, vector[2] * by];
}

function dot(one: Vector, other: Vector): number {
  return one[0] * other[0] + one[1] * other[1] + one[2] * other[2];
}

function cross(one: Vector, other: Vector): Vector {
  return [one[1] * other[2] - one[2] * other[1], one[2] * other[0] - one[0] * other[2], one[0] * other[1] - one[1] * other[0]];
}

function bounds(numbers: readonly number[]): [number, number] {
  return [Math.min(...numbers), Math.max(...numbers)];
}
