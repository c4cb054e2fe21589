// What part of the Earth is seen, as the API takes it: west, south, east, north in degrees.
import { Projection, type Camera, type Size, wrapped } from "./camera.ts";

/** With more of the Earth than this seen, or a pole, everything is asked for. */
const REACH_RAD_MAX = 0.8;
const PLACES = 2;
const DEGREES = 180 / Math.PI;

/** Null where so much is seen that it is best to ask for all. */
export function viewBox(camera: Camera, size: Size): string | null {
  const reach = new Projection(camera, size).reachRad;
  const phi = camera.lat / DEGREES;
  if (reach > REACH_RAD_MAX || Math.abs(phi) + reach >= Math.PI / 2) return null;
  const across = Math.asin(Math.sin(reach) / Math.cos(phi)) * DEGREES;
  // Outwards to a round number, so that a little step asks for nothing new.
  const places = Math.max(PLACES, Math.ceil(-Math.log10(across)) + 1);
  const [down, up] = [Math.floor, Math.ceil].map((round) => (degrees: number) => (round(degrees * 10 ** places) / 10 ** places).toFixed(places));
  const [south, north] = [down!(camera.lat - reach * DEGREES), up!(camera.lat + reach * DEGREES)];
  return [wrapped(Number(down!(camera.lon - across))).toFixed(places), south, wrapped(Number(up!(camera.lon + across))).toFixed(places), north].join();
}
