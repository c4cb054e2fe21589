// Which tiles of a web map (Mercator's projection, z/x/y) lie in a view of the globe, and where their points are on it.
import type { Vector } from "step-client";
import { vectorOf, wrapped, type Camera, type Projection } from "./camera.ts";

export interface TileName {
  z: number;
  x: number;
  y: number;
}

/** Beyond, Mercator's map ends. */
const LAT_MAX = 85.0511;
const DEGREES = 180 / Math.PI;
/** A tile is drawn about twice as large as at the zoom of its name, as maps of vector tiles are. */
const ZOOM_BELOW = 1;
const TILES_MAX = 48;

/** The tiles that fill the view, at the level that suits it; none if they would be too many. */
export function tilesIn(camera: Camera, projection: Projection, levelMax: number): TileName[] {
  const { lat, lon } = camera;
  if (Math.abs(lat) > LAT_MAX) return [];
  // On Mercator's map everything is larger by as much as parallels are shorter.
  const z = Math.max(0, Math.min(levelMax, Math.floor(camera.zoom + Math.log2(Math.cos(lat / DEGREES))) - ZOOM_BELOW));
  const reach = projection.reachRad * DEGREES;
  const [north, south] = [Math.min(LAT_MAX, lat + reach), Math.max(-LAT_MAX, lat - reach)];
  const across = Math.min(180, reach / Math.max(0.05, Math.cos(Math.max(Math.abs(north), Math.abs(south)) / DEGREES)));
  const side = 2 ** z;
  const column = (east: number) => Math.floor(((east + 180) / 360) * side);
  const [first, last] = [column(lon - across), column(lon + across)];
  const [top, bottom] = [rowOf(north, side), rowOf(south, side)];
  if ((last - first + 1) * (bottom - top + 1) > TILES_MAX) return [];
  const found: TileName[] = [];
  for (let y = top; y <= bottom; y += 1) {
    for (let x = first; x <= Math.min(last, first + side - 1); x += 1) found.push({ z, x: ((x % side) + side) % side, y });
  }
  return found;
}

/** A point of a tile, its coordinates from 0 to 1, on the sphere. */
export function onSphere({ z, x, y }: TileName, across: number, down: number): Vector {
  const side = 2 ** z;
  const lon = wrapped(((x + across) / side) * 360 - 180);
  const lat = Math.atan(Math.sinh(Math.PI * (1 - (2 * (y + down)) / side))) * DEGREES;
  return vectorOf({ lat, lon });
}

function rowOf(lat: number, side: number): number {
  const down = (1 - Math.asinh(Math.tan(lat / DEGREES)) / Math.PI) / 2;
  return Math.min(side - 1, Math.max(0, Math.floor(down * side)));
}
