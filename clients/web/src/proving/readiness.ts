// From when on an account may prove at a place, by its last proof and the chain's rules (docs/protocol.md §2).

export interface Point {
  lat: number;
  lon: number;
}

export interface LastProof extends Point {
  timestampMs: number;
}

/** Of `/proof/config`. */
export interface PaceRules {
  PROOF_MORATORIUM_MS: number;
  PROOF_SPEED_LIMIT_MPS: number;
  PROOF_SPEED_HORIZON_MS: number;
}

export interface Readiness {
  /** By the network's clock; null: at any time. */
  fromMs: number | null;
  /** What it is that makes one wait so long. */
  because: "moratorium" | "speed" | null;
}

const EARTH_RADIUS_M = 6_371_000;

export function readiness(last: LastProof | null, here: Point, rules: PaceRules): Readiness {
  if (!last) return { fromMs: null, because: null };
  const rested = last.timestampMs + rules.PROOF_MORATORIUM_MS;
  const travelMs = (distanceM(last, here) / rules.PROOF_SPEED_LIMIT_MPS) * 1_000;
  // A last proof from beyond the horizon is not compared any more.
  const arrived = last.timestampMs + Math.min(Math.ceil(travelMs), rules.PROOF_SPEED_HORIZON_MS + 1);
  return arrived > rested ? { fromMs: arrived, because: "speed" } : { fromMs: rested, because: "moratorium" };
}

/** Along the great circle. */
export function distanceM(one: Point, other: Point): number {
  const [lat1, lat2] = [radians(one.lat), radians(other.lat)];
  const [up, across] = [Math.sin((lat2 - lat1) / 2), Math.sin(radians(other.lon - one.lon) / 2)];
  const square = up * up + Math.cos(lat1) * Math.cos(lat2) * across * across;
  return 2 * EARTH_RADIUS_M * Math.asin(Math.min(1, Math.sqrt(square)));
}

function radians(degrees: number): number {
  return (degrees * Math.PI) / 180;
}
