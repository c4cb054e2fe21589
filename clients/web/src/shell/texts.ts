// Every text that people read stands in `src/texts`, in each language side by side, so that none can be forgotten: a text
// without one of them does not compile.

import { isLanguage, KEPT_AS, type Language } from "./language.ts";
import { remember } from "./remembered.ts";

export type { Language } from "./language.ts";

/** One text. What stands in braces is filled in: `"{count} proofs"`. */
export type Text = Readonly<Record<Language, string>>;

export const LANGUAGES: Readonly<Record<Language, string>> = { en: "English", de: "Deutsch" };

let current: Language = ofPage();

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

/** What `early.ts` has chosen. */
function ofPage(): Language {
  const { lang } = document.documentElement;
  return isLanguage(lang) ? lang : "en";
}
