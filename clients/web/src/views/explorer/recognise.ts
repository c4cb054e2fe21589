// What somebody may have meant by what stands in the search box, the likeliest first. Nothing is asked here.
import { parseTriangle, triangleOfInteger, triangleText } from "step-client";

export type Sought =
  | { kind: "batch"; height: number }
  | { kind: "triangle"; triangleId: string }
  | { kind: "account"; address: string }
  /** 32 bytes: a proof's, an operation's, or a batch's hash. */
  | { kind: "id"; id: string }
  | { kind: "point"; lat: number; lon: number }
  | { kind: "name"; name: string };

/** Longer texts are no search. */
export const SEARCH_CHARACTERS_MAX = 200;

const TRIANGLE_PREFIX = "STEP-TRI-V1:";

export function recognise(text: string): Sought[] {
  const plain = text.trim();
  if (plain === "" || plain.length > SEARCH_CHARACTERS_MAX) return [];
  return hex(plain) ?? triangle(plain) ?? integer(plain) ?? point(plain) ?? name(plain);
}

/** With or without `0x`, in any case: what has as many digits is nothing else. */
function hex(text: string): Sought[] | undefined {
  const digits = /^(?:0x)?([0-9a-f]{40}|[0-9a-f]{64})$/i.exec(text)?.[1]?.toLowerCase();
  if (digits === undefined) return undefined;
  return digits.length === 40 ? [{ kind: "account", address: `0x${digits}` }] : [{ kind: "id", id: `0x${digits}` }];
}

/** In its text form, whole or without what all begin with. What has that form and a wrong checksum is no triangle. */
function triangle(text: string): Sought[] | undefined {
  const upper = text.toUpperCase();
  const body = upper.startsWith(TRIANGLE_PREFIX) ? upper.slice(TRIANGLE_PREFIX.length) : upper;
  if (!/^[A-T]\d{1,2}-[0-3]{20}-[A-Z2-7]{3}$/.test(body)) return undefined;
  return some(() => ({ kind: "triangle", triangleId: triangleText(parseTriangle(`STEP-TRI-v1:${body}`)) }));
}

/** A height, or a triangle in its integer form; small numbers can be both. */
function integer(text: string): Sought[] | undefined {
  const digits = /^#?(\d{1,16})$/.exec(text)?.[1];
  if (digits === undefined) return undefined;
  const number = Number(digits);
  if (!Number.isSafeInteger(number)) return [];
  const height: Sought[] = number >= 1 ? [{ kind: "batch", height: number }] : [];
  if (text.startsWith("#")) return height;
  const triangles = some(() => ({ kind: "triangle", triangleId: triangleOfInteger(number) }));
  // A chain with a batch a second has come so far in sixty years: beyond, a number is a triangle's first.
  return number < 2 ** 31 ? [...height, ...triangles] : [...triangles, ...height];
}

const NUMBER = "([+-]?\\d{1,3}(?:[.,]\\d+)?)\\s*°?";
const POINT = new RegExp(`^${NUMBER}\\s*([NS])?(?:\\s*[,;/]\\s*|\\s+)${NUMBER}\\s*([EWO])?$`, "i");

/** Latitude, then longitude. `O` is the German east; a comma is a decimal mark where it cannot stand between the two. */
function point(text: string): Sought[] | undefined {
  const match = POINT.exec(text);
  if (!match) return undefined;
  const [, first = "", northSouth = "", second = "", eastWest = ""] = match;
  const lat = decimal(first) * (northSouth.toUpperCase() === "S" ? -1 : 1);
  const lon = decimal(second) * (eastWest.toUpperCase() === "W" ? -1 : 1);
  return Math.abs(lat) <= 90 && Math.abs(lon) <= 180 ? [{ kind: "point", lat, lon }] : [];
}

/** At least two letters, of any script. */
function name(text: string): Sought[] {
  return /\p{L}.*\p{L}/u.test(text) ? [{ kind: "name", name: text }] : [];
}

function decimal(text: string): number {
  return Number(text.replace(",", "."));
}

function some(make: () => Sought): Sought[] {
  try {
    return [make()];
  } catch (error) {
    if (error instanceof RangeError) return [];
    throw error;
  }
}
