// The mesh as lines: the edges of the icosahedron, and within each triangle the three edges of its middle child, down to
// the level whose triangles are still large enough to be seen.
import type { Vector } from "step-client";
import { dot, type Projection } from "./camera.ts";

export type Corners = readonly [Vector, Vector, Vector];

/** The edges of a level that no coarser level has. `weight`: 0 if its triangles are just large enough to be seen, up to 1. */
export interface LevelEdges {
  level: number;
  weight: number;
  lines: (readonly [Vector, Vector])[];
}

/** Of the icosahedron, in radians: the angle between neighbouring corners. */
const EDGE_RAD = Math.atan(2);
const EDGE_PX_MIN = 56;
const EDGE_PX_FULL = 220;
const LEVEL_MAX = 21;

const LONG = (1 + Math.sqrt(5)) / 2 / Math.hypot(1, (1 + Math.sqrt(5)) / 2);
const SHORT = 1 / Math.hypot(1, (1 + Math.sqrt(5)) / 2);
const POINTS: readonly Vector[] = [
  [-SHORT, LONG, 0], [SHORT, LONG, 0], [-SHORT, -LONG, 0], [SHORT, -LONG, 0],
  [0, -SHORT, LONG], [0, SHORT, LONG], [0, -SHORT, -LONG], [0, SHORT, -LONG],
  [LONG, 0, -SHORT], [LONG, 0, SHORT], [-LONG, 0, -SHORT], [-LONG, 0, SHORT],
];
/** As step-client has them, by way of each triangle's name: here without, since names have checksums, and the first drawing
 * should not wait for twenty of them. */
export const FACE_CORNERS: readonly Corners[] = (
  [
    [0, 11, 5], [0, 5, 1], [0, 1, 7], [0, 7, 10], [0, 10, 11], [1, 5, 9], [5, 11, 4], [11, 10, 2], [10, 7, 6], [7, 1, 8],
    [3, 9, 4], [3, 4, 2], [3, 2, 6], [3, 6, 8], [3, 8, 9], [4, 9, 5], [2, 4, 11], [6, 2, 10], [8, 6, 7], [9, 8, 1],
  ] as const
).map(([a, b, c]) => [POINTS[a]!, POINTS[b]!, POINTS[c]!]);

/** All edges of the icosahedron, each once. */
const FACE_EDGES: readonly (readonly [Vector, Vector])[] = FACE_CORNERS.flatMap(([a, b, c]) => [[a, b], [b, c], [c, a]] as const)
  // Faces turn alike, so neighbours run along their common edge in opposite directions: one of the two is kept.
  .filter(([from, to]) => before(from, to));

/** How long an edge of a level is, in pixels. */
export function edgePx(level: number, radiusPx: number): number {
  return (EDGE_RAD * radiusPx) / 2 ** (level - 1);
}

/** The finest level whose triangles are large enough to be seen. */
export function finestLevel(radiusPx: number): number {
  let level = 1;
  while (level < LEVEL_MAX && edgePx(level + 1, radiusPx) >= EDGE_PX_MIN) level += 1;
  return level;
}

/** The edges that may be on the screen, level by level from the icosahedron's down. */
export function edges(projection: Projection): LevelEdges[] {
  const { radius } = projection;
  const levels = Array.from({ length: finestLevel(radius) }, (_, index): LevelEdges => {
    const level = index + 1;
    return { level, weight: weightOf(level, radius), lines: level === 1 ? [...FACE_EDGES] : [] };
  });
  const visit = ([v0, v1, v2]: Corners, level: number) => {
    const finer = levels[level];
    if (!finer || !projection.mayShow(middle(v0, v1, v2), EDGE_RAD / 2 ** (level - 1))) return;
    const [m01, m12, m20] = [halfway(v0, v1), halfway(v1, v2), halfway(v2, v0)];
    finer.lines.push([m01, m12], [m12, m20], [m20, m01]);
    for (const child of [[v0, m01, m20], [m01, v1, m12], [m20, m12, v2], [m01, m12, m20]] as const) visit(child, level + 1);
  };
  for (const corners of FACE_CORNERS) visit(corners, 1);
  return levels;
}

export function halfway(a: Vector, b: Vector): Vector {
  return unit([a[0] + b[0], a[1] + b[1], a[2] + b[2]]);
}

export function middle(a: Vector, b: Vector, c: Vector): Vector {
  return unit([a[0] + b[0] + c[0], a[1] + b[1] + c[1], a[2] + b[2] + c[2]]);
}

/** Whether a point lies in a triangle, or on its edge; corners counter-clockwise from outside. */
export function holds([a, b, c]: Corners, point: Vector): boolean {
  return side(a, b, point) >= 0 && side(b, c, point) >= 0 && side(c, a, point) >= 0;
}

/** Of the plane through two points and the middle of the Earth. Of differences, so that it is right for near points too. */
function side(a: Vector, b: Vector, p: Vector): number {
  const e: Vector = [b[0] - a[0], b[1] - a[1], b[2] - a[2]];
  const u: Vector = [p[0] - a[0], p[1] - a[1], p[2] - a[2]];
  return dot(a, [e[1] * u[2] - e[2] * u[1], e[2] * u[0] - e[0] * u[2], e[0] * u[1] - e[1] * u[0]]);
}

function weightOf(level: number, radiusPx: number): number {
  return Math.min(1, Math.max(0, (edgePx(level, radiusPx) - EDGE_PX_MIN) / (EDGE_PX_FULL - EDGE_PX_MIN)));
}

function unit([x, y, z]: Vector): Vector {
  const length = Math.hypot(x, y, z);
  return [x / length, y / length, z / length];
}

function before(a: Vector, b: Vector): boolean {
  const axis = a.findIndex((value, index) => value !== b[index]);
  return a[axis]! < b[axis]!;
}
