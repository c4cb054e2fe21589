// Which language a person reads: the one chosen here before, else the first of the browser's that the app has.
import { remembered } from "./remembered.ts";

/** English and German. */
export type Language = "en" | "de";

export const KEPT_AS = "step.language";

export function chosen(): Language {
  const wanted = [remembered(KEPT_AS), ...navigator.languages].map((tag) => tag?.slice(0, 2));
  return wanted.find(isLanguage) ?? "en";
}

export function isLanguage(tag: string | null | undefined): tag is Language {
  return tag === "en" || tag === "de";
}
