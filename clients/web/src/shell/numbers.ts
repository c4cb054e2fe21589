// Numbers as people read them, in the language of the texts. By hand: browsers take long to load what they have for it, which
// a slow phone would feel on the first screen.
import { grouped } from "./amounts.ts";
import { language, type Language } from "./texts.ts";

const MARKS: Readonly<Record<Language, readonly [thousands: string, decimal: string]>> = { en: [",", "."], de: [".", ","] };

/** Thousands apart, at most so many places, zeros at the end left out: "1,234.5". What is no number (a node may say anything) is "–". */
export function written(value: unknown, places = 0): string {
  if (typeof value !== "number" || !Number.isFinite(value)) return "–";
  const [whole = "", fraction = ""] = Math.abs(value).toFixed(places).split(".");
  const rest = fraction.replace(/0+$/, "");
  const [thousands, decimal] = MARKS[language()];
  const sign = value < 0 && /[1-9]/.test(whole + rest) ? "-" : "";
  return sign + grouped(whole, thousands) + (rest && decimal + rest);
}
