// What is on the globe: everything that draw.ts draws.
import type { Camera, Projection, Size, Spot } from "./camera.ts";
import type { Colours } from "./colours.ts";
import type { Light } from "./lights.ts";
import type { Corners } from "./mesh.ts";
import type { Outlines } from "./outlines.ts";

/** A triangle as it stands in the ledger. */
export interface Standing {
  triangleId: string;
  level: number;
  state: "active" | "subdivided" | "exhausted";
  clicks: number;
  /** Decimal text of STEP. */
  reward: string;
  corners: Corners;
  /** Only for an account: whether it may prove there now, and else from when on. */
  mayMine?: boolean | undefined;
  mayMineFrom?: string | undefined;
}

export interface Here extends Spot {
  accuracyM: number;
}

export interface Scene {
  camera: Camera;
  size: Size;
  outlines: Outlines | null;
  /** Draws a base map, where there is one. */
  ground: ((context: CanvasRenderingContext2D, projection: Projection, colours: Colours) => void) | null;
  triangles: readonly Standing[];
  /** The click that ends a triangle; for how full it is drawn. */
  clicksMax: number;
  chosen: Corners | null;
  lights: readonly Light[];
  /** Where much happens, if that is wanted. */
  trending: readonly { corners: Corners; share: number }[];
  /** Where the person is, and has proven. */
  here: Here | null;
  own: readonly Spot[];
  /** Whether the middle is marked: what Enter chooses. */
  isMiddleMarked: boolean;
}
