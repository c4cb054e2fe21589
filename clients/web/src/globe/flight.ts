// From one camera to another: farther away in between where the way is long, so that one sees where one goes.
import { dot, radiusPx, vectorOf, wrapped, type Camera, type Size } from "./camera.ts";

export const FLIGHT_MS = 900;

/** The camera at a share of the way, from 0 to 1. */
export function inFlight(from: Camera, to: Camera, size: Size, share: number): Camera {
  const eased = share * share * (3 - 2 * share);
  const angle = Math.acos(Math.min(1, Math.max(-1, dot(vectorOf(from), vectorOf(to)))));
  const screens = (angle * radiusPx((from.zoom + to.zoom) / 2)) / Math.max(1, Math.min(size.width, size.height));
  const dip = Math.max(0, Math.log2(screens));
  return {
    lat: from.lat + (to.lat - from.lat) * eased,
    lon: wrapped(from.lon + wrapped(to.lon - from.lon) * eased),
    zoom: Math.max(1, from.zoom + (to.zoom - from.zoom) * eased - dip * 4 * eased * (1 - eased)),
  };
}
