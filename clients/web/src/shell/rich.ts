// A text in which parts of a page stand, each where its language wants it.
import type { ComponentChildren } from "preact";
import { say, type Text } from "./texts.ts";

/** As `say`, with anything that a page can show for what is in braces. */
export function rich(text: Text, parts: Readonly<Record<string, ComponentChildren>>): ComponentChildren[] {
  return say(text)
    .split(/\{(\w+)\}/)
    .map((piece, index) => (index % 2 === 1 ? (parts[piece] ?? `{${piece}}`) : piece));
}
