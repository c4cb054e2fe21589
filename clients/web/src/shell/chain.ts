// The chain that this app is of: its genesis, kept from the first visit on. What is judged by it needs no node any more.
import { StepError } from "step-client/errors.js";
import { genesisHash } from "step-client/receipts.js";
import { keep, kept } from "./keeping.ts";
import { ask, knownChain } from "./node.ts";

interface Kept {
  genesisHash: string;
  text: string;
}

const KEPT_AS = "chain.genesis";

/** The genesis file's text. Throws StepError where none is kept and no node answers. */
export async function pinnedGenesis(): Promise<string> {
  const known = await knownChain();
  const before = await kept<Kept>(KEPT_AS).catch(unlessUnkept);
  return before && (!known || before.genesisHash === known.genesisHash) ? before.text : pin();
}

async function pin(): Promise<string> {
  const text = JSON.stringify(await ask<object>("/genesis"));
  const known = await knownChain();
  const found = hashOf(text);
  if (known && known.genesisHash !== found) {
    const problem = `the node's genesis is ${found}, and not that of the chain that this app knows, ${known.genesisHash}`;
    throw new StepError("UNREADABLE_ANSWER", problem);
  }
  await keep(KEPT_AS, { genesisHash: found, text }).catch(unlessUnkept);
  return text;
}

/** What a node gives as its genesis may be anything. */
function hashOf(text: string): string {
  try {
    return genesisHash(text);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new StepError("UNREADABLE_ANSWER", `the node's genesis is none: ${error.message}`);
  }
}

/** A browser that keeps nothing (some private windows) asks each time. */
function unlessUnkept(error: unknown): undefined {
  if (!(error instanceof DOMException)) throw error;
}
