// The triangles around a place as they stand in the ledger, kept up with what the feed tells.
import { vertices } from "step-client/mesh.js";
import { metresPerPx, radiusPx, type Camera, type Size } from "./camera.ts";
import { edgePx } from "./mesh.ts";
import type { Standing } from "./scene.ts";

/** What `GET /mesh/nearby` says of a triangle. */
export interface Near {
  triangleId: string;
  level: number;
  state: "active" | "subdivided" | "exhausted";
  clicks: number;
  reward: string;
  mayMine?: boolean | null;
  mayMineFrom?: string | null;
}

export interface NearbyResult {
  truncated: boolean;
  triangles: Near[];
}

/** Seeded triangles that are smaller on the screen are not asked for: one would see none of them. */
const SEEDED_EDGE_PX_MIN = 64;
export const NEARBY_MAX = 400;
const RADIUS_M_MIN = 50;
const RADIUS_M_MAX = 1_000_000;

/** What to ask for so that the view is filled; null while it shows too much of the Earth. */
export function nearbyQuery(camera: Camera, size: Size, seededLevel: number, account: string | null): Record<string, string | number> | null {
  if (edgePx(seededLevel, radiusPx(camera.zoom)) < SEEDED_EDGE_PX_MIN) return null;
  const radiusM = (Math.hypot(size.width, size.height) / 2) * metresPerPx(camera.zoom);
  return {
    lat: Number(camera.lat.toFixed(6)),
    lon: Number(camera.lon.toFixed(6)),
    radius_m: Math.round(Math.min(RADIUS_M_MAX, Math.max(RADIUS_M_MIN, radiusM))),
    level: "active",
    maxResults: NEARBY_MAX,
    ...(account === null ? {} : { account }),
  };
}

/** As it is drawn; what is no triangle is left out, whoever says it is one. */
export function standings(triangles: readonly Near[]): Standing[] {
  return triangles.flatMap((near) => {
    try {
      const { triangleId, level, state, clicks, reward, mayMine, mayMineFrom } = near;
      return [{ triangleId, level, state, clicks, reward, corners: vertices(triangleId), mayMine: mayMine ?? undefined, mayMineFrom: mayMineFrom ?? undefined }];
    } catch (error) {
      if (error instanceof RangeError) return [];
      throw error;
    }
  });
}

/** After a proof in one of them; the same list if it is in none. */
export function clicked(triangles: readonly Standing[], triangleId: string, clicks: number): readonly Standing[] {
  if (!triangles.some((triangle) => triangle.triangleId === triangleId)) return triangles;
  return triangles.map((triangle) => (triangle.triangleId === triangleId ? { ...triangle, clicks: Math.max(clicks, triangle.clicks) } : triangle));
}
