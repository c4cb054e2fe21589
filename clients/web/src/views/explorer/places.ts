// Cities by name, in any of their spellings.
import { centroid, locate, parseTriangle, unitVector } from "step-client";
import type { Language } from "../../shell/texts.ts";
import { CITIES } from "./cities.ts";

export interface City {
  name: string;
  lat: number;
  lon: number;
}

const FOUND_MAX = 8;
const EARTH_RADIUS_M = 6_371_000;

interface Entry {
  names: readonly string[];
  keys: readonly string[];
  lat: number;
  lon: number;
}

let entries: readonly Entry[] | undefined;

/** Those whose name, or a word of it, begins so: a name that is just this first. Shown by the name that was meant, or by
 *  that of the language. */
export function citiesNamed(text: string, language: Language): City[] {
  const wanted = keyOf(text);
  if (wanted === "") return [];
  const found = allEntries().flatMap((entry) => {
    const rank = Math.min(...entry.keys.map((key) => rankOf(key, wanted)));
    return rank < NOT_FOUND ? [{ rank, city: { name: nameOf(entry, wanted, language), lat: entry.lat, lon: entry.lon } }] : [];
  });
  const exact = found.filter((one) => one.rank === 0);
  return (exact.length ? exact : found).sort((one, other) => one.rank - other.rank).slice(0, FOUND_MAX).map((one) => one.city);
}

/** Those in a triangle, the nearest to its middle first. Throws RangeError for what is no triangle. */
export function citiesIn(triangleId: string, language: Language): City[] {
  const { level } = parseTriangle(triangleId);
  const [middleLon, middleLat] = centroid(triangleId);
  const middle = unitVector(middleLat, middleLon);
  const distance = ({ lat, lon }: City) => Math.hypot(...unitVector(lat, lon).map((part, axis) => part - middle[axis]!));
  const inside = allEntries().filter(({ lat, lon }) => locate(lat, lon, level) === triangleId);
  return inside
    .map((entry) => ({ name: namedIn(entry, language), lat: entry.lat, lon: entry.lon }))
    .sort((one, other) => distance(one) - distance(other));
}

/** The city that is nearest to a place, and how far it is. */
export function nearestCity(lat: number, lon: number, language: Language): { name: string; metres: number } {
  const here = unitVector(lat, lon);
  const chord = (city: { lat: number; lon: number }) => Math.hypot(...unitVector(city.lat, city.lon).map((part, axis) => part - here[axis]!));
  const nearest = allEntries().reduce((best, one) => (chord(one) < chord(best) ? one : best));
  return { name: namedIn(nearest, language), metres: 2 * Math.asin(chord(nearest) / 2) * EARTH_RADIUS_M };
}

function namedIn({ names }: Entry, language: Language): string {
  return names[language === "de" && names.length > 1 ? 1 : 0]!;
}

function allEntries(): readonly Entry[] {
  return (entries ??= CITIES.trim().split("\n").map(entryOf));
}

const NOT_FOUND = 3;

function rankOf(key: string, wanted: string): number {
  if (key === wanted) return 0;
  if (key.startsWith(wanted)) return 1;
  return key.includes(` ${wanted}`) ? 2 : NOT_FOUND;
}

function nameOf(entry: Entry, wanted: string, language: Language): string {
  const meant = entry.keys.findIndex((key) => key === wanted);
  return meant >= 0 ? entry.names[meant]! : namedIn(entry, language);
}

function entryOf(line: string): Entry {
  const [name = "", others = "", lat, lon] = line.split("|");
  const names = [name, ...others.split(",").filter((one) => one !== "")];
  return { names, keys: names.map(keyOf), lat: Number(lat), lon: Number(lon) };
}

/** Without case, accents, and what is no letter; `ß` is `ss`. */
function keyOf(text: string): string {
  const plain = text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().replaceAll("ß", "ss").replaceAll("ø", "o").replaceAll("ł", "l");
  return plain.replace(/[^\p{L}\p{N}]+/gu, " ").trim();
}
