// The canvas in the page: keeps what is on it, and draws when something has changed, never else.
import { Projection, spotOf, wholeEarthZoom, within, type Camera, type Size, type Spot } from "./camera.ts";
import type { BaseMap } from "./base-map.ts";
import { coloursOf, type Colours } from "./colours.ts";
import { drawGlobe, drawOver, OUTLINES_GONE_ZOOM } from "./draw.ts";
import { FLIGHT_MS, inFlight } from "./flight.ts";
import { followHands } from "./gestures.ts";
import { flare, Lights } from "./lights.ts";
import { outlines, type Detail, type Outlines } from "./outlines.ts";
import type { Scene } from "./scene.ts";
import { areTaken } from "./steps.ts";

export interface Told {
  /** The camera stands still again. `byHand`: the person moved it. */
  settled: (camera: Camera, size: Size, byHand: boolean) => void;
  /** A place was tapped, near enough to a light or not. */
  tapped: (spot: Spot, litTriangle: string | null) => void;
  /** This node has a base map, and it is drawn now: whose it is must be said. */
  mapped: () => void;
}

const SETTLED_MS = 250;
const NEAR_LIGHT_PX = 14;
/** Between two steps of a light that fades: more of them nobody sees, and a phone's battery does. */
const LIGHT_STEP_MS = 100;
const FINE_FROM_ZOOM = 4.6;
/** More than a screen of a phone has would only cost time. */
const PIXEL_RATIO_MAX = 2.5;

/** Of a frame, for drawing the globe while it stands still; what is left of it goes on in the next one. */
const STEPS_MS = 10;

/** From afar a base map says nothing that the outlines do not. */
const BASE_MAP_FROM_ZOOM = 7;

type Shown = Omit<Scene, "camera" | "size" | "outlines" | "ground" | "lights" | "isMiddleMarked">;

export class Stage {
  readonly lights = new Lights();
  camera: Camera;
  size: Size = { width: 1, height: 1 };
  readonly #canvas: HTMLCanvasElement;
  /** The globe without what moves over it, as it was drawn last. */
  readonly #globe = document.createElement("canvas");
  readonly #told: Told;
  readonly #stop = new AbortController();
  readonly #still = matchMedia("(prefers-reduced-motion: reduce)");
  #shown: Shown = { triangles: [], clicksMax: 1, chosen: null, trending: [], here: null, own: [] };
  #outlines = new Map<Detail, Outlines>();
  #baseMap: BaseMap | "asked" | null = null;
  #tiles = 0;
  #colours: Colours | null = null;
  #flight: { from: Camera; to: Camera; since: number } | null = null;
  #isGlobeStale = true;
  /** What is left to draw of the globe, and of what scene. */
  #drawing: { steps: Iterator<void>; scene: Scene } | null = null;
  #drawn: Scene | null = null;
  #isMoving = false;
  #frame = 0;
  #settling = 0;
  #wakes = 0;

  constructor(canvas: HTMLCanvasElement, camera: Camera, told: Told) {
    this.#canvas = canvas;
    this.#told = told;
    this.camera = camera;
    const { signal } = this.#stop;
    const resized = new ResizeObserver(() => this.#fit());
    resized.observe(canvas);
    signal.addEventListener("abort", () => resized.disconnect());
    this.#fit();
    for (const query of ["(prefers-color-scheme: dark)", "(prefers-contrast: more)"]) {
      matchMedia(query).addEventListener("change", () => this.recolour(), { signal });
    }
    for (const kind of ["focus", "blur"]) canvas.addEventListener(kind, () => this.redraw(), { signal });
    const hands = {
      camera: () => this.camera,
      size: () => this.size,
      move: (camera: Camera) => this.#move(camera, true),
      tap: (x: number, y: number) => this.#tap(x, y),
    };
    followHands(canvas, hands, signal);
  }

  close(): void {
    this.#stop.abort();
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#settling);
    clearTimeout(this.#wakes);
  }

  show(shown: Partial<Shown>): void {
    this.#shown = { ...this.#shown, ...shown };
    this.redraw();
  }

  light(triangleId: string): void {
    if (this.lights.light(triangleId, performance.now())) this.#redrawLights();
  }

  /** Goes there; at once where nothing may move. */
  fly(to: Camera): void {
    const target = within(to, this.size);
    if (this.#still.matches) this.#move(target, false);
    else {
      this.#flight = { from: this.camera, to: target, since: performance.now() };
      this.redraw();
    }
  }

  /** Whether a place is on the side that is seen, and on the screen. */
  isSeen(point: readonly [number, number, number]): boolean {
    const { x, y, depth } = new Projection(this.camera, this.size).see([...point]);
    return depth > 0 && Math.abs(x) < this.size.width / 2 && Math.abs(y) < this.size.height / 2;
  }

  recolour(): void {
    this.#colours = null;
    this.redraw();
  }

  redraw(): void {
    this.#isGlobeStale = true;
    this.#redrawLights();
  }

  #redrawLights(): void {
    if (this.#frame === 0 && !this.#stop.signal.aborted) this.#frame = requestAnimationFrame((now) => this.#draw(now));
  }

  #draw(now: number): void {
    this.#frame = 0;
    if (this.#flight) {
      const share = Math.min(1, Math.max(0, (now - this.#flight.since) / FLIGHT_MS));
      this.camera = within(inFlight(this.#flight.from, this.#flight.to, this.size, share), this.size);
      if (share === 1) this.#flight = null;
      this.#isMoving = true;
      this.#settleSoon(false);
    }
    const [context, globe] = [this.#canvas.getContext("2d"), this.#globe.getContext("2d")];
    if (!context || !globe) return;
    const colours = this.#colours;
    if (!colours) {
      // Of this the browser makes work of its own: a frame for it, and the drawing in the next one.
      this.#colours = coloursOf(this.#canvas);
      return this.#redrawLights();
    }
    const { width, height } = this.size;
    const ratio = this.#canvas.width / width;
    const scene: Scene = {
      ...this.#shown,
      camera: this.camera,
      size: { width, height },
      outlines: this.#outlinesFor(this.camera.zoom),
      ground: this.#isGlobeStale ? this.#groundFor(this.camera) : null,
      lights: this.lights.all(),
      isMiddleMarked: this.#canvas.matches(":focus-visible"),
    };
    const middle = [ratio, 0, 0, ratio, this.#canvas.width / 2, this.#canvas.height / 2] as const;
    // What moves is drawn from where it is now. What stands still is drawn to its end, so that it is there at some time.
    if (this.#isGlobeStale && (this.#isMoving || !this.#drawing)) {
      this.#isGlobeStale = false;
      [this.#globe.width, this.#globe.height] = [this.#canvas.width, this.#canvas.height];
      globe.setTransform(...middle);
      this.#drawing = { steps: drawGlobe(globe, scene, colours), scene };
    }
    if (this.#drawing) {
      if (!areTaken(this.#drawing.steps, this.#isMoving ? Infinity : STEPS_MS)) return this.#redrawLights();
      this.#drawn = this.#drawing.scene;
      this.#drawing = null;
      this.#isMoving = false;
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    context.drawImage(this.#globe, 0, 0);
    context.setTransform(...middle);
    drawOver(context, scene, colours, now, this.#still.matches);
    this.#tell({ ...scene, triangles: this.#drawn?.triangles ?? [], outlines: this.#drawn?.outlines ?? null }, now);
    this.#drawAgain(now);
  }

  /** The next frame while something moves; else when a light goes out. */
  #drawAgain(now: number): void {
    clearTimeout(this.#wakes);
    const at = this.lights.changesAt(now, this.#still.matches);
    if (this.#flight) this.redraw();
    else if (this.#isGlobeStale) this.#redrawLights();
    else if (at !== null) this.#wakes = setTimeout(() => this.#redrawLights(), Math.max(LIGHT_STEP_MS, at - now)) as unknown as number;
  }

  /** What was drawn, for those who cannot look: tests, and tools that help. */
  #tell({ camera, triangles, own, trending, lights, outlines: drawn }: Scene, now: number): void {
    const data = this.#canvas.dataset;
    const lit = lights.filter((light) => flare(light, now, this.#still.matches) > 0);
    const said = {
      lat: camera.lat.toFixed(5),
      lon: camera.lon.toFixed(5),
      zoom: camera.zoom.toFixed(2),
      triangles: String(triangles.length),
      own: String(own.length),
      trending: String(trending.length),
      tiles: String(this.#tiles),
      lit: lit.map(({ triangleId }) => triangleId).join(" "),
      glowing: String(lights.length),
      land: String(drawn?.land.length ?? 0),
      frames: String(Number(data["frames"] ?? 0) + 1),
    };
    for (const [name, value] of Object.entries(said)) if (data[name] !== value) data[name] = value;
  }

  /** The best set that is here; a better one is fetched, and drawn when it comes. */
  #outlinesFor(zoom: number): Outlines | null {
    if (zoom >= OUTLINES_GONE_ZOOM) return null;
    const wanted: Detail = zoom >= FINE_FROM_ZOOM ? "fine" : "coarse";
    if (!this.#outlines.has(wanted)) void this.#fetchOutlines(wanted);
    return this.#outlines.get(wanted) ?? this.#outlines.get("coarse") ?? this.#outlines.get("fine") ?? null;
  }

  async #fetchOutlines(detail: Detail): Promise<void> {
    try {
      const set = await outlines(detail);
      if (this.#outlines.has(detail)) return;
      this.#outlines.set(detail, set);
      this.redraw();
    } catch (error) {
      // Offline: the globe has its mesh, and the next drawing asks again.
      if (!(error instanceof TypeError)) throw error;
    }
  }

  #groundFor(camera: Camera): Scene["ground"] {
    this.#tiles = 0;
    if (camera.zoom < BASE_MAP_FROM_ZOOM) return null;
    if (this.#baseMap === null) void this.#openBaseMap();
    const map = this.#baseMap;
    if (map === null || map === "asked") return null;
    return (context, projection, colours) => {
      this.#tiles = map.draw(context, camera, projection, colours, document.documentElement.lang);
    };
  }

  /** Once for this page; whoever has no answer asks again when it is next opened. */
  async #openBaseMap(): Promise<void> {
    this.#baseMap = "asked";
    try {
      const { openBaseMap } = await import("./base-map.ts");
      const opened = await openBaseMap(() => this.redraw());
      if (opened === null || this.#stop.signal.aborted) return;
      this.#baseMap = opened;
      this.#told.mapped();
      this.redraw();
    } catch (error) {
      // Offline, or no map that can be read: the triangles do without.
      if (!(error instanceof Error)) throw error;
      console.warn("base map:", error.message);
    }
  }

  #move(camera: Camera, byHand: boolean): void {
    if (byHand) this.#flight = null;
    this.camera = camera;
    this.#isMoving = true;
    this.redraw();
    this.#settleSoon(byHand);
  }

  #settleSoon(byHand: boolean): void {
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => this.#told.settled(this.camera, this.size, byHand), SETTLED_MS) as unknown as number;
  }

  #tap(x: number, y: number): void {
    const projection = new Projection(this.camera, this.size);
    const point = projection.under(x, y);
    if (!point) return;
    const near = this.lights.all().map((light) => {
      const seen = projection.see(light.middle);
      return { light, px: seen.depth > 0 ? Math.hypot(seen.x - x, seen.y - y) : Infinity };
    });
    const nearest = near.reduce((best, other) => (other.px <= best.px ? other : best), { light: null as null | { triangleId: string }, px: NEAR_LIGHT_PX });
    this.#told.tapped(spotOf(point), nearest.light?.triangleId ?? null);
  }

  #fit(): void {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (width === 0 || height === 0) return;
    const ratio = Math.min(PIXEL_RATIO_MAX, devicePixelRatio);
    // Whoever saw the whole Earth sees it still.
    const isWhole = this.camera.zoom <= wholeEarthZoom(this.size) + 0.01;
    this.size = { width, height };
    if (isWhole) this.camera = { ...this.camera, zoom: wholeEarthZoom(this.size) };
    this.#canvas.width = Math.round(width * ratio);
    this.#canvas.height = Math.round(height * ratio);
    this.camera = within(this.camera, this.size);
    this.#drawing = null;
    this.#settleSoon(false);
    this.redraw();
  }
}
