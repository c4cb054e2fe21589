// Cities by name, in any of their spellings.
import type { Language } from "../../shell/texts.ts";
import { CITIES } from "./cities.ts";

export interface City {
  name: string;
  lat: number;
  lon: number;
}

const FOUND_MAX = 8;

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
  entries ??= CITIES.trim().split("\n").map(entryOf);
  const found = entries.flatMap((entry) => {
    const rank = Math.min(...entry.keys.map((key) => rankOf(key, wanted)));
    return rank < NOT_FOUND ? [{ rank, city: { name: nameOf(entry, wanted, language), lat: entry.lat, lon: entry.lon } }] : [];
  });
  const exact = found.filter((one) => one.rank === 0);
  return (exact.length ? exact : found).sort((one, other) => one.rank - other.rank).slice(0, FOUND_MAX).map((one) => one.city);
}

const NOT_FOUND = 3;

function rankOf(key: string, wanted: string): number {
  if (key === wanted) return 0;
  if (key.startsWith(wanted)) return 1;
  return key.includes(` ${wanted}`) ? 2 : NOT_FOUND;
}

function nameOf({ names, keys }: Entry, wanted: string, language: Language): string {
  const meant = keys.findIndex((key) => key === wanted);
  return names[meant >= 0 ? meant : language === "de" && names.length > 1 ? 1 : 0]!;
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
