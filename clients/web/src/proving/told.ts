// What a node says of the triangle here, as far as it can be believed: what is no such thing would break the page, and once
// kept, every visit's.
import { LEVEL_MAX } from "step-client/triangle.js";
import { micro } from "../shell/amounts.ts";

export interface Here {
  triangleId: string;
  level: number;
  reward: string;
  clicks: number;
  state: string;
}

/** Null for what is none. */
export function hereOf(told: unknown): Here | null {
  const { triangleId, level, reward, clicks, state } = (told ?? {}) as Record<string, unknown>;
  if (typeof triangleId !== "string" || typeof reward !== "string" || typeof state !== "string") return null;
  if (typeof level !== "number" || !Number.isInteger(level) || level < 1 || level > LEVEL_MAX) return null;
  if (typeof clicks !== "number" || !isAmount(reward)) return null;
  return { triangleId, level, reward, clicks, state };
}

function isAmount(text: string): boolean {
  try {
    return micro(text) >= 0n;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}
