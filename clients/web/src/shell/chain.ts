// The chain that this app is of: its genesis, kept from the first visit on. What is judged by it needs no node any more.
import { keep, kept } from "./keeping.ts";
import { ask } from "./node.ts";

const KEPT_AS = "chain.genesis";

/** The genesis file's text. Throws StepError where none is kept and no node answers. */
export async function pinnedGenesis(): Promise<string> {
  return (await kept<string>(KEPT_AS)) ?? (await pin());
}

async function pin(): Promise<string> {
  const text = JSON.stringify(await ask<object>("/genesis"));
  await keep(KEPT_AS, text);
  return text;
}
