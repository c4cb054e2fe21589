// The operator's base map: tiles fetched as the view wants them, and drawn with the theme's colours. All of it is loaded when
// somebody first looks from near.
import { PMTiles, TileType } from "pmtiles";
import { dot, type Camera, type Projection } from "./camera.ts";
import type { Colours } from "./colours.ts";
import { onSphere, tilesIn, type TileName } from "./tiling.ts";
import { vectorTile, type Feature } from "./vector-tile.ts";
import type { Vector } from "step-client";

/** A feature on the sphere: x, y, z of one point after the other, part by part. */
interface Shape {
  layer: string;
  kind: Feature["kind"];
  tags: Feature["tags"];
  parts: Float64Array[];
}

interface Tile {
  shapes: readonly Shape[];
  middle: Vector;
  capRad: number;
  z: number;
}

const LAYERS = new Set(["earth", "landcover", "landuse", "water", "buildings", "roads", "boundaries", "places"]);
const GREEN = new Set(["forest", "wood", "park", "nature_reserve", "national_park", "grass", "grassland", "meadow", "scrub", "cemetery", "golf_course", "garden", "protected_area"]);
/** Widths of roads at zoom 14, in pixels; each zoom more makes them 1.35 times as wide. */
const ROAD_PX: Readonly<Record<string, number>> = { highway: 3, major_road: 2.2, medium_road: 1.6, minor_road: 1, path: 0.6, rail: 0.8 };
const ROAD_GROWTH = 1.35;
const SMALL_ROADS_FROM_ZOOM = 13;
const BUILDINGS_FROM_ZOOM = 15;
/** Of places by their kind: from which zoom on they are named, the first that find room. */
const PLACES_FROM_ZOOM: Readonly<Record<string, number>> = { country: 0, region: 6, locality: 7, macrohood: 12, neighbourhood: 13 };
const NAMES_MAX = 60;
const NAME_CHARACTERS_MAX = 60;
const KEPT_MAX = 96;
const AT_ONCE_MAX = 6;

/** What there is at this node; null if there is no base map. */
export async function openBaseMap(changed: () => void): Promise<BaseMap | null> {
  const answer = await fetch("base-map.json");
  const told: unknown = answer.ok ? await answer.json() : null;
  if (typeof told !== "object" || told === null || !("isThere" in told) || told.isThere !== true) return null;
  const archive = new PMTiles(new URL("base-map.pmtiles", document.baseURI).href);
  const { tileType, maxZoom } = await archive.getHeader();
  return tileType === TileType.Mvt ? new BaseMap(archive, maxZoom, changed) : null;
}

export class BaseMap {
  readonly #archive: PMTiles;
  readonly #levelMax: number;
  readonly #changed: () => void;
  /** By name, the one that was used last at the end; null while it is fetched, and empty where there is none. */
  readonly #tiles = new Map<string, Tile | null>();
  #underWay = 0;

  constructor(archive: PMTiles, levelMax: number, changed: () => void) {
    this.#archive = archive;
    this.#levelMax = levelMax;
    this.#changed = changed;
  }

  /** Draws what is here, and fetches what is missing. How many tiles were drawn. */
  draw(context: CanvasRenderingContext2D, camera: Camera, projection: Projection, colours: Colours, language: string): number {
    const wanted = tilesIn(camera, projection, this.#levelMax);
    for (const name of wanted) this.#want(name);
    this.#forget();
    // Coarser ones first: they fill in until the finer ones are here.
    const seen = [...this.#tiles.values()]
      .filter((tile): tile is Tile => tile !== null && tile.shapes.length > 0 && projection.mayShow(tile.middle, tile.capRad))
      .filter(({ z }) => wanted[0] !== undefined && z <= wanted[0].z)
      .sort((one, other) => one.z - other.z);
    for (const tile of seen) drawTile(context, tile, camera, projection, colours);
    drawNames(context, seen.filter(({ z }) => z === wanted[0]?.z), camera, projection, colours, language);
    return seen.length;
  }

  #want(name: TileName): void {
    const key = `${name.z}/${name.x}/${name.y}`;
    const known = this.#tiles.get(key);
    if (known !== undefined) {
      this.#tiles.delete(key);
      this.#tiles.set(key, known);
    } else if (this.#underWay < AT_ONCE_MAX) {
      this.#tiles.set(key, null);
      this.#underWay += 1;
      void this.#fetch(name, key);
    }
  }

  async #fetch(name: TileName, key: string): Promise<void> {
    try {
      const found = await this.#archive.getZxy(name.z, name.x, name.y);
      this.#tiles.set(key, tileOf(name, found ? new Uint8Array(found.data) : new Uint8Array()));
    } catch (error) {
      // No answer, or nothing that can be read: it is asked for again when it is next drawn, or left empty.
      if (error instanceof TypeError) this.#tiles.delete(key);
      else this.#tiles.set(key, { shapes: [], middle: [0, 0, 1], capRad: 0, z: name.z });
    } finally {
      this.#underWay -= 1;
    }
    this.#changed();
  }

  #forget(): void {
    for (const [key, tile] of this.#tiles) {
      if (this.#tiles.size <= KEPT_MAX) return;
      if (tile !== null) this.#tiles.delete(key);
    }
  }
}

function tileOf(name: TileName, bytes: Uint8Array): Tile {
  const shapes = vectorTile(bytes, LAYERS).flatMap(({ name: layer, extent, features }) =>
    features.map(({ kind, tags, parts }): Shape => ({ layer, kind, tags, parts: parts.map((part) => placed(name, part, extent)) })),
  );
  const middle = onSphere(name, 0.5, 0.5);
  const corners = [[0, 0], [1, 0], [0, 1], [1, 1]].map(([across, down]) => onSphere(name, across!, down!));
  // Areas reach a little over the edge, so that neighbours leave no gap.
  const capRad = 1.1 * Math.max(...corners.map((corner) => Math.acos(Math.min(1, dot(middle, corner)))));
  return { shapes, middle, capRad, z: name.z };
}

function placed(name: TileName, part: Float32Array, extent: number): Float64Array {
  const points = new Float64Array((part.length / 2) * 3);
  for (let at = 0; at < part.length; at += 2) points.set(onSphere(name, part[at]! / extent, part[at + 1]! / extent), (at / 2) * 3);
  return points;
}

function drawTile(context: CanvasRenderingContext2D, { shapes }: Tile, { zoom }: Camera, projection: Projection, colours: Colours): void {
  const of = (...layers: string[]) => shapes.filter(({ layer }) => layers.includes(layer));
  const fill = (some: readonly Shape[], colour: string) => {
    context.beginPath();
    for (const { parts } of some.filter(({ kind }) => kind === "area")) for (const part of parts) trace(context, projection, part, true);
    context.fillStyle = colour;
    // Holes turn the other way round.
    context.fill("nonzero");
  };
  const stroke = (some: readonly Shape[], colour: string, px: number) => {
    context.beginPath();
    for (const { parts } of some.filter(({ kind }) => kind === "line")) for (const part of parts) trace(context, projection, part, false);
    context.strokeStyle = colour;
    context.lineWidth = px;
    context.stroke();
  };
  fill(of("earth"), colours.land);
  fill(of("landcover", "landuse").filter(({ tags }) => GREEN.has(tags["kind"] ?? "")), colours.wood);
  fill(of("water"), colours.sea);
  stroke(of("water"), colours.sea, Math.max(1, (zoom - 10) / 2));
  if (zoom >= BUILDINGS_FROM_ZOOM) fill(of("buildings"), colours.building);
  const roads = byKind(of("roads"));
  for (const [kind, some] of roads) {
    const px = (ROAD_PX[kind] ?? 0.8) * ROAD_GROWTH ** (zoom - 14);
    if (zoom >= SMALL_ROADS_FROM_ZOOM || kind === "highway" || kind === "major_road") stroke(some, colours.road, Math.max(0.5, px));
  }
  stroke(of("boundaries"), colours.border, 1);
}

/** By what kind of road they are. */
function byKind(shapes: readonly Shape[]): Map<string, Shape[]> {
  const found = new Map<string, Shape[]>();
  for (const shape of shapes) {
    const kind = shape.tags["kind"] ?? "";
    found.set(kind, [...(found.get(kind) ?? []), shape]);
  }
  return found;
}

function drawNames(context: CanvasRenderingContext2D, tiles: readonly Tile[], { zoom }: Camera, projection: Projection, colours: Colours, language: string): void {
  const taken: { x: number; y: number; half: number }[] = [];
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineWidth = 3;
  context.strokeStyle = colours.land;
  const order = Object.keys(PLACES_FROM_ZOOM);
  const places = tiles
    .flatMap(({ shapes }) => shapes)
    .filter(({ layer, kind, tags, parts }) => layer === "places" && kind === "point" && parts.length > 0 && zoom >= (PLACES_FROM_ZOOM[tags["kind"] ?? ""] ?? Infinity))
    .sort((one, other) => order.indexOf(one.tags["kind"] ?? "") - order.indexOf(other.tags["kind"] ?? ""));
  for (const { tags, parts } of places) {
    const name = (tags[`name:${language}`] ?? tags["name"] ?? "").slice(0, NAME_CHARACTERS_MAX);
    const [px, py, pz] = parts[0]!;
    const { x, y, depth } = projection.see([px!, py!, pz!]);
    if (name === "" || depth < 0 || taken.length >= NAMES_MAX) continue;
    context.font = `${tags["kind"] === "locality" ? "600 " : ""}13px system-ui, sans-serif`;
    const half = context.measureText(name).width / 2 + 6;
    if (taken.some((other) => Math.abs(other.x - x) < other.half + half && Math.abs(other.y - y) < 20)) continue;
    taken.push({ x, y, half });
    context.strokeText(name, x, y);
    context.fillStyle = colours.quiet;
    context.fillText(name, x, y);
  }
}

function trace(context: CanvasRenderingContext2D, projection: Projection, points: Float64Array, isArea: boolean): void {
  for (let at = 0; at < points.length; at += 3) {
    const { x, y } = projection.see([points[at]!, points[at + 1]!, points[at + 2]!]);
    if (at === 0) context.moveTo(x, y);
    else context.lineTo(x, y);
  }
  if (isArea) context.closePath();
}
