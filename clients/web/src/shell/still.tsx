// The frame as the page has it before any script: its links lead somewhere already, for the address names the page. The same
// components draw it again when they are there, over what is.
import type { VNode } from "preact";
import { shell } from "../texts/shell.ts";
import { Bar, Brand, Skip } from "./bar.tsx";
import { LANGUAGES, say, speak, type Language } from "./texts.ts";

/** By language. */
export function frames(): Record<string, VNode[]> {
  return Object.fromEntries((Object.keys(LANGUAGES) as Language[]).map((language) => [language, frame(language)]));
}

function frame(language: Language): VNode[] {
  speak(language);
  return [
    Skip({}),
    <header class="top">
      {Brand()}
      <span class="standing" />
    </header>,
    Bar({ current: undefined }),
    <main id="content" tabindex={-1}>
      <p role="status">{say(shell.loading)}</p>
    </main>,
  ];
}
