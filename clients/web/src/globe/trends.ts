// What trends, as the node tells it and as it is drawn.
import { dot, vectorOf, type Spot } from "./camera.ts";
import { cornersOf } from "./lights.ts";
import { edgePx, holds, middle, type Corners } from "./mesh.ts";

/** What `GET /trending` says of a triangle. */
export interface Told {
  triangleId: string;
  score: number;
  parts: Readonly<Record<string, number>>;
}

/** A triangle with all that lies below it. `share`: of the greatest score that is seen, 0 to 1. */
export interface Region extends Told {
  corners: Corners;
  share: number;
}

/** Where all is asked for, triangles are of the finest level, up to this one, that can be seen. */
const WHOLE_LEVEL_MAX = 8;
const WHOLE_EDGE_PX_MIN = 12;

export function regionsOf(told: readonly Told[]): Region[] {
  const greatest = Math.max(1, ...told.map(({ score }) => score));
  return told.flatMap((one) => {
    const corners = cornersOf(one.triangleId);
    return corners && Number.isFinite(one.score) ? [{ ...one, corners, share: Math.max(0, one.score / greatest) }] : [];
  });
}

/** The one that holds a place, if any does. */
export function regionAt(regions: readonly Region[], spot: Spot): Region | null {
  const point = vectorOf(spot);
  return regions.find(({ corners }) => dot(middle(...corners), point) > 0 && holds(corners, point)) ?? null;
}

export function wholeLevel(radiusPx: number): number {
  let level = 1;
  while (level < WHOLE_LEVEL_MAX && edgePx(level + 1, radiusPx) >= WHOLE_EDGE_PX_MIN) level += 1;
  return level;
}
