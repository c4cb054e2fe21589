// Every text that people read stands in `src/texts`, in each language side by side, so that none can be forgotten: a text
// without one of them does not compile.

import { remember, remembered } from "./remembered.ts";

/** English and German. */
export type Language = "en" | "de";

/** One text. What stands in braces is filled in: `"{count} proofs"`. */
export type Text = Readonly<Record<Language, string>>;

export const LANGUAGES: Readonly<Record<Language, string>> = { en: "English", de: "Deutsch" };

const KEPT_AS = "step.language";

let current: Language = chosen();

/** The language that texts are in now. */
export function language(): Language {
  return current;
}

/** From now on, and at the next visit. The caller draws the page anew. */
export function speak(wanted: Language): void {
  current = wanted;
  document.documentElement.lang = wanted;
  remember(KEPT_AS, wanted);
}

/** A text in the present language, with `values` for what stands in braces. */
export function say(text: Text, values: Readonly<Record<string, string | number>> = {}): string {
  return text[current].replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

function chosen(): Language {
  const wanted = [remembered(KEPT_AS), ...navigator.languages].map((tag) => tag?.slice(0, 2));
  const found = wanted.find((tag): tag is Language => tag === "en" || tag === "de") ?? "en";
  document.documentElement.lang = found;
  return found;
}
