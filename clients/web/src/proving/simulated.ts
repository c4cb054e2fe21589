// Positions that are made up, for a devnet.
import { BEGUN, heard, type Watch } from "./position.ts";
import type { Point } from "./readiness.ts";

export type { Point };

const ACCURACY_M = 5;

/** A place as a person has typed it: a point or a comma in its numbers. Null if it is none. */
export function placeOfText(lat: string, lon: string): Point | null {
  const [north, east] = [degrees(lat, 90), degrees(lon, 180)];
  return north === null || east === null || (north === 0 && east === 0) ? null : { lat: north, lon: east };
}

/** What a receiver would have said that stands there now. */
export function watchAt({ lat, lon }: Point, nowMs: number): Watch {
  return heard(BEGUN, { lat, lon, accuracy: ACCURACY_M, timestamp: nowMs }, nowMs);
}

function degrees(text: string, limit: number): number | null {
  if (!/^-?\d{1,3}([.,]\d{1,15})?$/.test(text.trim())) return null;
  const number = Number(text.trim().replace(",", "."));
  return Math.abs(number) <= limit ? Number(number.toFixed(7)) : null;
}
