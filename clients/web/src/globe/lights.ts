// Triangles that light up when a proof in them becomes final, and go on glowing for a while.
import type { Vector } from "step-client";
import { vertices } from "step-client/mesh.js";
import { middle, type Corners } from "./mesh.ts";

export interface Light {
  triangleId: string;
  corners: Corners;
  middle: Vector;
  /** When it lit up last, milliseconds of `performance.now`. */
  litAt: number;
}

/** How long a triangle flares up, and where nothing may move, how long it stays lit. */
export const FLARE_MS = 2_600;
export const STEADY_MS = 6_000;

/** Of the last triangles a mark remains; of more a phone would draw too much. */
const LIGHTS_MAX = 256;

export class Lights {
  readonly #lit = new Map<string, Light>();

  /** The oldest first, so that what is new is drawn over it. */
  all(): Light[] {
    return [...this.#lit.values()];
  }

  /** Whether it is a triangle at all: what a node tells is not believed. */
  light(triangleId: string, now: number): boolean {
    const known = this.#lit.get(triangleId);
    const corners = known?.corners ?? cornersOf(triangleId);
    if (!corners) return false;
    this.#lit.delete(triangleId);
    this.#lit.set(triangleId, { triangleId, corners, middle: middle(...corners), litAt: now });
    if (this.#lit.size > LIGHTS_MAX) this.#lit.delete(this.#lit.keys().next().value!);
    return true;
  }

  /** The next moment at which lights look different; null if they stay as they are. */
  changesAt(now: number, isStill: boolean): number | null {
    const last = [...this.#lit.values()].at(-1);
    if (!last) return null;
    if (!isStill) return now < last.litAt + FLARE_MS ? now : null;
    const ends = [...this.#lit.values()].map(({ litAt }) => litAt + STEADY_MS).filter((end) => end > now);
    return ends.length > 0 ? Math.min(...ends) : null;
  }
}

/** From 1, just lit, down to 0. With `isStill` it is one of the two. */
export function flare(light: Light, now: number, isStill: boolean): number {
  const age = now - light.litAt;
  if (isStill) return age < STEADY_MS ? 1 : 0;
  return Math.max(0, 1 - age / FLARE_MS);
}

/** Of whatever somebody says is a triangle; null if it is none. */
export function cornersOf(triangleId: string): Corners | null {
  try {
    return vertices(triangleId);
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}
