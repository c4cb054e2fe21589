// The globe on a canvas. The context's origin is the middle of the globe, its unit a CSS pixel.
import type { Vector } from "step-client";
import { dot, metresPerPx, Projection, vectorOf, type Seen } from "./camera.ts";
import type { Colours } from "./colours.ts";
import { flare, type Light } from "./lights.ts";
import { edgePx, edges, halfway, middle, type Corners } from "./mesh.ts";
import type { Outline } from "./outlines.ts";
import type { Scene, Standing } from "./scene.ts";

/** Longer ones are bent: a great circle is no straight line from afar, and a long one is less exact from near. */
const STRAIGHT_RAD_MAX = 0.05;
const STRAIGHT_PX_MAX = 1_500;
/** From here on outlines fade, until they are gone: nearer than that they are not where the shore is. */
const OUTLINES_FADE_ZOOM = 10;
export const OUTLINES_GONE_ZOOM = 12;
/** Of those that nobody has proven in yet only large ones are labelled: they are many, and all alike. */
const LABEL_EDGE_PX_MIN = 80;
const LABEL_UNTOUCHED_EDGE_PX_MIN = 170;
const POINT_EDGE_PX_MAX = 10;
const RING_EDGE_PX_MAX = 40;
const FULL_TURN = 2 * Math.PI;

/** What stays as it is until somebody turns the globe or the scene changes: nearly all of the work. Step by step, so that a
 * slow phone can do something else in between; it is drawn once all steps are taken. */
export function* drawGlobe(context: CanvasRenderingContext2D, scene: Scene, colours: Colours): Generator<void> {
  const projection = new Projection(scene.camera, scene.size);
  const pen = new Pen(context, projection);
  yield* drawGround(pen, scene, colours);
  scene.ground?.(context, projection, colours);
  yield* drawMesh(pen, colours);
  for (const { corners, share } of scene.trending) {
    drawTrending(pen, corners, share, colours);
    yield;
  }
  for (const triangle of scene.triangles) {
    drawStanding(pen, triangle, scene.clicksMax, colours);
    yield;
  }
}

/** What lies over it, lights that fade among them: drawn anew for each step of theirs. */
export function drawOver(context: CanvasRenderingContext2D, scene: Scene, colours: Colours, now: number, isStill: boolean): void {
  const projection = new Projection(scene.camera, scene.size);
  const pen = new Pen(context, projection);
  for (const light of scene.lights) drawLight(pen, light, flare(light, now, isStill), isStill, colours);
  for (const triangle of scene.triangles) drawLabel(pen, triangle, scene.clicksMax, colours);
  if (scene.chosen) drawChosen(pen, scene.chosen, colours);
  for (const spot of scene.own) drawOwn(pen, projection.see(vectorOf(spot)), colours);
  if (scene.here) {
    const { accuracyM } = scene.here;
    drawHere(pen, projection.see(vectorOf(scene.here)), accuracyM / metresPerPx(scene.camera.zoom), colours);
  }
  if (scene.isMiddleMarked) drawMiddle(context, colours);
}

/** Draws lines of the sphere. */
class Pen {
  readonly context: CanvasRenderingContext2D;
  readonly projection: Projection;

  constructor(context: CanvasRenderingContext2D, projection: Projection) {
    this.context = context;
    this.projection = projection;
  }

  /** Adds a great circle's arc to the path, as far as it is on the screen. */
  arc(from: Vector, to: Vector): void {
    const between = Math.hypot(from[0] - to[0], from[1] - to[1], from[2] - to[2]);
    const half = halfway(from, to);
    if (!this.projection.mayShow(half, between)) return;
    if (between > STRAIGHT_RAD_MAX || between * this.projection.radius > STRAIGHT_PX_MAX) {
      this.arc(from, half);
      this.arc(half, to);
      return;
    }
    let [a, b] = [this.projection.see(from), this.projection.see(to)];
    if (a.depth < 0 && b.depth < 0) return;
    if (a.depth < 0) a = atLimb(a, b);
    if (b.depth < 0) b = atLimb(b, a);
    this.context.moveTo(a.x, a.y);
    this.context.lineTo(b.x, b.y);
  }

  outline([a, b, c]: Corners): void {
    this.arc(a, b);
    this.arc(b, c);
    this.arc(c, a);
  }

  /** A triangle as one closed path, to be filled: only for those that are small on the sphere. */
  area(corners: Corners): void {
    const seen = corners.map((corner) => this.projection.see(corner));
    if (seen.some(({ depth }) => depth < 0)) return;
    seen.forEach(({ x, y }, index) => (index === 0 ? this.context.moveTo(x, y) : this.context.lineTo(x, y)));
    this.context.closePath();
  }
}

function atLimb(behind: Seen, before: Seen): Seen {
  const share = before.depth / (before.depth - behind.depth);
  return { x: before.x + (behind.x - before.x) * share, y: before.y + (behind.y - before.y) * share, depth: 0 };
}

function* drawGround({ context, projection }: Pen, { camera, size, outlines }: Scene, colours: Colours): Generator<void> {
  const isFilled = projection.reachRad < 1;
  context.clearRect(-size.width / 2, -size.height / 2, size.width, size.height);
  context.fillStyle = colours.sea;
  context.beginPath();
  if (isFilled) context.rect(-size.width / 2, -size.height / 2, size.width, size.height);
  else context.arc(0, 0, projection.radius, 0, FULL_TURN);
  context.fill();
  if (outlines) {
    context.beginPath();
    for (const piece of outlines.land) {
      if (!projection.mayShow(piece.middle, piece.capRad)) continue;
      trace(context, projection, piece, true);
      yield;
    }
    context.fillStyle = colours.land;
    context.fill();
    yield;
    context.beginPath();
    for (const line of outlines.borders) {
      if (!projection.mayShow(line.middle, line.capRad)) continue;
      trace(context, projection, line, false);
      yield;
    }
    context.strokeStyle = colours.border;
    context.lineWidth = 0.75;
    context.stroke();
  }
  const faded = Math.min(1, (camera.zoom - OUTLINES_FADE_ZOOM) / (OUTLINES_GONE_ZOOM - OUTLINES_FADE_ZOOM));
  if (faded > 0) {
    context.globalAlpha = faded;
    context.fillStyle = colours.land;
    context.fillRect(-size.width / 2, -size.height / 2, size.width, size.height);
    context.globalAlpha = 1;
  }
  if (!isFilled) {
    context.beginPath();
    context.arc(0, 0, projection.radius, 0, FULL_TURN);
    context.strokeStyle = colours.border;
    context.lineWidth = 1;
    context.stroke();
  }
}

/** A piece that reaches over the limb ends there: what is behind it is moved to it. Pieces are small, so nothing is twisted. */
function trace(context: CanvasRenderingContext2D, projection: Projection, { points }: Outline, isArea: boolean): void {
  let isBegun = false;
  for (let at = 0; at < points.length; at += 3) {
    const seen = projection.see([points[at]!, points[at + 1]!, points[at + 2]!]);
    if (seen.depth < 0) {
      if (!isArea) {
        isBegun = false;
        continue;
      }
      const out = projection.radius / Math.hypot(seen.x, seen.y);
      seen.x *= out;
      seen.y *= out;
    }
    if (isBegun) context.lineTo(seen.x, seen.y);
    else context.moveTo(seen.x, seen.y);
    isBegun = true;
  }
  if (isArea) context.closePath();
}

function* drawMesh(pen: Pen, colours: Colours): Generator<void> {
  const { context, projection } = pen;
  const levels = edges(projection);
  yield;
  context.strokeStyle = colours.mesh;
  context.lineWidth = 1;
  for (const { weight, lines } of levels) {
    context.globalAlpha = 0.15 + 0.45 * weight;
    context.beginPath();
    for (const [from, to] of lines) {
      pen.arc(from, to);
      yield;
    }
    context.stroke();
    yield;
  }
  context.globalAlpha = 1;
}

function drawStanding(pen: Pen, { corners, clicks, mayMine }: Standing, clicksMax: number, colours: Colours): void {
  const { context, projection } = pen;
  const at = middle(...corners);
  if (!projection.mayShow(at, span(corners))) return;
  const colour = mayMine === undefined ? colours.accent : mayMine ? colours.good : colours.warn;
  context.beginPath();
  pen.area(corners);
  context.fillStyle = colour;
  context.globalAlpha = 0.05 + 0.3 * Math.min(1, clicks / clicksMax);
  context.fill();
  context.globalAlpha = 0.75;
  context.strokeStyle = colour;
  context.lineWidth = 1.25;
  context.beginPath();
  pen.outline(corners);
  context.stroke();
  context.globalAlpha = 1;
}

/** A large one as it lies; one that is too small to be seen as a spot. */
function drawTrending(pen: Pen, corners: Corners, share: number, colours: Colours): void {
  const { context, projection } = pen;
  const at = middle(...corners);
  if (!projection.mayShow(at, span(corners))) return;
  context.fillStyle = colours.heat;
  context.strokeStyle = colours.heat;
  context.globalAlpha = 0.2 + 0.55 * share;
  context.beginPath();
  if (span(corners) * projection.radius > POINT_EDGE_PX_MAX) {
    pen.area(corners);
    context.fill();
    context.globalAlpha = 0.9;
    context.lineWidth = 1.25;
    context.stroke();
  } else {
    const { x, y, depth } = projection.see(at);
    if (depth > 0) context.arc(x, y, 3.5 + 4 * share, 0, FULL_TURN);
    context.fill();
  }
  context.globalAlpha = 1;
}

function drawLabel({ context, projection }: Pen, { corners, clicks, level }: Standing, clicksMax: number, colours: Colours): void {
  const at = middle(...corners);
  if (edgePx(level, projection.radius) < (clicks > 0 ? LABEL_EDGE_PX_MIN : LABEL_UNTOUCHED_EDGE_PX_MIN)) return;
  if (!projection.mayShow(at, 0)) return;
  const { x, y } = projection.see(at);
  context.font = "600 13px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillStyle = colours.ink;
  context.fillText(`${clicks}/${clicksMax}`, x, y - 8);
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = colours.quiet;
  context.fillText(`L${level}`, x, y + 8);
}

function drawLight(pen: Pen, { corners, middle: at }: Light, strength: number, isStill: boolean, colours: Colours): void {
  const { context, projection } = pen;
  const { x, y, depth } = projection.see(at);
  if (depth < 0 || !projection.mayShow(at, span(corners))) return;
  context.fillStyle = colours.accent;
  context.strokeStyle = colours.accent;
  const sizePx = span(corners) * projection.radius;
  if (sizePx > POINT_EDGE_PX_MAX) {
    context.globalAlpha = 0.1 + 0.4 * strength;
    context.beginPath();
    pen.area(corners);
    context.fill();
  } else {
    context.globalAlpha = 0.35 + 0.65 * strength;
    context.beginPath();
    context.arc(x, y, 2 + 2 * strength, 0, FULL_TURN);
    context.fill();
  }
  // A large one shows by itself that it is lit.
  if (strength > 0 && (sizePx < RING_EDGE_PX_MAX || !isStill)) {
    context.globalAlpha = strength;
    context.lineWidth = 2;
    context.beginPath();
    context.arc(x, y, isStill ? 10 : Math.min(sizePx, RING_EDGE_PX_MAX) / 2 + 6 + 22 * (1 - strength), 0, FULL_TURN);
    context.stroke();
  }
  context.globalAlpha = 1;
}

function drawChosen(pen: Pen, corners: Corners, colours: Colours): void {
  const { context, projection } = pen;
  context.strokeStyle = colours.ink;
  context.lineWidth = 3;
  context.beginPath();
  pen.outline(corners);
  context.stroke();
  const { x, y, depth } = projection.see(middle(...corners));
  if (span(corners) * projection.radius > POINT_EDGE_PX_MAX || depth < 0) return;
  context.beginPath();
  context.arc(x, y, 9, 0, FULL_TURN);
  context.stroke();
}

function drawOwn({ context }: Pen, { x, y, depth }: Seen, colours: Colours): void {
  if (depth < 0) return;
  context.fillStyle = colours.good;
  context.strokeStyle = colours.raised;
  context.lineWidth = 1.5;
  context.beginPath();
  context.moveTo(x, y - 6);
  context.lineTo(x + 6, y);
  context.lineTo(x, y + 6);
  context.lineTo(x - 6, y);
  context.closePath();
  context.fill();
  context.stroke();
}

function drawHere({ context }: Pen, { x, y, depth }: Seen, accuracyPx: number, colours: Colours): void {
  if (depth < 0) return;
  context.fillStyle = colours.accent;
  context.globalAlpha = 0.2;
  context.beginPath();
  context.arc(x, y, accuracyPx, 0, FULL_TURN);
  context.fill();
  context.globalAlpha = 1;
  context.strokeStyle = colours.raised;
  context.lineWidth = 3;
  context.beginPath();
  context.arc(x, y, 7, 0, FULL_TURN);
  context.stroke();
  context.fill();
}

function drawMiddle(context: CanvasRenderingContext2D, colours: Colours): void {
  context.strokeStyle = colours.ink;
  context.lineWidth = 1.5;
  context.beginPath();
  for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]] as const) {
    context.moveTo(4 * dx, 4 * dy);
    context.lineTo(12 * dx, 12 * dy);
  }
  context.stroke();
}

/** How far a triangle's corners lie from its middle, radians. */
function span(corners: Corners): number {
  return Math.acos(Math.min(1, dot(middle(...corners), corners[0]))) || 1e-9;
}
