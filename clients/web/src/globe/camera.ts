// From where the globe is looked at: a point in the middle, north up, and a zoom as maps have it. The projection is
// orthographic, which is a globe from afar and a flat map from near; nothing changes over in between.
import type { Vector } from "step-client";

/** Degrees. */
export interface Spot {
  lat: number;
  lon: number;
}

/** At zoom 0 the equator is 256 px long; one more doubles everything. */
export interface Camera extends Spot {
  zoom: number;
}

/** What is drawn on, in CSS pixels. */
export interface Size {
  width: number;
  height: number;
}

/** Right and down from the middle, in CSS pixels. `depth`: 1 in the middle, 0 at the limb, below on the far side. */
export interface Seen {
  x: number;
  y: number;
  depth: number;
}

export const ZOOM_MAX = 20;
export const EARTH_RADIUS_M = 6_371_000;

/** The poles would leave no north to be up. */
const LAT_MAX = 89.9;
/** Of the smaller side, when the whole Earth is seen. */
const WHOLE_EARTH_SHARE = 0.94;
const TILE_PX = 256;
const DEGREES = 180 / Math.PI;

/** The Earth's radius in pixels. */
export function radiusPx(zoom: number): number {
  return (TILE_PX * 2 ** zoom) / (2 * Math.PI);
}

export function metresPerPx(zoom: number): number {
  return EARTH_RADIUS_M / radiusPx(zoom);
}

/** The zoom at which the whole Earth fits. */
export function wholeEarthZoom({ width, height }: Size): number {
  return Math.log2((Math.min(width, height) * WHOLE_EARTH_SHARE * Math.PI) / TILE_PX);
}

/** A camera that can be: not beyond the poles, not farther than the whole Earth, not nearer than metres. */
export function within(camera: Camera, size: Size): Camera {
  return {
    lat: clamp(camera.lat, -LAT_MAX, LAT_MAX),
    lon: wrapped(camera.lon),
    zoom: clamp(camera.zoom, Math.min(wholeEarthZoom(size), ZOOM_MAX), ZOOM_MAX),
  };
}

/** From -180 up to, but not, 180. */
export function wrapped(lon: number): number {
  return ((((lon + 180) % 360) + 360) % 360) - 180;
}

/** For drawing; step-client's `unitVector` is for deciding. */
export function vectorOf({ lat, lon }: Spot): Vector {
  const [phi, lambda] = [lat / DEGREES, lon / DEGREES];
  return [Math.cos(phi) * Math.cos(lambda), Math.cos(phi) * Math.sin(lambda), Math.sin(phi)];
}

export function spotOf([x, y, z]: Vector): Spot {
  return { lat: Math.atan2(z, Math.hypot(x, y)) * DEGREES, lon: Math.atan2(y, x) * DEGREES };
}

export function dot(a: Vector, b: Vector): number {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/** A camera's axes and scale, worked out once for all points of a drawing. */
export class Projection {
  readonly radius: number;
  /** Towards the eye. */
  readonly centre: Vector;
  /** How far from the middle anything on the screen lies at most, radians. */
  readonly reachRad: number;
  readonly #east: Vector;
  readonly #north: Vector;

  constructor(camera: Camera, size: Size) {
    this.radius = radiusPx(camera.zoom);
    const [phi, lambda] = [camera.lat / DEGREES, camera.lon / DEGREES];
    const [sinPhi, cosPhi, sinLambda, cosLambda] = [Math.sin(phi), Math.cos(phi), Math.sin(lambda), Math.cos(lambda)];
    this.centre = [cosPhi * cosLambda, cosPhi * sinLambda, sinPhi];
    this.#east = [-sinLambda, cosLambda, 0];
    this.#north = [-sinPhi * cosLambda, -sinPhi * sinLambda, cosPhi];
    this.reachRad = Math.asin(Math.min(1, Math.hypot(size.width, size.height) / 2 / this.radius));
  }

  see(point: Vector): Seen {
    return {
      x: this.radius * dot(point, this.#east),
      y: -this.radius * dot(point, this.#north),
      depth: dot(point, this.centre),
    };
  }

  /** The point of the sphere under a pixel; null beside the globe. */
  under(x: number, y: number): Vector | null {
    const [east, north] = [x / this.radius, -y / this.radius];
    const square = east * east + north * north;
    if (square > 1) return null;
    const depth = Math.sqrt(1 - square);
    const along = (axis: 0 | 1 | 2) => depth * this.centre[axis] + east * this.#east[axis] + north * this.#north[axis];
    return [along(0), along(1), along(2)];
  }

  /** Whether a cap of the sphere can be on the screen. */
  mayShow(middle: Vector, capRad: number): boolean {
    const far = this.reachRad + capRad;
    return far >= Math.PI || dot(middle, this.centre) >= Math.cos(far);
  }
}

/** The camera after the ground was pulled by so many pixels. */
export function pulled(camera: Camera, size: Size, dx: number, dy: number): Camera {
  const perPx = DEGREES / radiusPx(camera.zoom);
  // Near the poles a pixel is many degrees of longitude: a turn stays a turn.
  const shrunk = Math.max(0.15, Math.cos(camera.lat / DEGREES));
  return within({ ...camera, lat: camera.lat + dy * perPx, lon: camera.lon - (dx * perPx) / shrunk }, size);
}

/** The camera after zooming by so many steps, with what is under the pixel staying there, as far as it can. */
export function zoomed(camera: Camera, size: Size, by: number, x = 0, y = 0): Camera {
  const held = new Projection(camera, size).under(x, y);
  const nearer = within({ ...camera, zoom: camera.zoom + by }, size);
  if (held === null || (x === 0 && y === 0)) return nearer;
  const seen = new Projection(nearer, size).see(held);
  return pulled(nearer, size, x - seen.x, y - seen.y);
}

/** What is so many metres wide around a spot fills the smaller side. */
export function lookingAt(spot: Spot, acrossM: number, size: Size): Camera {
  const px = Math.max(1, Math.min(size.width, size.height));
  return within({ ...spot, zoom: Math.log2((2 * Math.PI * EARTH_RADIUS_M * px) / (acrossM * TILE_PX)) }, size);
}

/** `47.37690/8.54170/12.0`, the rest of an address: as many digits as the zoom shows. */
export function addressParts({ lat, lon, zoom }: Camera): [string, string, string] {
  const digits = clamp(Math.ceil(zoom / 3), 1, 7);
  return [lat.toFixed(digits), lon.toFixed(digits), zoom.toFixed(1)];
}

/** What an address says, whoever wrote it; null if it says no place. */
export function cameraOf(parts: readonly string[], size: Size): Camera | null {
  const [lat, lon, zoom = 12] = parts.map(Number);
  if (lat === undefined || lon === undefined || ![lat, lon, zoom].every(Number.isFinite)) return null;
  return within({ lat, lon, zoom }, size);
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}
